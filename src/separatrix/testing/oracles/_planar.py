"""Maps of the plane: saddles, superattracting roots, and a closed curve with quasi-periodic motion."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.limitsets import Kind
from separatrix.orbits import Status
from separatrix.testing.oracles._record import (
    SAMPLES_OF_A_CURVE,
    SETTLES,
    KnownSet,
    Oracle,
    as_field,
    box,
    normal,
    orthogonal,
)

GOLDEN_ANGLE = math.pi * (math.sqrt(5) - 1)
"""2π(√5 − 1)/2: the rotation whose returns are the least close."""


def henon(a: float = 1.4, b: float = 0.3, count: int = 64, seed: int = 0) -> Oracle:
    """f(x, y) = (1 − a x² + y, b x) (Hénon 1976).

    Answer: fixed points at x = (−(1 − b) ± √((1 − b)² + 4a))/(2a), y = bx, eigenvalues the roots of λ² +
        2ax·λ − b; at the classic
    parameters two saddles, x = 0.631354 and −1.131354, and almost every start of the box [−½, ½]×[−0.2, 0.2]
    wanders on the strange attractor. Only the fixed points are listed.
    """
    discriminant = (1 - b) ** 2 + 4 * a
    if a == 0 or discriminant <= 0:
        raise InputError(
            f"The Hénon map with a = {a}, b = {b} has no two fixed points; it needs (1 − b)² + 4a > 0, a ≠ 0."
        )
    known = []
    for sign in (1, -1):
        x = (-(1 - b) + sign * math.sqrt(discriminant)) / (2 * a)
        # λ² + 2axλ − b = 0, the root of larger modulus first so that nothing cancels.
        slope = a * x
        large = torch.tensor(-slope - math.copysign(1.0, slope) * _complex_sqrt(slope**2 + b), dtype=torch.complex128)
        point = torch.tensor([[x, b * x]], dtype=torch.float64)
        known.append(KnownSet.periodic(point, torch.stack([large, -b / large]), None))
    return Oracle(
        name="Hénon",
        field=as_field(lambda z: torch.stack([1 - a * z[:, 0] ** 2 + z[:, 1], b * z[:, 0]], dim=1), (2,), "Hénon"),
        starts=box(count, seed, [-0.5, -0.2], [0.5, 0.2]),
        limit_sets=tuple(known),
        statuses=frozenset({Status.WANDERING}),
    )


def newton_cube_roots(radius: float = 1.5, count: int = 256, seed: int = 0) -> Oracle:
    """Newton's method for z³ = 1, f(z) = z − (z³ − 1)/(3z²) = (2z + z⁻²)/3, the plane read as ℂ (Cayley
    1879).

    Answer: the three roots of unity attract with J = 0 (quadratically). A turn by 120° maps f to itself and
        permutes the
    basins, so that each takes exactly ⅓ of a disc around 0; their common boundary is a fractal.
    """
    draws = box(count, seed, [0.0, 0.0], [1.0, 1.0])
    modulus, angle = radius * draws[:, 0].sqrt(), 2 * math.pi * draws[:, 1]
    roots = [[1.0, 0.0], [-0.5, math.sqrt(0.75)], [-0.5, -math.sqrt(0.75)]]
    return Oracle(
        name="Newton for z³ = 1",
        field=as_field(_newton_step, (2,), "Newton for z³ = 1"),
        starts=torch.stack([modulus * angle.cos(), modulus * angle.sin()], dim=1),
        limit_sets=tuple(
            KnownSet.periodic(torch.tensor([point], dtype=torch.float64), torch.zeros(2), 1 / 3) for point in roots
        ),
        statuses=SETTLES,
    )


def invariant_curve(
    angle: float = GOLDEN_ANGLE, rate: float = 0.2, dim: int = 2, count: int = 64, seed: int = 0
) -> Oracle:
    """An attracting closed curve with quasi-periodic motion: r ← r + rate·r(1 − r²), θ ← θ + angle.

    In more than two dimensions the further coordinates s ← s/2 are added and everything is seen through the
    change of variables z = Qφ(u, s), φ(u, s) = (u, s + W(u₁² − u₂², u₁u₂)) with Q orthogonal and W fixed, so
    that the curve is neither a circle nor plane.

    Answer: the curve r = 1, s = 0. Radially the map multiplies small distances by 1 − 2·rate, along the curve
        by 1; the
    other Lyapunov factors are ½, so the curve attracts at max(1 − 2·rate, ½). 0 is an unstable fixed point,
    eigenvalues (1 + rate)e^{±i·angle} and ½. No cycle exists as long as angle/2π is irrational.
    """
    if dim < 2 or not 0 < rate < 0.5:
        raise InputError(f"invariant_curve needs dim ≥ 2 and 0 < rate < ½, not dim = {dim}, rate = {rate}.")
    extra = dim - 2
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
    frame = orthogonal(dim, seed + 1) if extra else torch.eye(2, dtype=torch.float64)
    bend = 0.5 * normal(2, seed + 2, extra) if extra else torch.zeros(2, 0, dtype=torch.float64)

    def quadratic(u: Tensor) -> Tensor:
        return torch.stack([u[:, 0] ** 2 - u[:, 1] ** 2, u[:, 0] * u[:, 1]], dim=1) @ bend

    def embed(w: Tensor) -> Tensor:
        u, s = w[:, :2], w[:, 2:]
        return torch.cat([u, s + quadratic(u)], dim=1) @ frame.mT

    def straighten(z: Tensor) -> Tensor:
        w = z @ frame
        u, s = w[:, :2], w[:, 2:]
        return torch.cat([u, s - quadratic(u)], dim=1)

    def function(z: Tensor) -> Tensor:
        w = straighten(z)
        u, s = w[:, :2], w[:, 2:]
        squared = (u * u).sum(dim=1, keepdim=True)
        return embed(torch.cat([(1 + rate * (1 - squared)) * u @ turn.mT, 0.5 * s], dim=1))

    def defect(z: Tensor) -> Tensor:
        w = straighten(z)
        return torch.hypot(w[:, :2].norm(dim=1) - 1, w[:, 2:].norm(dim=1))

    along = 2 * math.pi * torch.arange(SAMPLES_OF_A_CURVE, dtype=torch.float64) / SAMPLES_OF_A_CURVE
    flat = torch.zeros(SAMPLES_OF_A_CURVE, extra, dtype=torch.float64)
    spiral = torch.polar(
        torch.full((2,), 1 + rate, dtype=torch.float64), torch.tensor([angle, -angle], dtype=torch.float64)
    )
    draws = box(count, seed, [0.3, 0.0] + [-1.0] * extra, [1.8, 2 * math.pi] + [1.0] * extra)
    u = torch.stack([draws[:, 0] * draws[:, 1].cos(), draws[:, 0] * draws[:, 1].sin()], dim=1)
    transverse = max(1 - 2 * rate, 0.5 if extra else 0.0)
    curve = KnownSet(
        points=embed(torch.cat([along.cos()[:, None], along.sin()[:, None], flat], dim=1)),
        kind=Kind.CLOSED_CURVE,
        period=0,
        eigenvalues=torch.full((dim,), complex(math.nan, math.nan), dtype=torch.complex128),
        spectral_radius=transverse,
        stable=True,
        unstable_directions=0,
        basin_fraction=1.0,
        implicit=defect,
    )
    centre = KnownSet.periodic(
        torch.zeros(1, dim), torch.cat([spiral, torch.full((extra,), 0.5, dtype=torch.complex128)]), 0.0
    )
    return Oracle(
        name=f"invariant curve in {dim} dimensions",
        field=as_field(function, (dim,), f"invariant curve in {dim} dimensions"),
        starts=embed(torch.cat([u, draws[:, 2:]], dim=1)),
        limit_sets=(curve, centre),
        statuses=frozenset({Status.QUASIPERIODIC, Status.CAPTURED}),
    )


def _newton_step(z: Tensor) -> Tensor:
    x, y = z[:, 0], z[:, 1]
    real, imaginary = x * x - y * y, 2 * x * y
    squared = real * real + imaginary * imaginary
    return torch.stack([(2 * x + real / squared) / 3, (2 * y - imaginary / squared) / 3], dim=1)


def _complex_sqrt(x: float) -> complex | float:
    return math.sqrt(x) if x >= 0 else 1j * math.sqrt(-x)
