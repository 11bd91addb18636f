"""Exact nearest neighbours. Matrix products find candidates, exact differences measure them.

The textbook expansion ‖a − b‖² = ‖a‖² − 2a·b + ‖b‖² (also `torch.cdist`'s default for more than 25 points) cancels
catastrophically near zero, which is where attractors are: 100 % relative error at a true distance of 1e-3 in float32.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_ELEMENTS_AT_ONCE = 2**22  # entries of one block of the distance table
_CANDIDATES = 4


class Neighbours(NamedTuple):
    """For each query: index of its nearest point, and the distance in float64."""

    index: Tensor  # type: ignore[assignment]  # the field's usual name, though tuple has a method of that name
    distance: Tensor


def nearest(queries: Tensor, points: Tensor) -> Neighbours:
    """Nearest of ``points`` ``(m, …)`` to each of ``queries`` ``(n, …)``; with m = 0 the distance is infinite, index −1.

    >>> nearest(torch.tensor([[0.9], [2.6]]), torch.tensor([[0.0], [1.0], [3.0]])).index.tolist()
    [1, 2]
    """
    a, b = queries.flatten(1), points.flatten(1).to(queries)
    n, m = len(a), len(b)
    if m == 0:
        return Neighbours(a.new_full((n,), -1, dtype=torch.int64), a.new_full((n,), torch.inf, dtype=torch.float64))
    index = a.new_zeros(n, dtype=torch.int64)
    distance = a.new_zeros(n, dtype=torch.float64)
    # Centring on the points keeps the cancellation of the candidate search harmless even far from the origin.
    centre = b.mean(dim=0)
    b_centred = b - centre
    half_norms = 0.5 * b_centred.square().sum(dim=1)
    count = min(_CANDIDATES, m)
    width = max(1, _ELEMENTS_AT_ONCE // max(m, count * a.shape[1], 1))
    for first in range(0, n, width):
        rows = slice(first, first + width)
        closeness = torch.addmm(half_norms, a[rows] - centre, b_centred.T, beta=-1.0)
        candidates = closeness.nan_to_num(nan=-torch.inf).topk(count, dim=1).indices
        exact = (a[rows].unsqueeze(1) - b[candidates]).to(torch.float64).norm(dim=2)
        best = exact.nan_to_num(nan=torch.inf).min(dim=1)
        index[rows] = candidates.gather(1, best.indices[:, None]).squeeze(1)
        distance[rows] = best.values
    return Neighbours(index, distance)


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
