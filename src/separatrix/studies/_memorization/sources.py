"""This file tells what different starts find: attractors from training images, from unseen ones and from noise, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from separatrix.limitsets import LimitSets, same_sets
from separatrix.numerics import Distance, nearest_items, spread
from separatrix.orbits import Fates
from separatrix.storage import storable


@storable
@dataclass(frozen=True)
class Source:
    """The attractors that one kind of start reaches.

    Attributes:
        starts: how many there were.
        attractors: distinct attractors they reached.
        shared: how many of these the training starts reached too.
        fates: what became of the starts.
        evaluations: cost of the search, in map evaluations.
    """

    starts: int
    attractors: int
    shared: int
    fates: Fates
    evaluations: float

    @property
    def distinct(self) -> float:
        """Distinct attractors per start (the paper's percentage of unique attractors)."""
        return self.attractors / max(self.starts, 1)


@storable
@dataclass(frozen=True)
class ChamferSimilarity:
    """It tells how alike the attractors from noise and those from training images are, as sets of latents.

    Attributes:
        cosine: ½(mean over a of max cos(a, b) + mean over b of max cos(a, b)): 1 for equal sets.
        euclidean: the same mean of distances to the nearest, in units of the spread of the training end points: 0 for
            equal sets.
    """

    cosine: float
    euclidean: float

    @property
    def sentence(self) -> str:
        """Both, and how to read them."""
        return (
            f"Attractors from noise and from training images: the nearest of the other kind has a cosine of {self.cosine:.3f} on "
            f"average (Chamfer similarity; 1: the same sets) and is {self.euclidean:.3g} spreads away (0: the same sets)."
        )


def sources(searches: Mapping[str, LimitSets]) -> dict[str, Source]:
    """One row per search; the first is the one the others are compared with."""
    first = next(iter(searches.values())).attractors
    table = {}
    for name, limits in searches.items():
        attractors = limits.attractors
        table[name] = Source(
            starts=len(limits.labels),
            attractors=len(attractors),
            shared=int((same_sets(attractors, first) >= 0).sum()),
            fates=limits.fates,
            evaluations=limits.cost.total,
        )
    return table


def chamfer_similarity(noise: LimitSets, train: LimitSets) -> ChamferSimilarity | None:
    """Symmetric Chamfer similarity of two sets of attractors (Fumero et al., ICLR 2026); None where one is empty.

    >>> import torch
    >>> from separatrix import LatentField, find_attractors
    >>> field = LatentField.from_map(lambda z: z.mul(2).tanh(), (1,), dtype=torch.float64)
    >>> limits = find_attractors(field, torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
    >>> chamfer_similarity(limits, limits)
    ChamferSimilarity(cosine=1.0, euclidean=0.0)
    """
    ours, theirs = noise.attractors.points, train.attractors.points
    if not len(ours) or not len(theirs):
        return None

    def both_ways(distance: Distance) -> float:
        there, back = nearest_items(ours, theirs, 1, distance), nearest_items(theirs, ours, 1, distance)
        return 0.5 * float(there.distance.mean() + back.distance.mean())

    unit = spread(train.orbits.points.cpu())
    return ChamferSimilarity(round(1 - both_ways("cosine"), 15), both_ways("euclidean") / unit)
