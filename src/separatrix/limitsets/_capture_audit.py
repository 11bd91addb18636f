"""The audit of a search: some captured orbits are followed to their very end, to see whether they were judged right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from separatrix.numerics import clopper_pearson
from separatrix.storage import storable_part
from separatrix.words import Readable


@dataclass(frozen=True, repr=False)
class StatisticalCaptures(Readable):
    """Labels that rest on a sample: orbits ended where earlier orbits near theirs went, with a bound of how many are wrong.

    Attributes:
        captured: orbits that were ended so.
        followed: how many of the random sample, which was followed, the same rule would have ended.
        disagreements: how many of those went elsewhere.
        bound: with 95 % confidence at most this share of the captured have a wrong label (`separatrix.limitsets._statistical`).
    """

    captured: int
    followed: int
    disagreements: int
    bound: float

    @property
    def sentence(self) -> str:
        """Say it in words, for reports."""
        return (
            f"{self.captured:,} orbits were ended early, where earlier orbits beside them had gone; of a random sample of {self.followed:,} that "
            f"were followed all the same, {self.disagreements:,} went elsewhere, so at most {100 * self.bound:.2f} % of these labels are wrong (95 % confidence)."
        )


def _read(fields: dict[str, Any]) -> CaptureAudit:
    sample = fields.get("statistical")  # files from before there were statistical captures do not have it
    return CaptureAudit(**{**fields, "statistical": sample and StatisticalCaptures(**sample)})


@storable_part("audit", _read)
@dataclass(frozen=True, repr=False)
class CaptureAudit(Readable):
    """It tells how often capture agreed with plain iteration in float64, on a random sample.

    Attributes:
        captured: orbits that ended in a region of contraction or near a closed curve.
        checked: how many of them were continued until they came to rest.
        agreed: how many of those ended on the set they had been given.
        rounds: 1, or more if a disagreement made the regions shrink and the audit start again. The counts are those of
            the last round.
        abandoned: the last round still disagreed, so all captured orbits were followed to their end and none was believed.
        statistical: labels that rest on a sample, none of which are counted above; None if there are none.
    """

    _facts: ClassVar[tuple[str, ...]] = ("fidelity", "interval")

    captured: int
    checked: int
    agreed: int
    rounds: int = 1
    abandoned: bool = False
    statistical: StatisticalCaptures | None = None

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
        """Say it in words, for reports."""
        more = f" {self.statistical.sentence}" if self.statistical else ""
        if not self.checked:
            return f"Audit of orbits that were ended early (captured): none of {self.captured:,} was followed to its end.{more}"
        low, high = self.interval
        again = f", regions shrunk {self.rounds - 1}×" if self.rounds > 1 else ""
        end = " All others were then followed to their end as well." if self.abandoned else ""
        return (
            f"Audit of orbits that were ended early (captured): {self.agreed} of {self.checked}, followed to their end, reached the set they were given "
            f"(95 % interval {100 * low:.1f} % to {100 * high:.1f} %; {self.captured:,} orbits "
            f"were captured, these {self.checked} among them, which now have the status of their end, as have those on a closed curve{again}).{end}{more}"
        )
