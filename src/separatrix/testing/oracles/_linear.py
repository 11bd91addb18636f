"""Linear and affine maps: everything about them is known."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor, nn

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import Kind
from separatrix.orbits import Status
from separatrix.testing.oracles._record import SETTLES, KnownSet, Oracle, as_field, normal, orthogonal


def affine_contraction(radius: float = 0.9, dim: int = 8, seed: int = 0, count: int = 64) -> Oracle:
    """f(z) = Az + b with A a random matrix of spectral radius ``radius`` < 1.

    Answer: one fixed point z* = (I − A)⁻¹ b, Jacobian A, basin the whole space. A Gaussian A is not normal,
        so ‖A‖₂ is
    well above ρ(A) and the distance to z* may grow before it shrinks.
    """
    if not 0 <= radius < 1:
        raise InputError(
            f"affine_contraction needs 0 ≤ radius < 1, not {radius}; for radius ≥ 1 use scaling or rotation."
        )
    draws = normal(dim + 1, seed, dim)
    matrix, offset = draws[:dim], draws[dim]
    matrix = matrix * (radius / torch.linalg.eigvals(matrix).abs().max())
    point = torch.linalg.solve(torch.eye(dim, dtype=torch.float64) - matrix, offset)
    # One step of iterative refinement takes the solve to the last bits.
    point = point + torch.linalg.solve(torch.eye(dim, dtype=torch.float64) - matrix, point @ matrix.mT + offset - point)
    return Oracle(
        name=f"affine contraction, ρ = {radius}",
        field=as_field(lambda z: z @ matrix.mT + offset, (dim,), "affine contraction"),
        starts=point + normal(count, seed + 1, dim),
        limit_sets=(KnownSet.periodic(point[None], torch.linalg.eigvals(matrix), 1.0),),
        statuses=SETTLES,
    )


def non_normal(count: int = 64, seed: int = 0) -> Oracle:
    """f(z) = [[½, 10], [0, ½]] z: stable, and yet not a contraction.

    Answer: fixed point 0, double eigenvalue ½ with one eigenvector, spectral norm 10.0249…; from e₂ the norm
        rises to
    √(10² + ½²) = 10.0125 at the first step before it decays. ρ < 1 says *attracts*, ‖J‖₂ < 1 says
    *contracts*.
    """
    matrix = torch.tensor([[0.5, 10.0], [0.0, 0.5]], dtype=torch.float64)
    starts = torch.cat([torch.tensor([[0.0, 1.0]], dtype=torch.float64), normal(count - 1, seed, 2)])
    return Oracle(
        name="non-normal",
        field=as_field(lambda z: z @ matrix.mT, (2,), "non-normal"),
        starts=starts,
        limit_sets=(_origin(torch.tensor([0.5, 0.5]), 1.0),),
        statuses=SETTLES,
    )


def rotation_scaling(factor: float = 0.9, angle: float = math.pi / 3, count: int = 64, seed: int = 0) -> Oracle:
    """f(z) = ``factor`` · R(``angle``) z in the plane, a spiral sink for factor < 1.

    Answer: fixed point 0 with eigenvalues factor·e^{±i·angle}. A Rayleigh quotient of real vectors reads
    factor·cos(angle) = 0.45 here instead of 0.9.
    """
    if not 0 < factor < 1:
        raise InputError(f"rotation_scaling needs 0 < factor < 1, not {factor}; for factor 1 use rotation.")
    matrix = factor * _rotation_matrix(angle)
    return Oracle(
        name=f"rotation-scaling, {factor}",
        field=as_field(lambda z: z @ matrix.mT, (2,), "rotation-scaling"),
        starts=normal(count, seed, 2),
        limit_sets=(_origin(_conjugate_pair(factor, angle), 1.0),),
        statuses=SETTLES,
    )


def rotation(turns: Fraction = Fraction(2, 5), count: int = 64, seed: int = 0) -> Oracle:
    """f(z) = R(2π·``turns``) z in the plane, with ``turns`` = p/q.

    Answer: every z ≠ 0 has period q, every eigenvalue has modulus 1: a continuum of neutral cycles around a
        neutral
    centre, and no attractor.
    """
    if turns.denominator == 1:
        raise InputError(
            "rotation by whole turns is the identity; for a continuum of fixed points use pca_autoencoder."
        )
    angle = 2 * math.pi * float(turns)
    matrix = _rotation_matrix(angle)
    return Oracle(
        name=f"rotation by {turns} of a turn",
        field=as_field(lambda z: z @ matrix.mT, (2,), "rotation"),
        starts=normal(count, seed, 2),
        limit_sets=(_origin(_conjugate_pair(1.0, angle), 0.0),),
        statuses=frozenset({Status.PERIODIC}),
    )


def scaling(rho: float = 0.9, dim: int = 3, count: int = 64, seed: int = 0) -> Oracle:
    """f(z) = ρz.

    Answer: fixed point 0 with all k eigenvalues ρ. For |ρ| < 1 it attracts everything, z_t = ρᵗ z₀, and the
        trajectory
    score is :func:`mean_distance_to_origin`; for |ρ| > 1 everything else diverges.
    """
    if abs(rho) == 1:
        raise InputError("scaling needs |rho| ≠ 1; for a continuum use pca_autoencoder, for a neutral centre rotation.")
    attracts = abs(rho) < 1
    return Oracle(
        name=f"scaling by {rho}",
        field=as_field(lambda z: rho * z, (dim,), "scaling"),
        starts=normal(count, seed, dim),
        limit_sets=(_origin(torch.full((dim,), rho, dtype=torch.float64), 1.0 if attracts else 0.0),),
        statuses=SETTLES if attracts else frozenset({Status.DIVERGED}),
    )


def mean_distance_to_origin(norm: Tensor, rho: float, steps: Tensor) -> Tensor:
    """Mean over t = 0…N of ‖z_t‖ for z_t = ρᵗ z₀: ‖z₀‖ (1 − ρ^{N+1}) / ((1 − ρ)(N + 1)).

    The trajectory score of the paper's section on out-of-distribution detection, for the one attractor 0 of
    :func:`scaling` with 0 < ρ < 1.

    >>> mean_distance_to_origin(torch.tensor(8.0), 0.5, torch.tensor(2)) == (8 + 4 + 2) / 3
    tensor(True)
    """
    terms = steps.to(norm.dtype) + 1  # an integer exponent would give powers in float32
    return norm * (1 - rho**terms) / ((1 - rho) * terms)


def translation(offset: tuple[float, ...] = (0.3, -0.4), count: int = 64, seed: int = 0) -> Oracle:
    """f(z) = z + c, c ≠ 0.

    Answer: no fixed point, no limit set; the residual is ‖c‖ everywhere and every orbit leaves every bounded
        region,
    but only linearly in time.
    """
    if not any(offset):
        raise InputError("translation needs an offset other than 0: with 0 every point is fixed.")
    shift = torch.tensor(offset, dtype=torch.float64)
    return Oracle(
        name="translation",
        field=as_field(lambda z: z + shift, (len(offset),), "translation"),
        starts=normal(count, seed, len(offset)),
        limit_sets=(),
        statuses=frozenset({Status.DIVERGED}),
    )


def pca_autoencoder(data_dim: int = 12, dim: int = 3, seed: int = 0, count: int = 64) -> Oracle:
    """A linear autoencoder with orthonormal weights: E(x) = Wᵀ(x − μ), D(z) = Wz + μ, WᵀW = I, as two
    `nn.Linear`.

    Answer: f(z) = WᵀWz = z up to rounding, so v ≡ 0 and every latent is a fixed point with all eigenvalues 1:
        one
    continuum, which attracts nothing. The optimum of a linear autoencoder is of this kind (Baldi & Hornik
    1989).
    """
    basis = orthogonal(data_dim, seed)[:, :dim]
    mean = normal(1, seed + 1, data_dim)[0]
    encoder = _linear(basis.mT, -basis.mT @ mean)
    decoder = _linear(basis, mean)
    starts = normal(count, seed + 2, dim)
    return Oracle(
        name="PCA autoencoder",
        field=LatentField(encoder, decoder, latent_shape=(dim,), name="PCA autoencoder"),
        starts=starts,
        limit_sets=(_continuum(starts, torch.ones(dim), torch.zeros(dim, dim, dtype=torch.float64)),),
        statuses=SETTLES,
    )


def projection(dim: int = 5, rank: int = 2, seed: int = 0, count: int = 64) -> Oracle:
    """f(z) = QQᵀz with Q orthonormal ``(dim, rank)``: an orthogonal projection.

    Answer: reached exactly in one step; the image of Q is a continuum of fixed points with eigenvalues 1
        (rank times)
    and 0 (dim − rank times).
    """
    if not 0 < rank < dim:
        raise InputError(f"projection needs 0 < rank < dim, not rank {rank} in {dim} dimensions.")
    basis = orthogonal(dim, seed)[:, :rank]
    onto = basis @ basis.mT
    starts = normal(count, seed + 1, dim)
    eigenvalues = torch.cat([torch.ones(rank), torch.zeros(dim - rank)])
    return Oracle(
        name="projection",
        field=as_field(lambda z: z @ onto, (dim,), "projection"),
        starts=starts,
        limit_sets=(_continuum(starts @ onto, eigenvalues, torch.eye(dim, dtype=torch.float64) - onto),),
        statuses=SETTLES,
    )


def _origin(eigenvalues: Tensor, basin_fraction: float) -> KnownSet:
    return KnownSet.periodic(
        torch.zeros(1, len(eigenvalues), dtype=torch.float64),
        eigenvalues.to(torch.complex128),
        basin_fraction,
    )


def _continuum(points: Tensor, eigenvalues: Tensor, complement: Tensor) -> KnownSet:
    """The linear subspace on which ``complement`` (a symmetric projector) vanishes, all of it fixed."""
    return KnownSet(
        points=points,
        kind=Kind.CONTINUUM,
        period=1,
        eigenvalues=eigenvalues.to(torch.complex128),
        spectral_radius=1.0,
        stable=False,
        unstable_directions=0,
        basin_fraction=1.0,
        implicit=lambda z: (z @ complement).norm(dim=1),
    )


def _rotation_matrix(angle: float) -> Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


def _conjugate_pair(modulus: float, angle: float) -> Tensor:
    return torch.polar(
        torch.full((2,), modulus, dtype=torch.float64), torch.tensor([angle, -angle], dtype=torch.float64)
    )


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    # Made on the meta device: the usual initialisation would draw from the caller's global random state.
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta", dtype=torch.float64).to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer.eval()
