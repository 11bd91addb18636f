"""This file tells what is left of pictures that pass through an autoencoder again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked, whole
from separatrix.cost import NO_WORK, Cost
from separatrix.numerics import bootstrap_means, interval_of
from separatrix.storage import storable
from separatrix.studies._drift.headline import drift_statement
from separatrix.studies._drift.loss import BANDS, PARTS
from separatrix.studies._drift.quality import psnr_of
from separatrix.studies._drift.rates import doubling_time, part_rates
from separatrix.studies._drift.safe import SHARE, SafeTrips, safe_trips
from separatrix.words import Statement, Tabular

MARKS = (1, 2, 5, 10, 20, 40, 80)
"""Trips at which tables and sentences look, as far as there are so many."""


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Drift(Tabular):
    """n pictures over N trips. Every number of trip t is of the pictures as they are in hand after it: decoded, edited,
    and cut off at black and white as on a screen.

    Attributes:
        model: name of the field.
        edits: what is done between two trips, in words.
        names: of the pictures.
        psnr: ``(n, N)`` dB against the original, 100 at most.
        ssim: ``(n, N)`` against the original; NaN where it is not known.
        step_psnr, step_ssim: ``(n, N)`` against the picture one trip before.
        parts: ``(n, N, 8)`` the mean squared error taken apart, by `PARTS`; its sum is the whole.
        new: ``(n, N, 4)`` the last part by band of spatial frequency.
        gains: ``(n, N, 4)`` how much of each band of the original is left; NaN where it had nothing.
        brightness: ``(n, N)`` mean of the picture less that of the original.
        contrast: ``(n, N)`` its standard deviation over that of the original.
        where: ``(2, h, w)`` squared error after the first and the last trip, mean over pictures and channels.
        pictures: ``(m, f, c, h, w)`` uint8, the first few pictures after the trips ``frames``, black at 0 and white at 255.
        frames: numbers of trips, 0 first.
        values: the values of black and white.
        bar: PSNR in dB below which a picture counts as spoilt.
        notes: what is not known, and why.
        broken: names of the pictures that came back with NaN or infinity from some trip; where they did they count as black or white.
        cost: map evaluations.
        provenance: field, seed.
    """

    _facts: ClassVar[tuple[str, ...]] = (
        "safe",
        "badge",
        "half_life",
        "idempotence_gap",
        "rates",
        "gain_rates",
        "marks",
    )

    model: str
    edits: tuple[str, ...]
    names: tuple[str, ...]
    psnr: Tensor
    ssim: Tensor
    step_psnr: Tensor
    step_ssim: Tensor
    parts: Tensor
    new: Tensor
    gains: Tensor
    brightness: Tensor
    contrast: Tensor
    where: Tensor
    pictures: Tensor
    frames: tuple[int, ...]
    values: tuple[float, float] = (0.0, 1.0)
    bar: float = 30.0
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    cost: Cost = NO_WORK
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.psnr)

    @checked
    def first(self, count: int) -> Drift:
        """The drift of the first few pictures; where the error is stays that of all."""
        whole("count", count, 0)
        columns = ("psnr", "ssim", "step_psnr", "step_ssim", "parts", "new", "gains", "brightness", "contrast")
        kept: dict[str, Any] = {name: getattr(self, name)[:count] for name in columns}
        names = self.names[:count]
        broken = tuple(name for name in self.broken if name in names)
        return replace(self, names=names, broken=broken, pictures=self.pictures[:count], **kept)

    @property
    def trips(self) -> int:
        """Count how many there were."""
        return self.psnr.shape[1]

    @property
    def marks(self) -> tuple[int, ...]:
        """Trips at which tables look: some of the first, and the last."""
        return tuple(sorted({*(mark for mark in MARKS if mark <= self.trips), self.trips}))

    @property
    def squared_error(self) -> Tensor:
        """``(n, N)`` mean squared error: the sum of its parts."""
        return self.parts.sum(dim=2)

    @property
    def safe(self) -> SafeTrips:
        """Count how many trips 95 % of such pictures survive above the bar."""
        return self.safe_trips(self.bar)

    @checked
    def safe_trips(self, bar: float, *, share: float = SHARE) -> SafeTrips:
        """The same for another bar, in dB, or another share of the pictures."""
        return safe_trips(self.psnr, bar, share=share)

    @property
    def badge(self) -> str:
        """One line for a model card."""
        return self.safe.badge

    @cached_property
    def doubling(self) -> Tensor:
        """``(n,)`` the trip, between two trips, at which the squared error is twice that of the first (−3 dB); infinite if it never is."""
        return doubling_time(self.squared_error)

    @property
    def half_life(self) -> float:
        """The trip at which the mean PSNR is 3 dB below that of the first, so that the error has doubled; infinite if it never is."""
        mean = self.psnr.mean(dim=0, keepdim=True)
        return float(doubling_time(10 ** (-mean / 10))[0])

    @property
    def idempotence_gap(self) -> float:
        """Root mean square of F(F(x)) − F(x) in shares of white; 0 of a projection, NaN after a single trip."""
        if self.trips < 2:
            return float("nan")
        return float((10 ** (-self.step_psnr[:, 1] / 10)).mean().sqrt())

    @property
    def rates(self) -> dict[str, float]:
        """By which factor each part of the error grows or shrinks per trip, over the later half; NaN where there is none of it."""
        return dict(zip(PARTS, part_rates(self.parts.mean(dim=0)).tolist(), strict=True))

    @property
    def gain_rates(self) -> dict[str, float]:
        """By which factor what is left of each band is multiplied per trip, g_N^{1/N}; NaN where nothing is left."""
        left = self.gains.nanmean(dim=0)[-1]
        return dict(zip(BANDS, left.clamp(min=0).where(left > 0, torch.nan).pow(1 / self.trips).tolist(), strict=True))

    def interval(self, what: str = "psnr") -> tuple[Tensor, Tensor]:
        """``(N,)`` low and high: the 95 % bootstrap interval over pictures of the mean of one of the columns per picture and trip."""
        values: Tensor = getattr(self, what)
        if len(self) < 2:
            unknown = torch.full((self.trips,), torch.nan, dtype=torch.float64)
            return unknown, unknown.clone()
        return interval_of(bootstrap_means(values))

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per trip, means over the pictures."""
        columns: dict[str, Sequence[Any]] = {"trip": list(range(1, self.trips + 1))}
        for name in ("psnr", "ssim"):
            low, high = self.interval(name)
            columns[name] = getattr(self, name).mean(dim=0).tolist()
            columns |= {f"{name}_low": low.tolist(), f"{name}_high": high.tolist()}
        for name in ("step_psnr", "step_ssim", "brightness"):
            columns[name] = getattr(self, name).mean(dim=0).tolist()
        columns["contrast"] = self.contrast.nanmean(dim=0).tolist()
        columns["above_the_bar"] = (self.psnr >= self.bar).double().cumprod(dim=1).mean(dim=0).tolist()
        for i, part in enumerate(PARTS):
            columns[f"error_{part.replace(' ', '_')}"] = self.parts[:, :, i].mean(dim=0).tolist()
        for i, band in enumerate(BANDS):
            columns[f"left_{band.replace(' ', '_')}"] = self.gains[:, :, i].nanmean(dim=0).tolist()
        return columns

    @property
    def rows_of_pictures(self) -> Mapping[str, Sequence[Any]]:
        """One row per picture: PSNR at the marks, and when its error had doubled."""
        return {
            "picture": list(self.names),
            **{f"psnr_{mark}": self.psnr[:, mark - 1].tolist() for mark in self.marks},
            "doubled": self.doubling.tolist(),
        }

    @property
    def statement(self) -> Statement:
        """Tell how often a picture may pass, and how it rots."""
        return drift_statement(
            safe=self.safe,
            psnr={mark: float(self.psnr[:, mark - 1].mean()) for mark in self.marks},
            half_life=self.half_life,
            contrasts=self.contrast[:, -1],
            broken=len(self.broken),
        )

    def __repr__(self) -> str:
        first, last = (float(self.psnr[:, trip].mean()) for trip in (0, -1))
        return (
            f"Drift({self.model}: {len(self)} pictures, {self.trips} trips, {', '.join(self.edits) or 'nothing'} between them; PSNR "
            f"{first:.1f} to {last:.1f} dB; {self.badge})"
        )


def step_error(now: Tensor, before: Tensor, values: tuple[float, float]) -> Tensor:
    """``(n,)`` PSNR of pictures against those of one trip before."""
    return psnr_of((now.to(torch.float64) - before.to(torch.float64)).square().flatten(1).mean(dim=1).cpu(), values)
