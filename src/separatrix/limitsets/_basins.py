"""This file tells how much of the starts each limit set attracts, with intervals, and how mixed the basins are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.limitsets._sets import LimitSets
from separatrix.numerics import clopper_pearson
from separatrix.orbits import Fates, fate_of_each
from separatrix.storage import Columnar

_SHOWN = 8  # fractions in the short form


@dataclass(frozen=True)
class Basins(Columnar):
    """Basin fractions of the limit sets of a search, in the same order.

    Attributes:
        fractions: ``(m,)`` share of all starts that ended on each set.
        low, high: ``(m,)`` exact binomial intervals (Clopper–Pearson) at ``level``.
        unresolved: share of the starts that reached none of these sets (`LimitSets.fates` says what became of them).
        entropy: −Σ p ln p over the fractions of the starts that reached a set, in nats; 0 if one set takes all, ln m
            if m sets share equally.
        level: confidence level of the intervals.
    """

    _columns: ClassVar[tuple[str, ...]] = ("fractions", "low", "high")

    fractions: Tensor
    low: Tensor
    high: Tensor
    unresolved: float
    entropy: float
    level: float

    def __repr__(self) -> str:
        shares = ", ".join(f"{share:.3f}" for share in self.fractions[:_SHOWN].tolist())
        more = f" and {len(self.fractions) - _SHOWN} more" if len(self.fractions) > _SHOWN else ""
        return f"Basins({shares or 'none'}{more}; {self.unresolved:.3f} reached none; entropy {self.entropy:.3f} nats)"


@checked
def basins(limits: LimitSets, *, level: float = 0.95) -> Basins:
    """Basin fractions with binomial intervals. They are shares of *these starts*, not of the latent space.

    >>> from separatrix import LatentField, find_attractors
    >>> field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,), dtype=torch.float64)
    >>> limits = find_attractors(field, torch.linspace(-1, 1, 10, dtype=torch.float64)[:, None])
    >>> basins(limits).fractions.tolist(), round(basins(limits).entropy, 4)
    ([0.5, 0.5], 0.6931)
    """
    count = len(limits.labels)
    low, high = clopper_pearson(limits.hits, count, level)
    reached = limits.hits.sum()
    shares = limits.hits[limits.hits > 0].to(torch.float64) / reached.clamp(min=1)
    return Basins(
        fractions=limits.fractions,
        low=low,
        high=high,
        unresolved=1 - float(reached) / max(count, 1),
        entropy=abs(float(-(shares * shares.log()).sum())),
        level=level,
    )


def shares_without_set(limits: LimitSets) -> dict[str, float]:
    """The share of the starts that ended on none of these sets, by what became of them, in the words of `Fate`.

    They add up to `Basins.unresolved`.
    """
    elsewhere = limits.labels < 0
    fates = Fates.of(fate_of_each(limits.orbits.status[elsewhere]))
    return {fate.short: number / len(limits.labels) for fate, number in fates.counts.items()}


@checked
def basin_entropy(labels: Tensor, box: int = 5) -> float:
    """Basin entropy of a 2-D grid of labels: how uncertain the final state is at the scale of ``box`` cells.

    The grid is cut into boxes of ``box`` × ``box`` cells; in each, S = −Σ p_i ln p_i over the labels in it; the result is
    the mean over boxes (Daza et al., Scientific Reports 2016). 0: every box lies in one basin. Cells without a set (−1)
    count as a state of their own. A remainder smaller than a box is left out.

    Args:
        labels: ``(h, w)`` integers, as from ``limits.labels.reshape(h, w)`` for `starts.grid`.
        box: side of a box, in cells.

    Raises:
        InputError: not a grid, or smaller than one box.

    >>> half = torch.arange(10).ge(5).long().expand(10, 10)
    >>> basin_entropy(half, box=5), round(basin_entropy(half, box=10), 4)
    (0.0, 0.6931)
    """
    if labels.ndim != 2 or min(labels.shape) < box or box < 1:
        raise InputError(
            f"basin_entropy needs a 2-D grid of at least {box}×{box} labels, not shape {tuple(labels.shape)}; "
            "reshape the labels of a grid of starts to (h, w), or choose a smaller box."
        )
    tiles = labels.unfold(0, box, box).unfold(1, box, box).reshape(-1, box * box)
    values = torch.unique(labels)
    shares = (tiles.unsqueeze(2) == values).to(torch.float64).mean(dim=1)
    return float(-torch.special.xlogy(shares, shares).sum(dim=1).mean()) + 0.0
