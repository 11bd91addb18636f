"""Verified trapping regions: when is an orbit certainly on its way into a known attractor?

At an attractor a with Jacobian J, ρ(J) < 1, let q = (1 + ρ)/2 and P solve the Stein (discrete Lyapunov) equation
(J/q)ᵀP(J/q) − P = −I. In the norm ‖d‖_P = √(dᵀPd) the linearised map contracts by q per step, however non-normal J is.
An orbit is accepted if for three steps in a row it is close in that norm, the map is nearly linear there, and the
distance shrinks at least as fast as (1 + q)/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.numerics.distances import nearest

CLOSENESS = 0.05  # largest ‖z − a‖_P, as a share of the distance to the nearest other set and of the spread
LINEARITY = 0.2  # largest ‖f(z) − a − J(z − a)‖_P as a share of ‖z − a‖_P
IN_A_ROW = 3
FLOOR = 1e-12  # distances below this share of ‖a‖ + spread are rounding noise: the orbit is there
_BLOCK = 1024
_DOUBLINGS = 60


@dataclass(frozen=True)
class TrappingRegions:
    """Regions around attracting periodic points of one period p; rows are sets.

    Attributes:
        points: ``(m, k)`` float64.
        jacobian: ``(m, k, k)`` of f^p.
        factor: ``(m, k, k)`` upper triangular R with P = RᵀR.
        shrink: ``(m,)`` (1 + q)/2, the slowest acceptable contraction per p steps.
        radius: ``(m,)`` largest ‖z − a‖_P.
        floor: ``(m,)`` distance that counts as arrived.
    """

    points: Tensor
    jacobian: Tensor
    factor: Tensor
    shrink: Tensor
    radius: Tensor
    floor: Tensor

    @classmethod
    def around(
        cls, points: Tensor, jacobian: Tensor, radius_spectral: Tensor, others: Tensor, spread: float
    ) -> TrappingRegions:
        """Regions for attractors ``(m, k)``; ``others`` are all other known limit points, from which to keep away."""
        q = (1 + radius_spectral) / 2
        p = _stein_solution(jacobian / q[:, None, None])
        factor = torch.linalg.cholesky(p).mT
        separation = _distance_to_others(points, others)
        return cls(
            points=points,
            jacobian=jacobian,
            factor=factor,
            shrink=(1 + q) / 2,
            radius=CLOSENESS * separation.clamp(max=spread),
            floor=FLOOR * (points.norm(dim=1) + spread),
        )

    def distance(self, z: Tensor, region: Tensor) -> Tensor:
        """‖z − a‖_P for flat points ``(n, k)`` and the region of each."""
        return self._norm(z - self.points[region], region)

    def consistent(self, z: Tensor, f_z: Tensor, region: Tensor) -> Tensor:
        """Does the step z → f^p(z) look like the linearised contraction of its region? ``(n,)`` bool."""
        before, after = z - self.points[region], f_z - self.points[region]
        size = self._norm(before, region)
        predicted = _per_region(self.jacobian, before, region)
        arrived = before.norm(dim=1) <= self.floor[region]
        linear = self._norm(after - predicted, region) <= LINEARITY * size
        shrinking = self._norm(after, region) <= self.shrink[region] * size
        return arrived | ((size <= self.radius[region]) & linear & shrinking)

    def _norm(self, difference: Tensor, region: Tensor) -> Tensor:
        return _per_region(self.factor, difference, region).norm(dim=1)


def _per_region(matrices: Tensor, vectors: Tensor, region: Tensor) -> Tensor:
    """matrices[region[i]] @ vectors[i], in blocks so that no ``(n, k, k)`` gather is formed at once."""
    parts = [
        (matrices[region[i : i + _BLOCK]] @ vectors[i : i + _BLOCK].unsqueeze(-1)).squeeze(-1)
        for i in range(0, len(vectors), _BLOCK)
    ]
    return torch.cat(parts) if parts else vectors


def _stein_solution(a: Tensor) -> Tensor:
    """P = Σ_i (Aᵀ)^i A^i for ρ(A) < 1, by doubling: P ← P + AᵀPA, A ← A²."""
    p = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand_as(a).clone()
    for _ in range(_DOUBLINGS):
        term = a.mT @ p @ a
        p = p + term
        a = a @ a
        if bool((term.flatten(1).norm(dim=1) <= 1e-14 * p.flatten(1).norm(dim=1)).all()):
            break
    return (p + p.mT) / 2


def _distance_to_others(points: Tensor, others: Tensor) -> Tensor:
    """Distance from each point to the nearest of ``others`` that is not itself."""
    if not len(others):
        return torch.full((len(points),), torch.inf, dtype=torch.float64, device=points.device)
    result = []
    for point in points:
        apart = (others - point).norm(dim=1)
        apart = apart[apart > 0]
        result.append(apart.min() if len(apart) else torch.tensor(torch.inf, dtype=torch.float64, device=points.device))
    return torch.stack(result)


def nearest_region(regions: TrappingRegions, z: Tensor) -> Tensor:
    """Index of the Euclidean-nearest region centre for flat points ``(n, k)``."""
    return nearest(z, regions.points).index
