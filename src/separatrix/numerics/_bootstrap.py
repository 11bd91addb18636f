"""Bootstrap means of paired measurements."""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError


@checked
def bootstrap_means(values: Tensor, *, repeats: int = 2000, seed: int = 0) -> Tensor:
    """Means over items drawn anew with replacement (Efron 1979), ``(repeats, c)`` float64.

    The same items are drawn for all columns, and for all calls with one seed and one number of items: so differences of
    columns, and ratios of their means, are paired. With several layers, as of measurements with several random
    dictionaries, layers are drawn anew too, independently of the items (Owen 2007, the pigeonhole bootstrap).

    Args:
        values: ``(n, c)``, one row per item, n ≥ 2; or ``(m, n, c)``, m layers of the same items.
        repeats: resamples.
        seed: of the draws.

    Raises:
        InputError: fewer than two items or no repeat.

    >>> values = torch.arange(10, dtype=torch.float64)[:, None]
    >>> low, high = bootstrap_means(values).quantile(torch.tensor([0.025, 0.975]).double(), dim=0).squeeze(1).tolist()
    >>> low < 4.5 < high
    True
    """
    layers = values.detach().to("cpu", torch.float64)
    layers = layers if layers.ndim == 3 else layers.unsqueeze(0)
    items = layers.shape[1]
    if items < 2:
        raise InputError(f"An interval needs at least 2 items, not {items}; give more.")
    if repeats < 1:
        raise InputError(f"A bootstrap needs at least one repeat, not {repeats}.")
    generator = torch.Generator().manual_seed(seed)
    times = _times(items, repeats, generator)
    weights = _times(len(layers), repeats, generator)
    return torch.stack([(times @ layer) * weights[:, [index]] for index, layer in enumerate(layers)]).sum(dim=0)


def _times(count: int, repeats: int, generator: torch.Generator) -> Tensor:
    """``(repeats, count)``: how often each of ``count`` things was drawn in ``count`` draws, as a share."""
    drawn = torch.randint(count, (repeats, count), generator=generator)
    return torch.zeros((repeats, count), dtype=torch.float64).scatter_add_(
        1, drawn, torch.full((repeats, count), 1 / count, dtype=torch.float64)
    )


@checked
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
