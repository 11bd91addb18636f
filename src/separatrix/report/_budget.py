"""This file tells how many map evaluations figures may cost: a share of what the search cost, so that looking never costs more than finding."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from separatrix.limitsets import LimitSets
from separatrix.plots._film import TIMES

_SHARE = 0.25  # of the search, for the portrait and for the film each
_MAP_SHARE = 1.0  # of the search, for the map of basins, which is a search of its own
_LEAST = 400  # evaluations that a figure gets however cheap the search was
_FINEST = 90  # points per side of a portrait; more are not seen
_LARGEST_MAP, _SMALLEST_MAP = 40, 16  # starts per side of a map of basins


@dataclass(frozen=True)
class FigureBudget:
    """It tells what each figure may cost. Counted in map evaluations, so that figures are the same on every machine.

    Attributes:
        portrait: for the portrait of the field.
        film: for the films of a few inputs.
        basins: for the map of basins.
        steps: an orbit's, on average.

    >>> FigureBudget(portrait=1000, film=400, basins=6000, steps=10.0).portrait_side
    31
    """

    portrait: int
    film: int
    basins: int
    steps: float

    @classmethod
    def after(cls, searches: Iterable[LimitSets]) -> FigureBudget:
        """A quarter of what the searches cost for the portrait and for the film each, and as much again for a map of basins."""
        found = list(searches)
        cost = sum(limits.cost.total for limits in found)
        steps = torch.cat([limits.orbits.steps[limits.orbits.followed].cpu() for limits in found]).to(torch.float64)
        each = max(_LEAST, int(_SHARE * cost))
        average = float(steps.mean()) if len(steps) else 1.0
        return cls(each, each, max(_LEAST, int(_MAP_SHARE * cost)), max(average, 1.0))

    @property
    def portrait_side(self) -> int:
        """Grid points per side of the portrait."""
        return min(_FINEST, math.isqrt(self.portrait))

    @property
    def map_side(self) -> int:
        """Starts per side of the map of basins."""
        return max(_SMALLEST_MAP, min(_LARGEST_MAP, math.isqrt(int(self.basins / self.steps))))

    def times(self, inputs: int) -> tuple[int, ...]:
        """Numbers of round trips that a film of so many inputs shows; the first always, later ones while they can be paid.

        >>> FigureBudget(portrait=400, film=400, basins=400, steps=1.0).times(4)
        (1, 2, 4, 8, 16, 64)
        """
        return TIMES[:1] + tuple(time for time in TIMES[1:] if inputs * time <= self.film)
