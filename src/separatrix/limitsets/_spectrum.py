"""Stability at fixed points and cycles: eigenvalues, spectral radius ρ and spectral norm ‖J‖₂ of the Jacobian of f^p.

ρ < 1 makes an attractor. ‖J‖₂ < 1 is contraction, which is stricter: ρ ≤ ‖J‖₂, and the gap is large because E∘D is not
normal. Both are always reported, neither as the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import NO_WORK, Cost
from separatrix.field import LatentField
from separatrix.limitsets._polish import orbit_points
from separatrix.protocol import DEFAULT, DENSE_LIMIT, Spectra
from separatrix.storage import Columnar


@dataclass(frozen=True, repr=False)
class Spectrum(Columnar):
    """Stability of m periodic points.

    Attributes:
        eigenvalues: ``(m, e)`` complex128, largest modulus first; multipliers of f^p for a cycle.
        radius: ``(m,)`` ρ = max |λ|.
        norm: ``(m,)`` ‖J‖₂; NaN where unknown.
        cost: work done (0 where the Jacobians were given).
        neutral: |ρ − 1| below this is called neutral.
    """

    _columns: ClassVar[tuple[str, ...]] = ("eigenvalues", "radius", "norm")
    _read_off: ClassVar[tuple[str, ...]] = ("stable", "unstable_directions")

    eigenvalues: Tensor
    radius: Tensor
    norm: Tensor
    cost: Cost = NO_WORK
    neutral: float = Spectra.neutral

    @classmethod
    @checked
    def unknown(cls, count: int) -> Spectrum:
        """Nothing is known of ``count`` points."""
        values = torch.full((count,), torch.nan, dtype=torch.float64)
        return cls(torch.full((count, 1), torch.nan, dtype=torch.complex128), values, values.clone())

    @property
    def stable(self) -> Tensor:
        """``(m,)`` int8: 1 attracts (ρ < 1), 0 does not (ρ > 1), −1 neutral within rounding or unknown."""
        found = torch.full_like(self.radius, -1, dtype=torch.int8)
        found[self.radius < 1 - self.neutral] = 1
        found[self.radius > 1 + self.neutral] = 0
        return found

    @property
    def unstable_directions(self) -> Tensor:
        """``(m,)`` int64: eigenvalues outside the unit circle, among those computed; −1 where unknown."""
        count = (self.eigenvalues.abs() > 1 + self.neutral).sum(dim=1)
        return torch.where(self.radius.isnan(), -1, count)


def spectrum_of(jacobian: Tensor, rules: Spectra = DEFAULT.spectra) -> Spectrum:
    """Compute it from dense Jacobians ``(m, k, k)``. A Rayleigh quotient would be wrong for complex pairs; this is not.

    >>> rotation = 0.9 * torch.tensor([[0.5, -0.75**0.5], [0.75**0.5, 0.5]], dtype=torch.float64)
    >>> round(spectrum_of(rotation[None]).radius.item(), 12)
    0.9
    """
    wide = jacobian.to(torch.float64)
    finite = wide.flatten(1).isfinite().all(dim=1)
    safe = torch.where(finite[:, None, None], wide, 0.0)
    # At scale 1: LAPACK fails on entries whose squares underflow, as the Jacobians of a collapsed model have them.
    largest = safe.flatten(1).abs().max(dim=1).values if len(safe) else wide.new_zeros(0)
    scale = torch.exp2(largest.clamp(min=torch.finfo(torch.float64).tiny).log2().floor())  # no rounding
    safe = safe / scale[:, None, None]
    values = torch.linalg.eigvals(safe) if len(safe) else safe.new_zeros((0, wide.shape[-1]), dtype=torch.complex128)
    order = values.abs().argsort(dim=1, descending=True, stable=True)
    values = values.gather(1, order) * scale[:, None]
    norm = scale * torch.linalg.matrix_norm(safe, ord=2) if len(safe) else wide.new_zeros(0)
    radius = values.abs().amax(dim=1) if len(safe) else wide.new_zeros(0)
    values = torch.where(
        finite[:, None], values, torch.complex(torch.tensor(torch.nan), torch.tensor(torch.nan)).to(values)
    )
    radius, norm = torch.where(finite, radius, torch.nan), torch.where(finite, norm, torch.nan)
    return Spectrum(values, radius, norm, neutral=rules.neutral)


@checked
def spectrum_matrix_free(
    field: LatentField, points: Tensor, period: int = 1, rules: Spectra = DEFAULT.spectra
) -> Spectrum:
    """The ``rules.leading`` largest eigenvalues by Arnoldi, and ‖J‖₂ by Lanczos on JᵀJ (ARPACK both; Lehoucq et al. 1998).

    Uses J·t and Jᵀ·u only; memory for some dozens of latents. Deterministic: the starting vectors are fixed. What does
    not converge is NaN, also when other eigenvalues did: they need not be the largest. Where all but one or none of the
    eigenvalues are asked for, which ARPACK cannot do, J is formed from k products. ‖J‖₂ needs Jᵀ·u, so it is NaN for
    large latents without gradients.

    Cost: 20 to 100 jvp for the eigenvalues, 20 to 60 pairs of jvp and vjp for the norm, per point and period.
    """
    points, leading = points.to(field.dtype), rules.leading
    operators = [CycleOperator(field, orbit_points(field, z.unsqueeze(0), period)[:-1], rules) for z in points]
    small = leading > field.latent_dim - 2
    parts = [spectrum_of(operator.dense()) if small else operator.spectrum() for operator in operators]
    parts = parts or [spectrum_of(torch.zeros((0, field.latent_dim, field.latent_dim)))]
    return Spectrum(
        torch.cat([part.eigenvalues[:, :leading] for part in parts]),
        torch.cat([part.radius for part in parts]),
        torch.cat([part.norm for part in parts]),
        sum((operator.cost for operator in operators), Cost(map=len(points) * period)),
        rules.neutral,
    )


class CycleOperator:
    """The Jacobian of f^p along one orbit ``(p, 1, *latent)`` as an operator."""

    def __init__(self, field: LatentField, orbit: Tensor, rules: Spectra) -> None:
        self.field, self.orbit, self.rules, self.cost = field, orbit, rules, Cost()
        self.leading = min(rules.leading, field.latent_dim)
        self.start = np.random.Generator(np.random.Philox(key=0)).standard_normal(field.latent_dim)

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

    def dense(self) -> Tensor:
        """``(1, k, k)``, one product per column."""
        columns = [self.forward(unit) for unit in np.eye(self.field.latent_dim)]
        return torch.from_numpy(np.stack(columns, axis=1)).unsqueeze(0)

    def spectrum(self) -> Spectrum:
        image = self.forward(self.start)
        if not np.isfinite(image).all():
            values, norm = self._unknown(), np.nan
        elif not image.any():  # J = 0, which ARPACK calls an error: no other J maps a vector drawn at random to 0
            values, norm = np.zeros(self.leading, dtype=np.complex128), 0.0
        else:
            values, norm = self._eigenvalues(), self._norm()
        eigenvalues = torch.from_numpy(values).unsqueeze(0)
        radius = eigenvalues.abs().amax(dim=1)
        # Lanczos approaches the norm from below; it cannot be below the radius.
        return Spectrum(eigenvalues, radius, torch.maximum(torch.tensor([norm], dtype=torch.float64), radius))

    def _eigenvalues(self) -> NDArray[np.complex128]:
        operator = self.linear(self.forward)
        for vectors in (None, min(self.rules.arnoldi_vectors, self.field.latent_dim)):
            try:
                found = scipy.sparse.linalg.eigs(
                    operator, self.leading, which="LM", v0=self.start, ncv=vectors, tol=self.tolerance,
                    return_eigenvectors=False,
                )  # fmt: skip
            except scipy.sparse.linalg.ArpackError:
                continue
            return found[np.argsort(-np.abs(found), kind="stable")]
        return self._unknown()

    def _unknown(self) -> NDArray[np.complex128]:
        return np.full(self.leading, complex(np.nan, np.nan))

    def _norm(self) -> float:
        if not self.field.differentiable and self.field.latent_dim > DENSE_LIMIT:
            return np.nan
        squared = self.linear(lambda direction: self.adjoint(self.forward(direction)))
        try:
            (largest,) = scipy.sparse.linalg.eigsh(
                squared, 1, which="LM", v0=self.start, tol=self.tolerance, return_eigenvectors=False
            )
        except scipy.sparse.linalg.ArpackError:
            return np.nan
        return float(np.sqrt(max(largest, 0.0)))

    def linear(self, product: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Any:
        k = self.field.latent_dim
        return scipy.sparse.linalg.LinearOperator((k, k), matvec=product, dtype=np.float64)

    @property
    def tolerance(self) -> float:
        return max(self.rules.arnoldi_error, self.rules.arnoldi_error_in_eps * torch.finfo(self.orbit.dtype).eps)

    def _tensor(self, flat: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(flat)).to(self.orbit).reshape(1, *self.field.latent_shape)

    @staticmethod
    def _array(tensor: Tensor) -> NDArray[np.float64]:
        return tensor.detach().flatten().to("cpu", torch.float64).numpy()
