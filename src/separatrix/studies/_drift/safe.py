"""This file tells how often a picture may pass: the number of trips that most pictures survive, with an exact interval."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.numerics import clopper_pearson
from separatrix.storage import storable
from separatrix.studies._drift.quality import require_bar
from separatrix.words import Readable, counted, percent

SHARE = 0.95
"""Of the pictures that must stay above the bar."""


@storable
@dataclass(frozen=True, kw_only=True, repr=False)
class SafeTrips(Readable):
    """The number of trips during which a share of all such pictures stays above a bar.

    Attributes:
        bar: PSNR in dB.
        share: of the pictures that must stay.
        images: measured.
        followed: trips measured; no number here is larger.
        alive: after trip 1, 2, …: how many of the measured pictures had never been below the bar.
        trips: the largest number of trips after which at least that share of the measured pictures had stayed.
        low: that many trips all such pictures survive in that share, with 97.5 % certainty.
        high: no more than that, with 97.5 % certainty; equal to ``followed`` where that was not seen.
    """

    bar: float
    share: float
    images: int
    followed: int
    alive: tuple[int, ...]
    trips: int
    low: int
    high: int

    @property
    def words(self) -> str:
        """The number with its interval, such as ``"3 trips (95 %: 2 to 4)"``."""
        more = " or more" if self.trips == self.followed else ""
        end = f"{self.high} or more" if self.high == self.followed else str(self.high)
        return f"{counted(self.trips, 'trip')}{more} (95 %: {self.low} to {end})"

    @property
    def badge(self) -> str:
        """One line for a model card."""
        more = " or more" if self.trips == self.followed else ""
        return f"{counted(self.trips, 'edit')}{more} at {self.bar:g} dB, {percent(self.share)} of {counted(self.images, 'picture')}"


def lasts(psnr: Tensor, bar: float) -> Tensor:
    """``(n,)`` int64: after how many trips in a row each picture of ``(n, trips)`` had never been below the bar.

    >>> lasts(torch.tensor([[31.0, 29.0, 30.5], [32.0, 31.0, 30.0]]), 30.0).tolist()
    [1, 3]
    """
    return (psnr >= bar).to(torch.int64).cumprod(dim=1).sum(dim=1)


@checked
def safe_trips(psnr: Tensor, bar: float = 30.0, *, share: float = SHARE) -> SafeTrips:
    """Count how many trips a share of all pictures of this kind survives: the (1 − share) quantile of `lasts`, with an exact interval.

    Of n pictures k_t have survived t trips; k_t is binomial with the share p_t of all such pictures, and the answer is the largest t with
    p_t ≥ share. Clopper and Pearson's interval of each p_t is inverted: since p_t falls with t, ``low`` is too large, and
    ``high`` too small, with at most 2.5 % each, whatever the truth is.

    Args:
        psnr: ``(n, trips)`` in dB.
        bar: in dB.
        share: of the pictures.

    Raises:
        InputError: no pictures, a bar that no picture could be above, or a share that is not between 0 and 1.

    >>> found = safe_trips(torch.tensor([[31.0, 30.0, 29.0]]).expand(100, 3), 30.0)
    >>> found.trips, found.low, found.high, found.badge
    (2, 2, 2, '2 edits at 30 dB, 95 % of 100 pictures')
    """
    if psnr.ndim != 2 or not psnr.numel():
        raise InputError("Safe trips are counted on at least one picture and one trip.")
    require_bar(bar)
    if not 0 < share < 1:
        raise InputError(f"The share of pictures that must stay above the bar lies between 0 and 1, not at {share}.")
    count, followed = psnr.shape
    survived = lasts(psnr, bar)
    alive = torch.stack([(survived >= trip).sum() for trip in range(1, followed + 1)])
    low, high = clopper_pearson(alive, count)
    return SafeTrips(
        bar=bar,
        share=share,
        images=count,
        followed=followed,
        alive=tuple(alive.tolist()),
        trips=int((alive >= share * count - 1e-9).sum()),
        low=int((low >= share).sum()),
        high=int((high >= share).sum()),
    )
