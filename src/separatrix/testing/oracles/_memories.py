"""Associative memories: maps that store given points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch

from separatrix.errors import InputError
from separatrix.orbits import Status
from separatrix.testing.oracles._record import SETTLES, KnownSet, Oracle, as_field, box, normal, orthogonal, root


def nearest_prototype(
    prototypes: Sequence[Sequence[float]] = ((0.0,), (1.0,), (3.0,)),
    low: float = -1.0,
    high: float = 4.0,
    count: int = 256,
    seed: int = 0,
) -> Oracle:
    """f(z) = the prototype nearest to z (a Hopfield memory at infinite β), starts uniform in the cube [low,
    high]^d.

    Answer: every prototype is a fixed point with J = 0, reached in one step; basins are Voronoi cells. On the
        line their
    boundaries are the midpoints, so {0, 1, 3} on [−1, 4] has boundaries ½ and 2 and fractions 0.3, 0.3, 0.4;
    in more dimensions the fractions are not given. Autograd sees no way through the argmin: the field has no
    gradients.
    """
    table = torch.tensor(prototypes, dtype=torch.float64)
    dim = table.shape[1]
    if len(torch.unique(table, dim=0)) < len(table):
        raise InputError("nearest_prototype needs prototypes that differ from each other.")
    shares = _line_shares([point[0] for point in prototypes], low, high) if dim == 1 else [None] * len(table)
    return Oracle(
        name="nearest prototype",
        field=as_field(
            lambda z: table[(z[:, None] - table[None]).square().sum(dim=2).argmin(dim=1)],
            (dim,),
            "nearest prototype",
        ),
        starts=box(count, seed, [low] * dim, [high] * dim),
        limit_sets=tuple(
            KnownSet.periodic(point[None], torch.zeros(dim), share) for point, share in zip(table, shares, strict=True)
        ),
        statuses=SETTLES,
    )


def hopfield(beta: float = 4.0, dim: int = 8, count: int = 256, seed: int = 0) -> Oracle:
    """f(z) = X softmax(β Xᵀz) with two orthonormal patterns X, a modern Hopfield memory (Ramsauer et al.
    2021).

    Answer: with z = X(p, 1 − p) the map is p ← σ(β(2p − 1)). (½, ½) is always fixed, multiplier β/2; for β >
        2 it is a saddle
    between the two solutions p > ½ and 1 − p, multiplier 2βp(1 − p). All other eigenvalues are 0, for the
    image of f is the segment between the patterns. Starts are N(0, I): each memory takes ½. β = 4: p =
    0.978752. β = 2: only (½, ½), neutral, approached algebraically as by tanh(z).
    """
    if not beta > 0 or dim < 2:
        raise InputError(f"hopfield needs beta > 0 and dim ≥ 2, not beta = {beta}, dim = {dim}.")
    patterns = orthogonal(dim, seed + 1)[:, :2]
    weights, multipliers, shares = [0.5], [beta / 2], [1.0 if beta <= 2 else 0.0]
    if beta > 2:
        p = root(
            lambda p: 1 / (1 + math.exp(-beta * (2 * p - 1))) - p,
            lambda p: 2 * beta / (2 + 2 * math.cosh(beta * (2 * p - 1))) - 1,
            1.0,
        )
        weights += [p, 1 - p]
        multipliers += [2 * beta * p * (1 - p)] * 2
        shares += [0.5, 0.5]
    known = []
    for weight, multiplier, share in zip(weights, multipliers, shares, strict=True):
        point = patterns @ torch.tensor([weight, 1 - weight], dtype=torch.float64)
        eigenvalues = torch.zeros(dim, dtype=torch.float64)
        eigenvalues[0] = multiplier
        known.append(KnownSet.periodic(point[None], eigenvalues, share))
    return Oracle(
        name=f"Hopfield, β = {beta:g}",
        field=as_field(
            lambda z: torch.softmax(beta * (z @ patterns), dim=1) @ patterns.mT,
            (dim,),
            f"Hopfield, β = {beta:g}",
        ),
        starts=normal(count, seed, dim),
        limit_sets=tuple(known),
        statuses=frozenset({Status.SLOW}) if beta == 2 else SETTLES,
    )


def _line_shares(points: list[float], low: float, high: float) -> list[float | None]:
    """Tell how much of [low, high] is nearest to each point."""
    ordered = sorted(points)
    edges = [low, *((a + b) / 2 for a, b in itertools.pairwise(ordered)), high]
    share = {
        point: (min(right, high) - max(left, low)) / (high - low)
        for point, (left, right) in zip(ordered, itertools.pairwise(edges), strict=True)
    }
    return [share[point] for point in points]
