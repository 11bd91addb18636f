"""This file tells how unlike two limit sets of different fields are: by who ends there, by where they are, by what they decode to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from separatrix.limitsets import LimitSets

TRACE = 32  # points that stand for a curve or a long cycle


def contingency(before: Tensor, after: Tensor, sizes: tuple[int, int]) -> Tensor:
    """``(m, m')`` int64: starts with label i before and j after; label −1 counts nowhere.

    >>> contingency(torch.tensor([0, 0, 1, -1]), torch.tensor([1, 0, 1, 1]), (2, 2)).tolist()
    [[1, 1], [0, 1]]
    """
    both = (before >= 0) & (after >= 0)
    cells = before[both] * sizes[1] + after[both]
    return torch.bincount(cells, minlength=sizes[0] * sizes[1]).reshape(sizes)


def basin_dissimilarity(shared: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """1 − |A ∩ B| / |A ∪ B| (Jaccard 1912) from the table of shared starts and the two basin sizes; 1 for two empty basins."""
    union = before[:, None] + after[None, :] - shared
    return 1 - shared.to(torch.float64) / union.clamp(min=1)


def chamfer_distances(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """``(m, m')`` float64 distances between sets of points ``(p, …)``: the mean of the two mean nearest distances.

    For single points that is their Euclidean distance; for two samples of one curve it is small whatever the phase.

    >>> chamfer_distances([torch.tensor([[0.0], [1.0]])], [torch.tensor([[1.0], [0.0]]), torch.tensor([[3.0]])]).tolist()
    [[0.0, 2.25]]
    """
    table = torch.zeros((len(before), len(after)), dtype=torch.float64)
    ours, theirs = ([_flat(points) for points in sets] for sets in (before, after))
    if all(len(points) == 1 for points in (*ours, *theirs)) and ours and theirs:  # the usual case, in one piece
        a, b = torch.cat(ours), torch.cat(theirs)
        for row, point in enumerate(a):  # exact differences: a matrix product would cancel near zero
            table[row] = (b - point).norm(dim=1)
        return table
    for row, a in enumerate(ours):
        for column, b in enumerate(theirs):
            gaps = (a[:, None] - b[None]).norm(dim=2)
            table[row, column] = (gaps.amin(dim=1).mean() + gaps.amin(dim=0).mean()) / 2
    return table


def sampled_trace(limits: LimitSets, index: int) -> Tensor:
    """At most 32 points of one set, evenly along it, ``(p, *latent)``."""
    trace = limits.trace(index)
    return trace[torch.linspace(0, len(trace) - 1, min(TRACE, len(trace))).round().long()]


def _flat(points: Tensor) -> Tensor:
    return points.detach().flatten(1).to("cpu", torch.float64)
