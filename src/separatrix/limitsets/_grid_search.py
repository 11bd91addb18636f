"""A search from a grid over a two-dimensional latent space: which point of the plane ends where, for the map of basins."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

from separatrix.arguments import checked
from separatrix.errors import ConvergenceWarning
from separatrix.field import LatentField
from separatrix.limitsets._find import find_attractors
from separatrix.limitsets._sets import Kind, LimitSets
from separatrix.protocol import Protocol
from separatrix.starts import grid
from separatrix.storage import storable
from separatrix.words import Readable
from separatrix.work import Progress

Extent = tuple[float, float, float, float]
"""A rectangle of a plane: (left, right, bottom, top)."""

GRID_RULES = Protocol(tolerance=1e-3, capture=False)
"""The shades of a map of basins are steps: all starts are followed by one rule, none is captured earlier than its
neighbour. Every end is polished and confirmed all the same, so a coarse stop is enough."""


@storable
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GridSearch(Readable):
    """The result of a search from ``starts.grid``, the grid's shape (h, w) and its extent."""

    limits: LimitSets
    shape: tuple[int, int]
    extent: Extent


def grid_rules(known: LimitSets | None) -> Protocol:
    """Return the rules of a map of basins of a field of which a search is known.

    On a closed curve, following an orbit without captures takes thirty times the steps, so that there captures are allowed, and shades are less
    even.
    """
    curves = known is not None and bool((known.kind == int(Kind.CLOSED_CURVE)).any())
    return replace(GRID_RULES, capture=curves)


@checked
def grid_search(
    field: LatentField,
    extent: Extent,
    side: int,
    *,
    known: LimitSets | None = None,
    progress: bool | Progress = False,
) -> GridSearch:
    """Search from ``side``² starts over ``extent`` by `grid_rules`, which ask what is known of the field. Cost: that of `find_attractors`."""
    left, right, bottom, top = extent
    starts = grid((left, bottom), (right, top), shape=(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the map shows it
        found = find_attractors(field, starts, grid_rules(known), progress=progress)
    return GridSearch(limits=found, shape=(side, side), extent=extent)
