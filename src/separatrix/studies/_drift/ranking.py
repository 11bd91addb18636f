"""Several models, or several ways to edit, on the same pictures: who keeps them best, and is that certain?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import scipy
import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.numerics import bootstrap_means, interval_of
from separatrix.storage import storable
from separatrix.studies._drift.result import Drift
from separatrix.words import Statement, Tabular, Tone, counted, signed


@storable
class Ranked(StrEnum):
    """A first place is certain, or it is not."""

    FIRST = "one is ahead"
    LEVEL = "the first are level"


@dataclass(frozen=True)
class Difference:
    """PSNR of one drift less that of another on the same pictures: its mean in dB, and the 95 % interval over pictures."""

    mean: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """Write it with its sign and interval."""
        between = "" if self.low != self.low else f" (95 %: {signed(self.low, 1)} to {signed(self.high, 1)})"
        return f"{signed(self.mean, 1)} dB{between}"


def difference(one: Drift, other: Drift, trip: int) -> Difference:
    """The paired difference of PSNR after one trip.

    Raises:
        InputError: the drifts are of different pictures.
    """
    require_same_pictures([one, other])
    values = (one.psnr[:, trip - 1] - other.psnr[:, trip - 1])[:, None]
    low, high = interval_of(bootstrap_means(values)) if len(values) > 1 else (torch.tensor([torch.nan]),) * 2
    return Difference(float(values.mean()), float(low), float(high))


def require_same_pictures(drifts: Sequence[Drift]) -> None:
    """Refuse to compare what is not of the same pictures; names may be mere numbers, so those that were kept are compared too.

    Raises:
        InputError: names, numbers of pictures or trips differ, or there is nothing.
    """
    if not drifts:
        raise InputError("There is nothing to compare; give at least one drift.")
    one = drifts[0]
    for other in drifts[1:]:
        kept = min(len(one.pictures), len(other.pictures))
        alike = not kept or same_bytes(one.pictures[:kept, 0], other.pictures[:kept, 0])
        if other.names != one.names or other.trips != one.trips or not alike:
            raise InputError(
                f"{one.model} and {other.model} were not measured on the same pictures for as many trips; measure both alike."
            )


def same_bytes(one: Tensor, other: Tensor) -> bool:
    """Are these bytes the same, but for what rounding to them may do?"""
    return one.shape == other.shape and bool(((one.to(torch.int16) - other.to(torch.int16)).abs() <= 1).all())


@storable
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DriftRanking(Tabular):
    """Models by how good pictures are after the last trip, best first.

    Attributes:
        models: names, best first.
        marks: trips that are looked at.
        psnr: ``(m, marks)`` mean over the pictures.
        behind: ``(m, marks, 3)`` the best model's PSNR less each one's, paired: mean, and the 95 % interval over pictures.
        safe: safe trips in words, model by model.
        safe_trips: their numbers.
        doubled: the trip at which the error had doubled.
        badges: lines for model cards.
        bar: PSNR in dB of the safe trips.
        agreement: Spearman's rank correlation of the order after one trip with that after the last; NaN for fewer than three models.
    """

    _facts: ClassVar[tuple[str, ...]] = ()

    models: tuple[str, ...]
    marks: tuple[int, ...]
    psnr: Tensor
    behind: Tensor
    safe: tuple[str, ...]
    safe_trips: tuple[int, ...]
    doubled: tuple[float, ...]
    badges: tuple[str, ...]
    bar: float
    agreement: float

    def __len__(self) -> int:
        return len(self.models)

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per model."""
        columns: dict[str, Sequence[Any]] = {"model": list(self.models)}
        columns |= {f"psnr_{mark}": self.psnr[:, i].tolist() for i, mark in enumerate(self.marks)}
        for place, name in enumerate(("behind", "behind_low", "behind_high")):
            columns[name] = self.behind[:, -1, place].tolist()
        return columns | {
            "safe_trips": list(self.safe_trips),
            "doubled": list(self.doubled),
            "first_trip_rank": (1 + self._order(0)).tolist(),
        }

    @property
    def statement(self) -> Statement:
        """Say who is first, whether that is certain, and whether one trip would have told."""
        last = self.marks[-1]
        if len(self) == 1:
            return Statement("One model", f"{self.models[0]}: {self.safe[0]}.", Ranked.FIRST)
        mean, low, high = self.behind[1, -1].tolist()
        gap = Difference(mean, low, high).words
        certain = low > 0
        headline = (
            f"{self.models[0]} keeps pictures best" if certain else f"{self.models[0]} and {self.models[1]} are level"
        )
        trips = counted(last, "trip")
        detail = f"after {trips} it is {gap} ahead of {self.models[1]}." if certain else f"{gap} after {trips}."
        if low != low:
            headline = f"{self.models[0]} is ahead on one picture"
            detail = f"{gap} after {trips}; one picture cannot tell whether that holds for others."
        code = Ranked.FIRST if certain else Ranked.LEVEL
        first = int(self.psnr[:, 0].argmax())
        told = (
            "After a single trip the same model is first."
            if first == 0
            else f"After a single trip {self.models[first]} is first: reconstruction error alone would choose another model."
        )
        return Statement(headline, detail, code, Tone.OPEN).followed_by(told)

    def _order(self, mark: int) -> Tensor:
        """Each model's place at one of the marks, from 0."""
        return (-self.psnr[:, mark]).argsort().argsort()

    def __repr__(self) -> str:
        return f"DriftRanking({len(self)} models; {self.statement})"


def drift_ranking(drifts: Sequence[Drift]) -> DriftRanking:
    """Order drifts of several models on the same pictures by PSNR after the last trip, with paired intervals.

    Raises:
        InputError: the drifts are of different pictures, trips, edits or bars, two models have one name, or there is none.

    Cost: no map evaluations.
    """
    require_same_pictures(drifts)
    if len({one.bar for one in drifts}) > 1:
        raise InputError("Safe trips are compared at one bar; measure all models with the same bar=.")
    if len({one.model for one in drifts}) < len(drifts) or len({one.edits for one in drifts}) > 1:
        raise InputError("A ranking is of different models with the same edits between trips; give each model once.")
    ordered = sorted(drifts, key=lambda one: -float(one.psnr[:, -1].mean()))
    marks = ordered[0].marks
    psnr = torch.stack([one.psnr[:, [mark - 1 for mark in marks]].mean(dim=0) for one in ordered])
    rows = [[difference(ordered[0], one, mark) for mark in marks] for one in ordered]
    behind = torch.tensor([[[d.mean, d.low, d.high] for d in row] for row in rows], dtype=torch.float64)
    agreement = float("nan")
    if len(ordered) > 2:
        agreement = float(scipy.stats.spearmanr(psnr[:, 0], psnr[:, -1]).statistic)
    return DriftRanking(
        models=tuple(one.model for one in ordered),
        marks=marks,
        psnr=psnr,
        behind=behind,
        safe=tuple(one.safe.words for one in ordered),
        safe_trips=tuple(one.safe.trips for one in ordered),
        doubled=tuple(one.half_life for one in ordered),
        badges=tuple(one.badge for one in ordered),
        bar=ordered[0].bar,
        agreement=agreement,
    )
