"""Records: the last steps of a few orbits that have moved for long, kept while they run, so that closed curves cost no evaluations."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from separatrix.protocol import Curves


class Records:
    """Rings of points, each of one orbit of a search; an observer that outlives the rounds."""

    name = "records"
    spare = True

    def __init__(self, latent_dim: int, device: torch.device, dtype: torch.dtype, rules: Curves) -> None:
        self._longest = rules.longest_record
        places = max(1, min(rules.records, rules.recorded_numbers // (self._longest * latent_dim)))
        # Not cleared: memory is taken where it is written to.
        self._ring = torch.empty((places, self._longest, latent_dim), dtype=dtype, device=device)
        self._places = torch.arange(places, device=device)
        self._count = torch.zeros(places, dtype=torch.int64, device=device)
        self.orbit = torch.full((places,), -1, dtype=torch.int64, device=device)  # of the search; −1: free
        self._idle = True

    def watch(self, orbits: Tensor, points: Tensor) -> None:
        """Record these orbits of the search from now on, or as many of them as there is room for, far from each other.

        ``points`` ``(n, *latent)`` are where they are: the choice depends on that and not on their order.
        """
        places = (self.orbit < 0).nonzero().squeeze(1)
        chosen = orbits[_far_apart(points.flatten(1).to(torch.float64), len(places))]
        places = places[: len(chosen)]
        self.orbit[places], self._count[places] = chosen, 0
        self._idle = bool((self.orbit < 0).all())

    def release(self, orbits: Tensor) -> None:
        """Forget these orbits."""
        self.orbit[torch.isin(self.orbit, orbits)] = -1
        self._idle = bool((self.orbit < 0).all())

    def long_enough(self, steps: int) -> list[tuple[int, Tensor]]:
        """Every orbit with a record of at least so many steps, and the record ``(t, k)``, oldest point first."""
        result = []
        for place, (orbit, count) in enumerate(zip(self.orbit.tolist(), self._count.tolist(), strict=True)):
            if orbit >= 0 and count >= steps:
                path = torch.roll(self._ring[place], -count % self._longest, dims=0)
                result.append((orbit, path[max(self._longest - count, 0) :]))
        return result

    def part(self, orbits: Tensor) -> Records | None:
        """Return the records of those of these orbits that have one, which are numbered 0 … in their order; None if none has."""
        here = (self.orbit[:, None] == orbits) & (self.orbit[:, None] >= 0)
        places = here.any(dim=1).nonzero().squeeze(1)
        if not len(places):
            return None
        part = copy(self)
        part._ring, part._count = self._ring[places], self._count[places]
        part.orbit = here[places].to(torch.int64).argmax(dim=1)
        part._places = torch.arange(len(places), device=places.device)
        return part

    def put(self, orbits: Tensor, part: Records) -> None:
        """Take over what was recorded of these orbits (:meth:`part`)."""
        places = (self.orbit[:, None] == orbits[part.orbit]).to(torch.int64).argmax(dim=0)
        self._ring[places], self._count[places] = part._ring, part._count

    def begin(self, count: int, like: Tensor) -> None:
        """Nothing is kept of the other orbits."""

    def see(self, orbit: Tensor, step: Tensor, z: Tensor, f_z: Tensor) -> None:  # noqa: ARG002
        """Overwrite the oldest point of those that are recorded."""
        if self._idle:
            return
        here, row = (self.orbit[:, None] == orbit).max(dim=1)
        here &= self.orbit >= 0
        oldest = self._places, self._count % self._longest
        self._ring[oldest] = torch.where(here[:, None], z[row].flatten(1), self._ring[oldest])
        self._count += here

    def result(self) -> None:
        """Nothing per orbit."""


def _far_apart(points: Tensor, most: int) -> Tensor:
    """Up to ``most`` rows, each the farthest from all before it (Gonzalez 1985), the first from the centre; of equals the first by
    its coordinates."""
    rows = points.isfinite().all(dim=1).nonzero().squeeze(1)
    for column in range(points.shape[1] - 1, -1, -1) if len(rows) > most else ():
        rows = rows[points[rows, column].argsort(stable=True)]
    if len(rows) <= most:
        return rows
    flat = points[rows]
    gap = (flat - flat.mean(dim=0)).norm(dim=1)
    chosen: list[int] = []
    while len(chosen) < most:
        chosen.append(int(gap.argmax()))
        after = (flat - flat[chosen[-1]]).norm(dim=1)
        gap = torch.minimum(gap, after) if len(chosen) > 1 else after
        gap[chosen] = -1.0
    return rows[chosen]
