"""Bootstrap means of paired measurements."""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.errors import InputError


def bootstrap_means(values: Tensor, *, repeats: int = 2000, seed: int = 0) -> Tensor:
    """Means over items drawn anew with replacement (Efron 1979), ``(repeats, c)`` float64.

    The same items are drawn for all columns, and for all calls with one seed and one number of items: so differences of
    columns, and ratios of their means, are paired.

    Args:
        values: ``(n, c)``, one row per item, n ≥ 2.
        repeats: resamples.
        seed: of the draws.

    Raises:
        InputError: fewer than two items or no repeat.
    """
    if len(values) < 2:
        raise InputError(f"An interval needs at least 2 items, not {len(values)}; give more.")
    if repeats < 1:
        raise InputError(f"A bootstrap needs at least one repeat, not {repeats}.")
    items = len(values)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(items, (repeats, items), generator=generator)
    times = torch.zeros((repeats, items), dtype=torch.float64)
    times.scatter_add_(1, drawn, torch.ones_like(times))
    return times @ values.detach().to("cpu", torch.float64) / items


def interval_of(means: Tensor, level: float = 0.95) -> tuple[Tensor, Tensor]:
    """The percentile interval of each column of `bootstrap_means`, ``(c,)`` low and high.

    >>> low, high = interval_of(torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None])
    >>> round(low.item(), 12), round(high.item(), 12)
    (0.025, 0.975)
    """
    if not 0 < level < 1:
        raise InputError(f"A confidence level lies between 0 and 1, not at {level}.")
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = torch.quantile(means.to(torch.float64), ends, dim=0)
    return low, high
