"""How much evidence it takes: the steps of an orbit that speak for one attractor, counted until they suffice.

An orbit is accepted after at least three good steps in a row (see `separatrix.limitsets.regions`) over which ‖z − a‖_P fell
tenfold. Three steps alone do not suffice for strongly non-normal, strongly curved maps: on 400 random quadratic maps 520 of
123,017 accepted points escaped; with the tenfold fall none of 122,498 did, and the median wait is five steps instead of
three (`benchmarks/trapping.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.limitsets.regions import TrappingRegions

IN_A_ROW = 3
FALL = 10.0


@dataclass
class Approach:
    """Evidence so far, one row per orbit: which region, how many good steps in a row, and ‖z − a‖_P at the first of them."""

    region: Tensor  # (n,) int64
    streak: Tensor  # (n,) int64
    first: Tensor  # (n,) float64

    @classmethod
    def none(cls, count: int, device: torch.device) -> Approach:
        """No evidence yet for any of ``count`` orbits."""
        integers = torch.zeros(count, dtype=torch.int64, device=device)
        return cls(integers, integers.clone(), torch.zeros(count, dtype=torch.float64, device=device))

    def see(self, regions: TrappingRegions, orbit: Tensor, z: Tensor, f_z: Tensor) -> tuple[Tensor, Tensor]:
        """One step z → f^p(z), flat ``(b, k)``, of the orbits with these indices.

        Returns ``(b,)`` bool: accepted; ``(b,)`` bool: this step was good. No map evaluations.
        """
        region = regions.nearest(z)
        away = (z.to(torch.float64) - regions.points[region]).norm(dim=1)
        near = (away <= torch.maximum(regions.radius, regions.floor)[region]).nonzero().squeeze(1)
        good = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        accepted = good.clone()
        streak = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        if len(near):
            rows, place = orbit[near], region[near]
            step = regions.evidence(z[near], f_z[near], place)
            going_on = step.good & (self.streak[rows] > 0) & (self.region[rows] == place)
            first = torch.where(going_on, self.first[rows], step.before)
            length = torch.where(going_on, self.streak[rows] + 1, step.good.to(torch.int64))
            self.first[rows], self.region[rows] = first, place
            good[near], streak[near] = step.good, length
            accepted[near] = (length >= IN_A_ROW) & ((FALL * step.after <= first) | step.arrived)
        self.streak[orbit] = streak
        return accepted, good
