"""Exact nearest neighbours. Matrix products find candidates, exact differences measure them.

The textbook expansion ‖a − b‖² = ‖a‖² − 2a·b + ‖b‖² (also `torch.cdist`'s default for more than 25 points) cancels
catastrophically near zero, which is where attractors are: 100 % relative error at a true distance of 1e-3 in float32.
But how far it errs is known, so it gives a lower bound, and what the bound does not exclude is measured.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.words import one_line

_ELEMENTS_AT_ONCE = 2**19  # entries of one block of the distance table: what a cache holds
_CANDIDATES = 4
_MANY = 256  # points from which on a search within a distance sorts them first, and queries that share a slab
_FEW_ELEMENTS = 2**18  # up to here measuring everything takes less time than choosing what to measure
_COARSE = 2.0**-8  # unit roundoff of a float32 product that the user allows to be computed in TF32 or bfloat16


class Neighbours(NamedTuple):
    """For each query: index of its nearest point, and the distance in float64."""

    index: Tensor  # type: ignore[assignment]  # the field's usual name, though tuple has a method of that name
    distance: Tensor

    def __repr__(self) -> str:
        return one_line(self)


@checked
def nearest(queries: Tensor, points: Tensor, within: float = math.inf) -> Neighbours:
    """Nearest of ``points`` ``(m, …)`` to each of ``queries`` ``(n, …)``, the first of those that are equally near.

    With m = 0, or for a query that is not finite, the distance is infinite; with m = 0 the index is −1. Among many points only those
    ``within`` a distance are looked for, which takes less than looking at all; where there is none, what is returned is farther, or
    infinity and −1.

    >>> nearest(torch.tensor([[0.9], [2.6]]), torch.tensor([[0.0], [1.0], [3.0]])).index.tolist()
    [1, 2]
    """
    a, b = queries.flatten(1), points.flatten(1).to(queries)
    n, m = len(a), len(b)
    if m == 0:
        return Neighbours(a.new_full((n,), -1, dtype=torch.int64), a.new_full((n,), torch.inf, dtype=torch.float64))
    if within < math.inf and m >= _MANY and n:
        return _in_slabs(a, b, within)
    index = a.new_zeros(n, dtype=torch.int64)
    distance = a.new_zeros(n, dtype=torch.float64)
    if n * m * a.shape[1] <= _FEW_ELEMENTS:
        best = _measured(a.unsqueeze(1), b).min(dim=1)
        return Neighbours(best.indices, best.values)
    # Centring on the points keeps the cancellation of the candidate search harmless even far from the origin.
    centre = b.mean(dim=0)
    b_centred = b - centre
    shrink = 1 - 4 * product_error(a.shape[1], a.dtype)
    b_squares = shrink * b_centred.square().sum(dim=1)
    underflow = 4 * a.shape[1] * torch.finfo(a.dtype).tiny  # what so many products may lose
    count = min(_CANDIDATES, m)
    width = max(1, _ELEMENTS_AT_ONCE // max(m, count * a.shape[1], 1))
    for first in range(0, n, width):
        rows = slice(first, first + width)
        ours = a[rows] - centre
        a_squares = shrink * ours.square().sum(dim=1, keepdim=True) - underflow
        lower = torch.addmm(b_squares, ours, b_centred.T, alpha=-2.0).add_(a_squares)
        lower.nan_to_num_(nan=-torch.inf, posinf=-torch.inf)  # what has overflowed excludes nothing
        close = lower.topk(count, dim=1, largest=False)
        candidates = close.indices.sort(dim=1).values  # min takes the first of equals
        best = _measured(a[rows].unsqueeze(1), b[candidates]).min(dim=1)
        index[rows] = candidates.gather(1, best.indices[:, None]).squeeze(1)
        distance[rows] = best.values
        if count == m:
            continue
        reach = best.values.square() * (2 - shrink)
        doubtful = (a[rows].isfinite().all(dim=1) & ~(reach < close.values[:, -1])).nonzero().squeeze(1)
        if len(doubtful):
            again = _among(a[rows][doubtful], b, ~(lower[doubtful] > reach[doubtful, None]))
            index[first + doubtful], distance[first + doubtful] = again
    return Neighbours(index, distance)


def _in_slabs(queries: Tensor, points: Tensor, within: float) -> Neighbours:
    """The nearest in the slab across the longest axis of the points in which whatever is within reach lies."""
    wide = points.to(torch.float64)
    centred = wide - wide.mean(dim=0)
    axis = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1] if wide.shape[1] <= _MANY else centred[0]
    axis = axis / axis.norm().clamp(min=torch.finfo(torch.float64).tiny)
    place, order = (wide @ axis).sort()
    query, rows = (queries.to(torch.float64) @ axis).sort()
    reach = within + 1e-9 * (within + float(place.abs().max()))
    index = torch.full((len(queries),), -1, dtype=torch.int64, device=queries.device)
    distance = torch.full_like(index, torch.inf, dtype=torch.float64)
    for block, at in zip(rows.split(_MANY), query.split(_MANY), strict=True):
        low, high = torch.searchsorted(
            place, torch.stack([at[0] - reach, at.nan_to_num(nan=-torch.inf).max() + reach])
        ).tolist()
        chosen = order[low:high].sort().values
        found = nearest(queries[block], points[chosen])
        index[block], distance[block] = torch.cat([chosen, chosen.new_tensor([-1])])[found.index], found.distance
    return Neighbours(index, distance)


def nearest_other(queries: Tensor, points: Tensor, own: Tensor) -> Neighbours:
    """Nearest of ``points`` ``(m, …)`` to each of ``queries`` ``(n, …)`` apart from ``points[own]`` ``(n,)``, the query itself.

    >>> line = torch.tensor([[0.0], [1.0], [3.0]])
    >>> nearest_other(line, line, torch.arange(3)).distance.tolist()
    [1.0, 1.0, 2.0]
    """
    a, b = queries.flatten(1), points.flatten(1).to(queries)
    index, distance = own.new_zeros(len(a)), a.new_zeros(len(a), dtype=torch.float64)
    for rows in torch.arange(len(a), device=a.device).split(max(1, _ELEMENTS_AT_ONCE // max(b.numel(), 1))):
        table = _measured(a[rows].unsqueeze(1), b).scatter_(1, own[rows, None], torch.inf)
        distance[rows], index[rows] = table.min(dim=1)
    return Neighbours(index, distance)


def pairwise(points: Tensor) -> Tensor:
    """``(n, n)`` distances of flat points ``(n, k)`` from each other, by differences.

    >>> pairwise(torch.tensor([[0.0], [3.0]])).tolist()
    [[0.0, 3.0], [3.0, 0.0]]
    """
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def first_apart(near: Tensor, taken: Tensor | None = None) -> Tensor:
    """Rows of a symmetric table ``near`` ``(n, n)`` bool, from the first on, each near none of those chosen before; none ``taken``.

    >>> first_apart(torch.tensor([[1, 1, 0], [1, 1, 1], [0, 1, 1]]).bool()).tolist()
    [0, 2]
    """
    table, chosen = near.cpu().numpy(), []
    free = torch.ones(len(near), dtype=torch.bool).numpy() if taken is None else ~taken.cpu().numpy()
    for row in range(len(table)):
        if free[row]:
            chosen.append(row)
            free &= ~table[row]
    return torch.tensor(chosen, dtype=torch.int64, device=near.device)


def _among(queries: Tensor, points: Tensor, possible: Tensor) -> Neighbours:
    """The nearest of those points that are ``possible`` ``(n, m)``, all of them measured."""
    table = torch.full(possible.shape, torch.inf, dtype=torch.float64, device=queries.device)
    for pairs in possible.nonzero().split(max(1, _ELEMENTS_AT_ONCE // max(queries.shape[1], 1))):
        row, column = pairs.T
        table[row, column] = _measured(queries[row], points[column])
    best = table.min(dim=1)
    return Neighbours(best.indices, best.values)


def product_error(length: int, dtype: torch.dtype) -> float:
    """γ = n u/(1 − n u) with n = length + 8: how far a dot product of vectors of that length errs, as a share of ‖a‖ ‖b‖.

    Holds for any order of summation (Higham 2002, section 3.1); the 8 leave room for a few operations before and after it. So
    ‖a‖² − 2a·b + ‖b‖² errs by at most γ (‖a‖ + ‖b‖)² ≤ 2γ (‖a‖² + ‖b‖²), and with the squares shrunk by 1 − 4γ it is
    a lower bound of ‖a − b‖². Infinite where n u ≥ 1.

    >>> product_error(92, torch.float64) == 100 * 2.0**-53 / (1 - 100 * 2.0**-53)
    True
    """
    unit = torch.finfo(dtype).eps / 2
    if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
        unit = _COARSE
    error = (length + 8) * unit
    return error / (1 - error) if error < 1 else float("inf")


def _measured(queries: Tensor, points: Tensor) -> Tensor:
    """‖a − b‖ in float64 over the last axis; infinite instead of NaN."""
    difference = queries.to(torch.float64) - points.to(torch.float64)
    return difference.norm(dim=-1).nan_to_num(nan=torch.inf, posinf=torch.inf)


def spread(points: Tensor) -> float:
    """√(mean ‖z − mean z‖²): the length unit of all tolerances.

    A cloud without extent has no unit of its own; then its distance from the origin serves, or else 1. Points that are NaN or
    infinite are left out.

    >>> spread(torch.tensor([[-3.0], [3.0]]))
    3.0
    """
    flat = points.flatten(1).to(torch.float64)
    flat = flat[flat.isfinite().all(dim=1)]
    if not len(flat):
        return 1.0
    centre = flat.mean(dim=0)
    width = float((flat - centre).square().sum(dim=1).mean().sqrt())
    rounding = 1e3 * torch.finfo(points.dtype).eps * float(centre.norm())
    return width if width > rounding else (float(centre.norm()) or 1.0)
