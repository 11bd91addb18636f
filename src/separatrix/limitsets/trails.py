"""Trails: an orbit that keeps close to the way of an earlier one goes where that one went.

Most steps of most orbits are made far from every attractor, in channels that lead there and that all orbits of a basin share.
The second generation of a search is therefore recorded. Every point of a recorded orbit has

* a *fate*: the set on which its orbit ended (unknown for one that ended on none);
* a *clearance*: the smallest distance that its orbit keeps, from here to its end, from anything of another fate: the points of
  other recorded orbits, those of unknown fate included, and all limit sets known. A way that is about to pass a fork has little.

An orbit follows a trail if at IN_A_ROW looks, EVERY steps apart, the recorded point nearest to it is nearer than SHARE of that
point's clearance (and of the spread), always with the same fate, and it has not fallen farther behind over those looks. This is
evidence and no proof: a fork whose other branch no recorded orbit took has a clearance that is too large. So the search asks
again with the clearances of the end, and its audit follows a sample to the end.

How often the fate was wrong and what trails save: `benchmarks/trails.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

SHARE = 0.04  # of the clearance within which an orbit is on the trail
EVERY = 2  # steps from one look to the next: a look costs about a tenth of a step of a small network
IN_A_ROW = 4
RECORDED_WAYS = 128  # orbits of the second generation
FEWEST = 96  # of them that stay finite: of fewer too many branches are missing
MOST_POINTS = 2**13  # of all recorded orbits together; of more, every second, third, … is kept
UNKNOWN = -1
_ROWS = 512  # of the table of distances at once


@dataclass(frozen=True)
class Trails:
    """Recorded points; rows are points.

    Attributes:
        points: ``(m, k)``.
        fate: ``(m,)`` int64.
        clearance: ``(m,)`` float64.
        ahead: ``(m,)`` int64, how many steps the recorded orbit still made from here.
        radius: ``(m,)`` float64, distance within which an orbit is on the trail.
    """

    points: Tensor
    fate: Tensor
    clearance: Tensor
    ahead: Tensor
    radius: Tensor

    def look(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For flat points ``(n, k)``, in any precision: the nearest recorded point, the distance to it (float64), and whether that is on its trail.

        NaN rows are on none.
        """
        z = z.to(self.points)
        closeness = torch.addmm(self._half_norms, z - self._centre, self._offsets, alpha=-1.0)
        index = closeness.nan_to_num(nan=torch.inf).argmin(dim=1)
        distance = (z - self.points[index]).to(torch.float64).norm(dim=1)
        return index, distance, distance <= self.radius[index]

    @cached_property
    def _centre(self) -> Tensor:
        return self.points.mean(dim=0)

    @cached_property
    def _offsets(self) -> Tensor:
        return (self.points - self._centre).T.contiguous()

    @cached_property
    def _half_norms(self) -> Tensor:
        return 0.5 * self._offsets.square().sum(dim=0)


class TrailBook:
    """Recorded orbits of a search, and the trails they make once it is known where they ended."""

    def __init__(self, spread: float, fewest: int = FEWEST) -> None:
        self.share = SHARE
        self._spread, self._fewest = spread, fewest
        self._ways: list[_Way] = []
        self._made: tuple[tuple[float, ...], Trails | None] = ((), None)

    def record(self, orbits: Sequence[int], paths: Sequence[Tensor]) -> None:
        """Add the ways ``(t, *latent)`` of these orbits, from their start to where they ended or were captured by a region."""
        ways = zip(orbits, paths, strict=True)
        self._ways += [_Way(orbit, path.flatten(1)) for orbit, path in ways if bool(path.isfinite().all())]

    def trails(self, fates: Tensor, limits: LimitPoints) -> Trails | None:
        """The trails with the fates of all orbits ``(n,)`` as they are known now; None if there are too few, or none leads anywhere."""
        if len(self._ways) < self._fewest:
            return None
        own = fates[[way.orbit for way in self._ways]].tolist()
        known = [fate if fate in limits.attracting else UNKNOWN for fate in own]
        key = (*own, len(limits.points), self.share)
        if self._made[0] != key:
            self._made = (key, self._make(known, limits) if any(fate != UNKNOWN for fate in known) else None)
        return self._made[1]

    def _make(self, fates: list[int], limits: LimitPoints) -> Trails:
        stride = -(-sum(len(way.points) for way in self._ways) // MOST_POINTS)
        kept = [way.points.flip(0)[::stride] for way in self._ways]  # from the end, so that the end itself is kept
        lengths = [len(path) for path in kept]
        points = torch.cat(kept)
        fate = torch.tensor(fates, device=points.device).repeat_interleave(torch.tensor(lengths, device=points.device))
        everything = torch.cat([points, limits.points.to(points)])
        now = _distance_to_others(points, fate, everything, torch.cat([fate, limits.fates.to(fate)]))
        clearance = torch.cat([part.cummin(dim=0).values for part in now.split(lengths)]).clamp(max=self._spread)
        ahead = stride * torch.cat([torch.arange(length, device=points.device) for length in lengths])
        return Trails(points, fate, clearance, ahead, torch.where(fate == UNKNOWN, -1.0, self.share * clearance))


@dataclass(frozen=True)
class _Way:
    orbit: int
    points: Tensor  # (t, k)


@dataclass(frozen=True)
class LimitPoints:
    """Points of all limit sets known, ``(m, k)`` with the fate of each ``(m,)``, and which fates attract."""

    points: Tensor
    fates: Tensor
    attracting: frozenset[int]


def _distance_to_others(points: Tensor, fate: Tensor, everything: Tensor, fates: Tensor) -> Tensor:
    """Distance of each point to the nearest of ``everything`` that has another fate, or an unknown one and is not itself."""
    wide = everything.to(torch.float64)
    centre = wide.mean(dim=0)
    wide = wide - centre
    norms = wide.square().sum(dim=1)
    result = []
    for first in range(0, len(points), _ROWS):
        rows = slice(first, first + _ROWS)
        block = points[rows].to(torch.float64) - centre
        squared = torch.addmm(norms, block, wide.T, alpha=-2.0) + block.square().sum(dim=1, keepdim=True)
        squared.masked_fill_(fate[rows, None] == fates, torch.inf)
        result.append(squared.amin(dim=1).clamp(min=0).sqrt())
    return torch.cat(result)


@dataclass
class Following:
    """Evidence so far, one row per orbit: steps seen, which fate's trail, how many looks in a row, how near at the first."""

    age: Tensor  # (n,) int64
    fate: Tensor  # (n,) int64
    streak: Tensor  # (n,) int64
    first: Tensor  # (n,) float64

    @classmethod
    def none(cls, count: int, device: torch.device) -> Following:
        """No evidence yet."""
        integers = torch.zeros(count, dtype=torch.int64, device=device)
        return cls(integers, integers.clone(), integers.clone(), torch.zeros(count, dtype=torch.float64, device=device))

    def see(self, trails: Trails, orbit: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The orbits with these indices are at z, flat ``(b, k)``, a step after they were last seen.

        Returns ``(b,)`` bool: on a trail long enough; ``(b,)`` int64: the recorded point nearest to those, −1 for the others.
        """
        self.age[orbit] += 1
        accepted = torch.zeros(len(orbit), dtype=torch.bool, device=orbit.device)
        place = torch.full_like(orbit, -1)
        due = (self.age[orbit] % EVERY == 0).nonzero().squeeze(1)
        if len(due):
            rows = orbit[due]
            index, distance, on = trails.look(z[due])
            fate = trails.fate[index]
            going_on = on & (self.streak[rows] > 0) & (self.fate[rows] == fate)
            self.first[rows] = torch.where(going_on, self.first[rows], distance)
            self.streak[rows] = torch.where(going_on, self.streak[rows] + 1, on.to(torch.int64))
            self.fate[rows] = fate
            enough = (self.streak[rows] >= IN_A_ROW) & (distance <= self.first[rows])
            accepted[due] = enough
            place[due] = torch.where(enough, index, -1)
        return accepted, place
