"""Stability at fixed points and cycles: eigenvalues, spectral radius ρ and spectral norm ‖J‖₂ of the Jacobian of f^p.

ρ < 1 makes an attractor. ‖J‖₂ < 1 is contraction, which is stricter: ρ ≤ ‖J‖₂, and the gap is large because E∘D is not
normal. Both are always reported, neither as the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs
from torch import Tensor

from separatrix.cost import NO_WORK, Cost
from separatrix.field import LatentField
from separatrix.limitsets.polish import orbit_points

MARGIN = 1e-7  # |ρ − 1| below this is called neutral: rounding in J cannot tell
LEADING = 6  # eigenvalues computed where the Jacobian is too large to be formed
_NORM_ITERATIONS = 200
_NORM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Spectrum:
    """Stability of m periodic points.

    Attributes:
        eigenvalues: ``(m, e)`` complex128, largest modulus first; multipliers of f^p for a cycle.
        radius: ``(m,)`` ρ = max |λ|.
        norm: ``(m,)`` ‖J‖₂.
        cost: work done (0 where the Jacobians were given).
    """

    eigenvalues: Tensor
    radius: Tensor
    norm: Tensor
    cost: Cost = NO_WORK

    @property
    def stable(self) -> Tensor:
        """``(m,)`` int8: 1 attracts (ρ < 1), 0 does not (ρ > 1), −1 neutral within rounding or unknown."""
        verdict = torch.full_like(self.radius, -1, dtype=torch.int8)
        verdict[self.radius < 1 - MARGIN] = 1
        verdict[self.radius > 1 + MARGIN] = 0
        return verdict

    @property
    def unstable_directions(self) -> Tensor:
        """``(m,)`` int64: eigenvalues outside the unit circle; −1 where unknown."""
        count = (self.eigenvalues.abs() > 1 + MARGIN).sum(dim=1)
        return torch.where(self.radius.isnan(), -1, count)


def spectrum_of(jacobian: Tensor) -> Spectrum:
    """From dense Jacobians ``(m, k, k)``. A Rayleigh quotient would be wrong for complex pairs; this is not.

    >>> rotation = 0.9 * torch.tensor([[0.5, -0.75**0.5], [0.75**0.5, 0.5]], dtype=torch.float64)
    >>> round(spectrum_of(rotation[None]).radius.item(), 12)
    0.9
    """
    wide = jacobian.to(torch.float64)
    finite = wide.flatten(1).isfinite().all(dim=1)
    safe = torch.where(finite[:, None, None], wide, 0.0)
    values = torch.linalg.eigvals(safe) if len(safe) else safe.new_zeros((0, wide.shape[-1]), dtype=torch.complex128)
    order = values.abs().argsort(dim=1, descending=True, stable=True)
    values = values.gather(1, order)
    norm = torch.linalg.matrix_norm(safe, ord=2) if len(safe) else wide.new_zeros(0)
    radius = values.abs().amax(dim=1) if len(safe) else wide.new_zeros(0)
    values = torch.where(
        finite[:, None], values, torch.complex(torch.tensor(torch.nan), torch.tensor(torch.nan)).to(values)
    )
    return Spectrum(values, torch.where(finite, radius, torch.nan), torch.where(finite, norm, torch.nan))


def spectrum_matrix_free(field: LatentField, points: Tensor, period: int = 1, *, leading: int = LEADING) -> Spectrum:
    """The ``leading`` largest eigenvalues by Arnoldi (ARPACK) and ‖J‖₂ by Golub–Kahan power iteration on JᵀJ.

    Uses J·t and Jᵀ·u only; memory for a few latents. Deterministic: the starting vectors are fixed.
    Cost: a few dozen jvp for the eigenvalues, one jvp and one vjp per norm iteration (at most 200).
    """
    values, norms, cost = [], [], Cost()
    for z in points.to(field.dtype):
        operator = _CycleOperator(field, orbit_points(field, z.unsqueeze(0), period)[:-1])
        values.append(operator.eigenvalues(leading))
        norms.append(operator.norm())
        cost += operator.cost + Cost(map=period)
    eigenvalues = torch.from_numpy(np.stack(values)) if values else torch.zeros((0, leading), dtype=torch.complex128)
    return Spectrum(eigenvalues, eigenvalues.abs().amax(dim=1), torch.tensor(norms, dtype=torch.float64), cost)


class _CycleOperator:
    """The Jacobian of f^p along one orbit ``(p, 1, *latent)`` as an operator."""

    def __init__(self, field: LatentField, orbit: Tensor) -> None:
        self.field, self.orbit, self.cost = field, orbit, Cost()
        self._start = np.random.Generator(np.random.Philox(key=0)).standard_normal(field.latent_dim)

    def forward(self, direction: NDArray[np.float64]) -> NDArray[np.float64]:
        tangent = self._tensor(direction)
        for z in self.orbit:
            tangent = self.field.jvp(z, tangent)
        self.cost += Cost(jvp=len(self.orbit))
        return self._array(tangent)

    def adjoint(self, direction: NDArray[np.float64]) -> NDArray[np.float64]:
        cotangent = self._tensor(direction)
        for z in self.orbit.flip(0):
            cotangent = self.field.vjp(z, cotangent)
        self.cost += Cost(vjp=len(self.orbit))
        return self._array(cotangent)

    def eigenvalues(self, leading: int) -> NDArray[np.complex128]:
        k = self.field.latent_dim
        wanted = min(leading, k - 2)
        operator = LinearOperator((k, k), matvec=self.forward, dtype=np.float64)
        try:
            found = eigs(operator, k=wanted, which="LM", v0=self._start, return_eigenvectors=False, tol=1e-8)
        except ArpackNoConvergence as partial:
            found = partial.eigenvalues  # those that did converge; the rest stay unknown
        values = np.full(leading, np.nan + 1j * np.nan, dtype=np.complex128)
        found = found[np.argsort(-np.abs(found))]
        values[: len(found)] = found
        return values

    def norm(self) -> float:
        direction, estimate = self._start / np.linalg.norm(self._start), 0.0
        for _ in range(_NORM_ITERATIONS):
            image = self.forward(direction)
            previous, estimate = estimate, float(np.linalg.norm(image))
            back = self.adjoint(image)
            size = np.linalg.norm(back)
            if size == 0 or abs(estimate - previous) <= _NORM_TOLERANCE * estimate:
                break
            direction = back / size
        return estimate

    def _tensor(self, flat: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(flat)).to(self.orbit).reshape(1, *self.field.latent_shape)

    @staticmethod
    def _array(tensor: Tensor) -> NDArray[np.float64]:
        return tensor.detach().flatten().to("cpu", torch.float64).numpy()
