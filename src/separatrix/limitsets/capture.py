"""Capture: the last stretch of an orbit is not walked if its steps show where it leads.

While orbits run, every step is shown to the regions of the attractors known so far (and to the closed curves). An orbit with
enough evidence ends there. With ``Protocol.trails`` so does one that follows the trail of an earlier orbit for long enough
(`separatrix.limitsets.trails`), which is weaker evidence. The orbit itself is never touched, and no map evaluation is spent on watching it.
What is known does not change during a run, so the step at which an orbit is captured does not depend on the batch size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.limitsets.approach import Approach
from separatrix.limitsets.curves import NEAR, CurveSearch
from separatrix.limitsets.library import Library
from separatrix.limitsets.trails import Following, Trails
from separatrix.numerics.closed_curve import ClosedCurve


class Capture:
    """Watches one run of ``count`` orbits; the set of each is in ``labels``, or its curve in ``curve_labels`` (−1: none).

    ``ahead`` is −1, or for an orbit captured on a trail the number of steps that the earlier orbit still made from there.
    """

    def __init__(self, library: Library, curves: CurveSearch, trails: Trails | None, count: int) -> None:
        device = library.field.device
        self.labels = torch.full((count,), -1, dtype=torch.int64, device=device)
        self.curve_labels = self.labels.clone()
        self._known = library.regions_for(1)
        self._approach = Approach.none(count, device)
        self._tubes = [
            (number, known.watched, _Tube(known.curve, device))
            for number, known in enumerate(curves.curves)
            if known.stable == 1
        ]
        self.ahead = self.labels.clone()
        self._trails, self._following = trails, Following.none(count, device)
        self._near_curve = torch.zeros((len(self._tubes), count), dtype=torch.int64, device=device)

    @property
    def captured(self) -> Tensor:
        """``(count,)`` bool."""
        return (self.labels >= 0) | (self.curve_labels >= 0)

    def see(self, orbit: Tensor, z: Tensor, f_z: Tensor) -> Tensor:
        """One step of the active orbits; ``(b,)`` bool: enough evidence where this one ends."""
        caught = torch.zeros(len(orbit), dtype=torch.bool, device=orbit.device)
        if self._known is not None:
            regions, numbers = self._known
            caught, _ = self._approach.see(regions, orbit, z.flatten(1), f_z.flatten(1))
            self.labels[orbit[caught]] = numbers[self._approach.region[orbit[caught]]]
        for row, (number, watched, tube) in enumerate(self._tubes):
            near = self._near_curve[row]
            near[orbit] = torch.where(tube.holds(z.flatten(1)), near[orbit] + 1, 0)
            around = (near[orbit] >= watched) & ~caught
            self.curve_labels[orbit[around]] = number
            caught |= around
        if self._trails is not None:
            follows, place = self._following.see(self._trails, orbit, z.flatten(1))
            follows &= ~caught
            rows, place = orbit[follows], place[follows]
            fate = self._trails.fate[place]
            self.labels[rows] = torch.where(fate >= 0, fate, -1)
            self.curve_labels[rows] = torch.where(fate >= 0, -1, -2 - fate)
            self.ahead[rows] = self._trails.ahead[place]
            caught |= follows
        return caught


class _Tube:
    """The points within a small distance of a closed curve."""

    def __init__(self, curve: ClosedCurve, device: torch.device) -> None:
        self.corners = torch.from_numpy(curve.points).to(device, torch.float64)
        self.centre = self.corners.mean(dim=0)
        self.radius = NEAR * curve.diameter
        self._following = self.corners.roll(-1, dims=0)
        gap = (self._following - self.corners).norm(dim=1)
        self._reach = self.radius + float(gap.max())

    def holds(self, z: Tensor) -> Tensor:
        """``(n,)`` bool, exact for a curve sampled more densely than it bends."""
        offsets = (self.corners - self.centre).to(z)
        half = 0.5 * offsets.square().sum(dim=1)
        corner = torch.addmm(half, z - self.centre.to(z), offsets.T, alpha=-1.0).argmin(dim=1)
        wide = z.to(torch.float64)
        inside = (wide - self.corners[corner]).norm(dim=1) <= self._reach
        near = inside.nonzero().squeeze(1)
        if len(near):
            points, first = wide[near], corner[near]
            distance = torch.minimum(self._to_segment(points, first), self._to_segment(points, first - 1))
            inside[near] = distance <= self.radius
        return inside

    def _to_segment(self, points: Tensor, corner: Tensor) -> Tensor:
        begin = self.corners[corner]
        along = self._following[corner] - begin
        share = ((points - begin) * along).sum(dim=1) / along.square().sum(dim=1).clamp(min=1e-300)
        return (points - begin - share.clamp(0, 1).unsqueeze(1) * along).norm(dim=1)
