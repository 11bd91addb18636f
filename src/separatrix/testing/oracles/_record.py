"""This file tells what an oracle is: a field, starts and known limit sets; and how a change of variables moves them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import Kind
from separatrix.numerics.counter_random import gaussian, uniform
from separatrix.orbits import Status

NEUTRAL = 1e-12
"""Moduli this close to 1 are the rounding of a neutral eigenvalue."""

SETTLES = frozenset({Status.CONVERGED, Status.CAPTURED})
"""How an orbit ends that goes to a fixed point."""

REPEATS = frozenset({Status.PERIODIC, Status.CAPTURED})
"""How an orbit ends that goes to a cycle of period above 1."""

SAMPLES_OF_A_CURVE = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownSet:
    """One limit set, with the names and units of :class:`~separatrix.limitsets._sets.LimitSets`.

    Attributes:
        points: ``(p, *latent)`` float64. All points of a cycle in the order of the motion; samples of a curve
            in order along it, and of a continuum.
        kind: what it is.
        period: 1 for a fixed point, p for a cycle, 0 for a curve, 1 for a continuum of fixed points.
        eigenvalues: ``(k,)`` complex128, of the Jacobian of f^period; NaN where no power of f fixes the
            points.
        spectral_radius: the largest modulus among them; for a closed curve exp(second Lyapunov exponent).
        stable: attracts at a geometric rate (spectral radius below 1); False for neutral sets.
        unstable_directions: number of eigenvalues beyond the unit circle; for a curve, of expanding
            directions.
        basin_fraction: probability that a start of the oracle's kind ends here; None where no such number
            exists.
        implicit: ``(n, *latent)`` to ``(n,)``, zero exactly on the set; None for sets that ``points`` lists
            in full.
    """

    points: Tensor
    kind: Kind
    period: int
    eigenvalues: Tensor
    spectral_radius: float
    stable: bool
    unstable_directions: int
    basin_fraction: float | None = None
    implicit: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def periodic(cls, points: Tensor, eigenvalues: Tensor, basin_fraction: float | None = None) -> Self:
        """A fixed point (one row) or cycle (its p points in order); stability follows from the eigenvalues of
        f^p.

        >>> KnownSet.periodic(torch.zeros(1, 2), torch.tensor([2.0, 0.5])).unstable_directions
        1
        """
        moduli = eigenvalues.abs()
        return cls(
            points=points.to(torch.float64),
            kind=Kind.FIXED_POINT if len(points) == 1 else Kind.CYCLE,
            period=len(points),
            eigenvalues=eigenvalues.to(torch.complex128),
            spectral_radius=float(moduli.max()),
            stable=bool(moduli.max() < 1 - NEUTRAL),
            unstable_directions=int((moduli > 1 + NEUTRAL).sum()),
            basin_fraction=basin_fraction,
        )

    def defect(self, z: Tensor) -> Tensor:
        """``(n,)`` how far z is from the set: zero exactly on it, near it of the order of the distance."""
        if self.implicit is not None:
            return self.implicit(z)
        gaps = z.flatten(1)[:, None] - self.points.flatten(1)[None]
        nearest: Tensor = torch.linalg.vector_norm(gaps, dim=2).amin(dim=1)
        return nearest


@dataclass(frozen=True, kw_only=True, eq=False)
class Oracle:
    """A latent map with its answers.

    Attributes:
        name: of the system.
        field: the map, float64.
        starts: ``(n, *latent)`` float64, the same on every call; the i-th does not depend on how many there
            are.
        limit_sets: every fixed point, and every set that attracts; further sets only where the docstring says
            so.
        statuses: how orbits from ``starts`` may honestly end, given budget enough.
    """

    name: str
    field: LatentField
    starts: Tensor
    limit_sets: tuple[KnownSet, ...]
    statuses: frozenset[Status]

    @property
    def attractors(self) -> tuple[KnownSet, ...]:
        """The known sets that attract."""
        return tuple(known for known in self.limit_sets if known.stable)

    @property
    def fixed_points(self) -> tuple[KnownSet, ...]:
        """The known isolated fixed points, stable or not."""
        return tuple(known for known in self.limit_sets if known.kind == Kind.FIXED_POINT)


def conjugated(oracle: Oracle, matrix: Tensor, offset: Tensor | None = None) -> Oracle:
    """The same dynamics in the coordinates y = Az + b: g(y) = A f(A⁻¹(y − b)) + b, with every answer
    transported.

    Points and starts move with the coordinates; eigenvalues, stability, periods and basin fractions do not
    change (the Jacobian becomes the similar matrix A J A⁻¹); the spectral norm does.

    Args:
        oracle: the system to move.
        matrix: ``(k, k)`` invertible A, acting on flattened latents.
        offset: ``(k,)`` b, zero if not given.

    Raises:
        InputError: A is not ``(k, k)`` or not invertible.

    >>> from separatrix.testing.oracles import scaling
    >>> moved = conjugated(scaling(rho=0.5, dim=1), torch.tensor([[4.0]]), torch.tensor([3.0]))
    >>> moved.limit_sets[0].points.item(), moved.field(torch.tensor([[7.0]], dtype=torch.float64)).item()
    (3.0, 5.0)
    """
    field, k = oracle.field, oracle.field.latent_dim
    matrix = matrix.to(torch.float64)
    offset = torch.zeros(k, dtype=torch.float64) if offset is None else offset.to(torch.float64)
    if matrix.shape != (k, k) or offset.shape != (k,) or not torch.linalg.det(matrix).abs() > 0:
        raise InputError(f"A change of variables of {field.name} needs an invertible {k}×{k} matrix and {k} offsets.")
    inverse = torch.linalg.inv(matrix)
    inner = field.bare

    def there(z: Tensor) -> Tensor:
        image: Tensor = z.flatten(1) @ matrix.mT + offset
        return image.reshape(z.shape)

    def back(y: Tensor) -> Tensor:
        image: Tensor = (y.flatten(1) - offset) @ inverse.mT
        return image.reshape(y.shape)

    def function(y: Tensor) -> Tensor:
        return there(inner(back(y)))

    def moved(known: KnownSet) -> KnownSet:
        implicit = known.implicit
        return replace(
            known,
            points=there(known.points),
            implicit=None if implicit is None else (lambda y: implicit(back(y))),
        )

    return replace(
        oracle,
        name=f"{oracle.name}, conjugated",
        field=as_field(function, field.latent_shape, f"{oracle.name}, conjugated"),
        starts=there(oracle.starts),
        limit_sets=tuple(moved(known) for known in oracle.limit_sets),
    )


def as_field(function: Callable[[Tensor], Tensor], latent_shape: Sequence[int], name: str) -> LatentField:
    """A float64 field of a self-map."""
    return LatentField.from_map(function, latent_shape, dtype=torch.float64, name=name)


def box(count: int, seed: int, low: Sequence[float], high: Sequence[float]) -> Tensor:
    """``(count, k)`` uniform draws from the box [low, high], addressed by (seed, index)."""
    lower, upper = torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)
    return lower + (upper - lower) * torch.from_numpy(uniform(seed, 0, count, len(low)))


def normal(count: int, seed: int, dim: int) -> Tensor:
    """``(count, dim)`` draws from N(0, I), addressed by (seed, index)."""
    return torch.from_numpy(gaussian(seed, 0, count, dim))


def orthogonal(dim: int, seed: int) -> Tensor:
    """A ``(dim, dim)`` orthogonal matrix (Haar measure: QR with the signs of R's diagonal made positive)."""
    q, r = torch.linalg.qr(normal(dim, seed, dim))
    rotation: Tensor = q * r.diagonal().sign()
    return rotation


def root(function: Callable[[float], float], derivative: Callable[[float], float], guess: float) -> float:
    """A zero of a scalar function by Newton's method, to the last bit that the function resolves.

    >>> root(lambda x: x * x - 2, lambda x: 2 * x, 1.0) == math.sqrt(2)
    True
    """
    x, best = guess, math.inf
    while (size := abs(function(x))) < best:
        answer, best = x, size
        x -= function(x) / derivative(x)
    return answer
