"""Capture: the last stretch of an orbit is not walked if it is certain where it leads.

While orbits run, every step is shown to the trapping regions of the attractors known so far, and to tubes around the closed curves
that attract. An orbit with enough evidence ends there. The orbit itself is never touched, and no map evaluation is spent on watching
it. What is known does not change during a round, so the step at which an orbit is captured does not depend on the batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.limitsets._approach import Approach
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._regions import TrappingRegions
from separatrix.numerics import ClosedCurve
from separatrix.orbits._looks import Closely, worth
from separatrix.protocol import Curves


@dataclass(frozen=True)
class Frozen:
    """The part of a catalogue that captures orbits, as it is at the head of a round.

    Attributes:
        regions: of all attracting fixed points and cycles, and the number of the set of each; None if there are none.
        curves: the attracting closed curves: number, loops, steps near it that an orbit must make, and distance from it to anything else.
        rules: what speaks for a curve.
    """

    regions: tuple[TrappingRegions, Tensor] | None
    curves: tuple[tuple[int, tuple[ClosedCurve, ...], int, float], ...]
    rules: Curves

    @classmethod
    def of(cls, catalogue: Catalogue) -> Frozen:
        """Take all that attracts."""
        curves = tuple(
            (number, one.loops, one.watched, catalogue.clear_of_curve(number))
            for number, one in catalogue.curves()
            if one.stable == 1
        )
        return cls(catalogue.regions(), curves, catalogue.protocol.curves)


class Capture:
    """Watches a round of ``count`` orbits; ``set`` ``(count,)`` says which set each was captured by, −1 for none.

    Orbits that are ``exempt`` ``(count,)`` are never captured.
    """

    def __init__(self, known: Frozen, count: int, device: torch.device, exempt: Tensor | None = None) -> None:
        rows = count + 1  # the last one, −1, stands for orbits that have ended
        self._free = torch.ones(rows, dtype=torch.bool, device=device)
        if exempt is not None:
            self._free[:count] = ~exempt
        self._sets = torch.full((rows,), -1, dtype=torch.int64, device=device)
        self.set = self._sets[:count]
        self._known = known.regions
        self._approach = Approach.none(rows, device)
        self._tubes = [Tube(*curve, rows, device, known.rules) for curve in known.curves]

    def see(self, orbit: Tensor, z: Tensor, f_z: Tensor) -> Tensor:
        """One step of the active orbits, −1 for one that has ended; ``(b,)`` bool: certain where this one ends."""
        free, flat = self._free[orbit], z.flatten(1)
        caught = torch.zeros_like(free)
        if not worth(free):
            return caught
        if self._known is not None:
            regions, numbers = self._known
            caught = self._approach.see(regions, orbit, flat, f_z.flatten(1), free)
            self._give(orbit, caught, numbers[self._approach.region[orbit]])
        for tube in self._tubes:
            around = tube.see(orbit, flat) & free & ~caught
            self._give(orbit, around, tube.number)
            caught |= around
        return caught

    def _give(self, orbit: Tensor, where: Tensor, number: Tensor | int) -> None:
        self._sets[orbit] = torch.where(where, number, self._sets[orbit])


class Tube:
    """The points near the loops of one closed curve, and how long each orbit has been among them.

    An orbit moves on the curve if it stays in the tube for ``watched`` consecutive steps and either is on the curve to within
    the polygon's own resolution or has come twice as near meanwhile. Staying near alone is not enough: it may be on its way to, or
    on, another curve a fraction of a per cent beside this one.
    """

    def __init__(
        self,
        number: int,
        loops: Sequence[ClosedCurve],
        watched: int,
        clear: float,
        count: int,
        device: torch.device,
        rules: Curves,
    ) -> None:
        self.number = number
        self._watched, self._fall = watched, rules.fall
        parts = [torch.from_numpy(loop.points).to(device, torch.float64) for loop in loops]
        self._corners = torch.cat(parts)
        self._centre = self._corners.mean(dim=0)
        self._radius = min(rules.near * max(loop.diameter for loop in loops), rules.clear * clear)
        self._after, self._before = (torch.cat([part.roll(shift, dims=0) for part in parts]) for shift in (-1, 1))
        gap = (self._after - self._corners).norm(dim=1)
        self._reach = self._radius + float(gap.max())
        self._resolution = rules.on_curve * max(loop.thinness for loop in loops) * float(gap.median())
        self._stayed = torch.zeros(count, dtype=torch.int64, device=device)
        self._first = torch.zeros(count, dtype=torch.float64, device=device)

    def see(self, orbit: Tensor, z: Tensor) -> Tensor:
        """The active orbits are at z, flat ``(b, k)``; ``(b,)`` bool: this one moves on the curve."""
        distance = self.distance(z)
        inside = distance <= self._radius
        stayed = torch.where(inside, self._stayed[orbit] + 1, 0)
        first = torch.where(stayed > 1, self._first[orbit], distance)
        self._stayed[orbit], self._first[orbit] = stayed, first
        return (stayed >= self._watched) & (distance <= (self._fall * first).clamp(min=self._resolution))

    def distance(self, z: Tensor) -> Tensor:
        """``(n,)`` float64 to the polygon, exact within the tube of a curve sampled more densely than it bends; farther out that
        to its nearest corner."""
        offsets = (self._corners - self._centre).to(z)
        half = 0.5 * offsets.square().sum(dim=1)
        corner = torch.addmm(half, z - self._centre.to(z), offsets.T, alpha=-1.0).argmin(dim=1)
        wide = z.to(torch.float64)
        distance = (wide - self._corners[corner]).norm(dim=1)
        near = Closely(distance <= self._reach)
        if near:
            points, place = near.of(wide), near.of(corner)
            begin = self._corners[place]
            ahead, behind = (_to_segment(points, begin, other[place]) for other in (self._after, self._before))
            near.put(distance, torch.minimum(ahead, behind))
        return distance


def _to_segment(points: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    along = end - begin
    share = ((points - begin) * along).sum(dim=1) / along.square().sum(dim=1).clamp(min=1e-300)
    return (points - begin - share.clamp(0, 1).unsqueeze(1) * along).norm(dim=1)
