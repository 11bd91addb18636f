"""Video: frames through a model one by one, and how much of the loss changes from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ImageSource, tensor_of
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.storage import storable
from separatrix.studies._drift.edits import USUAL, Edit
from separatrix.studies._drift.trips import (
    after_each_trip,
    as_edits,
    only_finite,
    pictures_at_once,
    require_pictures,
    sized,
    warn_if_mistaken,
)
from separatrix.words import Statement, Tabular, Tone, counted, percent
from separatrix.work import Progress

_MUCH = 0.5  # of the error, from which on a loss is said to flicker


@storable
class Steadiness(StrEnum):
    """Does the loss of a video stand still?"""

    STEADY = "stands still"
    FLICKERS = "flickers"


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Flicker(Tabular):
    """Frames over N trips, in their order.

    With e_t the loss of frame t at one place: mean of e² = (mean of e)² + variance of e. The first part stands still, the second flickers.

    Attributes:
        frames: how many.
        squared_error: ``(N,)`` mean squared error over frames and places.
        flicker: ``(N,)`` the temporal variance of the loss, mean over places: a part of the squared error.
        change: ``(N,)`` mean squared change from frame to frame, over that of the original frames; NaN where these stand still.
        broken: frames that came back with NaN or infinity from some trip, and count as black or white there.
    """

    _facts: ClassVar[tuple[str, ...]] = ()

    frames: int
    squared_error: Tensor
    flicker: Tensor
    change: Tensor
    broken: int = 0

    def __len__(self) -> int:
        return len(self.flicker)

    @property
    def share(self) -> Tensor:
        """``(N,)`` how much of the squared error flickers."""
        return torch.where(self.squared_error > 0, self.flicker / self.squared_error, 0.0)

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per trip."""
        return {
            "trip": list(range(1, len(self) + 1)),
            "squared_error": self.squared_error.tolist(),
            "flicker": self.flicker.tolist(),
            "share": self.share.tolist(),
            "change": self.change.tolist(),
        }

    @property
    def statement(self) -> Statement:
        """Say whether the loss of the first trip flickers."""
        share = float(self.share[0])
        details = f"{percent(share)} of the squared error of the first trip changes from frame to frame."
        if self.broken:
            details += f" {counted(self.broken, 'frame')} came back with NaN or infinity, shown as black or white."
        if share > _MUCH:
            return Statement("The loss flickers", details, Steadiness.FLICKERS, Tone.ALARM)
        return Statement("Most of the loss stands still", details, Steadiness.STEADY, Tone.CALM)

    def __repr__(self) -> str:
        return f"Flicker({self.frames} frames, {len(self)} trips; {self.statement})"


@checked
def flicker(
    field: LatentField,
    frames: ImageSource,
    *,
    trips: int = 1,
    edits: Sequence[Edit] = USUAL,
    values: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    progress: bool | Progress = False,
) -> Flicker:
    """Send the frames of a video through D∘E one by one, and take the loss apart into what stands still and what flickers.

    Args:
        field: the latent field.
        frames: pictures in their order, as `separatrix.drift` takes them.
        trips, edits, values, seed: as for `separatrix.drift`.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError: as `separatrix.drift`; or fewer than two frames.

    Cost: one map evaluation per frame and trip.

    >>> darker = LatentField.from_map(lambda x: x - 0.1, latent_shape=(1, 4, 4))
    >>> float(flicker(darker, torch.rand(8, 1, 4, 4) / 2 + 0.3, edits=()).flicker) < 1e-12
    True
    """
    field, chosen = LatentField.of(field), as_edits(edits)
    pixels = tensor_of(frames, "frames")
    require_pictures(pixels, values)
    warn_if_mistaken(pixels, values)
    if len(pixels) < 2 or trips < 1:
        raise InputError("Flicker is measured on at least two frames and one trip.")
    field = sized(field, pixels, chosen)
    size = pictures_at_once(field, pixels)
    total = torch.zeros((trips, *pixels.shape[1:]), dtype=torch.float64)
    squares, changed = torch.zeros(trips, dtype=torch.float64), torch.zeros(trips, dtype=torch.float64)
    last: list[Tensor | None] = [None] * trips
    whole = torch.ones(len(pixels), dtype=torch.bool)
    original = pixels.to("cpu", torch.float64)
    with Progress.of(progress).stage("frames", len(pixels) * trips) as line:
        for first in range(0, len(pixels), size):
            batch = original[first : first + size]
            seen = partial(only_finite, whole[first : first + size])
            ways = after_each_trip(field, batch, trips, chosen, first=first, values=values, seed=seed, seen=seen)
            for trip, x in enumerate(ways):
                now = x.detach().to("cpu", torch.float64).nan_to_num(values[0]).clamp(*values)
                loss = now - batch
                total[trip] += loss.sum(dim=0)
                squares[trip] += loss.square().sum()
                before = last[trip]
                row = now if before is None else torch.cat([before, now])
                changed[trip] += row.diff(dim=0).square().sum()
                last[trip] = now[-1:]
                line.advance(len(batch))
    count, places = len(pixels), pixels[0].numel()
    mean = total / count
    steady = mean.square().flatten(1).mean(dim=1)
    error = squares / (count * places)
    own = original.diff(dim=0).square().sum()
    return Flicker(
        frames=count,
        squared_error=error,
        flicker=(error - steady).clamp(min=0.0),
        broken=int((~whole).sum()),
        change=changed / own if float(own) > 0 else torch.full_like(changed, torch.nan),
    )
