"""The audit of a search: some captured orbits are followed to their very end, to see whether they were judged right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from separatrix.numerics.intervals import clopper_pearson


@dataclass(frozen=True)
class Audit:
    """How often capture agreed with plain iteration in float64, on a random sample.

    Attributes:
        captured: orbits that ended in a region of contraction or near a closed curve.
        checked: how many of them were continued until they came to rest.
        agreed: how many of those ended on the set they had been given.
        rounds: 1, or more if a disagreement made the regions shrink and the audit start again. The counts are those of
            the last round.
        abandoned: the last round still disagreed, so all captured orbits were followed to their end and none was believed.
    """

    captured: int
    checked: int
    agreed: int
    rounds: int = 1
    abandoned: bool = False

    @property
    def fidelity(self) -> float:
        """Share of agreement; NaN if nothing was checked."""
        return self.agreed / self.checked if self.checked else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval (Clopper–Pearson) of the fidelity."""
        low, high = clopper_pearson(torch.tensor([self.agreed]), self.checked)
        return float(low), float(high)

    @property
    def sentence(self) -> str:
        """In words, for reports."""
        if not self.checked:
            return f"Audit: none of {self.captured:,} captured orbits was followed to its end."
        low, high = self.interval
        again = f", regions shrunk {self.rounds - 1}×" if self.rounds > 1 else ""
        end = " All others were then followed to their end as well." if self.abandoned else ""
        return (
            f"Audit: {self.agreed} of {self.checked} captured orbits, followed to their end, reached the set they were given "
            f"(95 % interval {low:.1%} to {high:.1%}; {self.captured:,} captured, "
            f"these {self.checked} included, whose status now tells how they came to rest{again}).{end}"
        )
