"""This file tells how fast: doubling times of the error, and what its parts are multiplied by per trip."""

from __future__ import annotations

import torch
from torch import Tensor


def doubling_time(squared_error: Tensor) -> Tensor:
    """``(n,)`` the trip at which the squared error ``(n, N)`` is twice that of the first trip, between two trips on its logarithm.

    Infinite where that is not so within N trips, and where the first trip loses nothing.

    >>> doubling_time(torch.tensor([[1.0, 4.0], [1.0, 1.5], [0.0, 1.0]], dtype=torch.float64)).tolist()
    [1.5, inf, inf]
    """
    tiny = torch.finfo(torch.float64).tiny
    goal = (2 * squared_error[:, :1]).clamp(min=tiny).log()
    logs = squared_error.clamp(min=tiny).log()
    over = logs >= goal - 1e-12
    reached = over.any(dim=1) & (squared_error[:, 0] > 0)
    last = over.to(torch.int8).argmax(dim=1).clamp(min=1)
    before, after = (logs.gather(1, index[:, None]) for index in ((last - 1), last.clamp(max=logs.shape[1] - 1)))
    part = ((goal - before) / (after - before)).squeeze(1)
    return torch.where(reached, last + part, torch.inf)


def part_rates(parts: Tensor) -> Tensor:
    """``(k,)`` the factor per trip of the amplitude of each part ``(N, k)`` of a squared error, over its later half.

    >>> part_rates(torch.tensor([[1.0, 0.0], [1.0, 0.0], [4.0, 0.0]], dtype=torch.float64)).tolist()
    [2.0, nan]
    """
    count = len(parts)
    if count < 2:
        return torch.full((parts.shape[1],), torch.nan, dtype=torch.float64)
    begin = min(count // 2, count - 2)
    first, last = parts[begin], parts[-1]
    ratio = torch.where((first > 0) & (last > 0), last / first, torch.nan)
    return ratio.pow(0.5 / (count - 1 - begin))
