"""This file tells how much evidence it takes: the steps of an orbit that speak for one attractor, counted until they suffice.

An orbit is accepted after at least three good steps in a row (see `separatrix.limitsets._regions`) over which ‖z − a‖_P fell
tenfold, or after sixteen that were linear by a margin. Three steps alone do not suffice for strongly non-normal, strongly curved
maps; how many of the accepted points escape from 400 random ones, and how long the wait is, with either rule:
`benchmarks/trapping.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.limitsets._regions import TrappingRegions
from separatrix.orbits._looks import Closely


@dataclass
class Approach:
    """Evidence so far, one row per orbit: which region, how many good steps in a row, how many of the last of them were
    linear by a margin, and ‖z − a‖_P at the first."""

    region: Tensor  # (n,) int64
    streak: Tensor  # (n,) int64
    firm: Tensor  # (n,) int64
    first: Tensor  # (n,) float64

    @classmethod
    def none(cls, count: int, device: torch.device) -> Approach:
        """No evidence yet for any of ``count`` orbits."""
        integers = torch.zeros(count, dtype=torch.int64, device=device)
        return cls(integers, integers.clone(), integers.clone(), torch.zeros(count, dtype=torch.float64, device=device))

    def see(
        self, regions: TrappingRegions, orbit: Tensor, z: Tensor, f_z: Tensor, free: Tensor | bool = True
    ) -> Tensor:
        """One step z → f(z), flat ``(b, k)``, of those orbits of these indices that are ``free``; ``(b,)`` bool: accepted.

        No map evaluations.
        """
        expected = self.region[orbit]
        region = self.region[orbit] = regions.nearest(z, expected)
        away = (z.to(torch.float64) - regions.points[region]).norm(dim=1)
        near = Closely((away <= torch.maximum(regions.reach, regions.floor)[region]) & free)
        accepted = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        streak = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        firm = streak.clone()
        if near:
            rows, place = near.of(orbit), near.of(region)
            step = regions.evidence(near.of(z), near.of(f_z), place)
            going_on = (
                step.good & (self.streak[rows] > 0) & (near.of(expected) == place)
            )  # the region that it was to go to
            first = torch.where(going_on, self.first[rows], step.before)
            length = torch.where(going_on, self.streak[rows] + 1, step.good.to(torch.int64))
            self.first[rows], self.region[rows] = first, regions.successor[place]
            margin = torch.where(step.firm, torch.where(going_on, self.firm[rows], 0) + 1, 0)
            near.put(streak, length)
            near.put(firm, margin)
            rules = regions.rules
            fell = (rules.fall * step.after <= first) | step.arrived
            near.put(
                accepted, ((length >= rules.in_a_row * regions.lap[place]) & fell) | (margin >= rules.firm_in_a_row)
            )
        self.streak[orbit], self.firm[orbit] = streak, firm
        return accepted
