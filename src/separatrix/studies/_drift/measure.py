"""`drift`: how often may a picture pass through an autoencoder before it rots?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from separatrix.arguments import checked, whole
from separatrix.data import ImageSet, ImageSource, load_images, tensor_of
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.numerics._duplicates import without_equals
from separatrix.studies._drift.edits import USUAL, Edit, Moment, Rounding
from separatrix.studies._drift.loss import Loss, Originals
from separatrix.studies._drift.quality import TOO_SMALL_FOR_SSIM, Windowed, psnr_of, require_bar
from separatrix.studies._drift.result import Drift, step_error
from separatrix.studies._drift.trips import (
    after_each_trip,
    as_edits,
    cost_of,
    only_finite,
    pictures_at_once,
    require_pictures,
    sized,
    warn_if_mistaken,
)
from separatrix.words import counted
from separatrix.work import Progress

_FRAMES = 21


@checked
def drift(
    field: LatentField,
    images: ImageSource,
    *,
    trips: int = 20,
    edits: Sequence[Edit] = USUAL,
    bar: float = 30.0,
    name: str | None = None,
    values: tuple[float, float] = (0.0, 1.0),
    shown: int = 3,
    frames: Sequence[int] | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
) -> Drift:
    """Send pictures through D∘E again and again, and measure what is left of them after each trip.

    Every number is of the picture as a screen shows it, cut off at black and white. With F = D∘E and f = E∘D, x_n = Fⁿ(x) = D(fⁿ⁻¹(E x)): a picture follows the orbit of its code, and what is not kept by the field
    is lost little by little. Editors that work in a latent space do this with every edit.

    Args:
        field: the latent field; of a convolutional model the latent takes the shape that the pictures ask for.
        images: pictures, grey or RGB: a tensor ``(n, c, h, w)``, an `ImageSet`, or what `load_images` takes. One that equals another before it is
            left out, with a note: intervals are over different pictures.
        trips: N, how many.
        edits: what is done between two trips, from the outermost to the innermost (`separatrix.studies.drift_edits`); rounding to 8 bits
            if not given, nothing with ``()``.
        bar: PSNR in dB below which a picture counts as spoilt.
        name: what the model is called; as it calls itself if not given.
        values: of black and white.
        shown: so many of the first pictures are kept along the way, as bytes.
        frames: after which trips these are kept, 0 for the original; about twenty, evenly, if not given.
        seed: of latent noise.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError: no pictures, values outside of black and white, a model that does not give back pictures of the same shape, edits that
            contradict each other, or fewer than one trip.
        FieldError: the model is no deterministic self-map.

    Warns:
        DataWarning: black and white seem to be others than ``values``, so that decibels would be too many.

    Cost: one map evaluation per picture and trip.

    >>> half = LatentField.from_map(lambda x: x / 2, latent_shape=(1, 16, 16))
    >>> found = drift(half, torch.full((2, 1, 16, 16), 0.8), trips=3, edits=())
    >>> [round(value, 6) for value in found.brightness[0].tolist()]
    [-0.4, -0.6, -0.7]
    """
    field = LatentField.of(field)
    chosen = as_edits(edits)
    if trips < 1:
        raise InputError(f"A drift has at least one trip, not {trips}.")
    whole("shown", shown, 0)
    for trip in frames or ():
        whole("Each of frames", trip, 0, trips)
    require_bar(bar)
    named = images if isinstance(images, (ImageSet, Tensor)) else load_images(images)
    pixels = tensor_of(named, "images")
    require_pictures(pixels, values)
    warn_if_mistaken(pixels, values)
    height, width = pixels.shape[-2:]
    field = sized(field, pixels, chosen)
    names = named.names if isinstance(named, ImageSet) else tuple(map(str, range(len(pixels))))
    different = without_equals(pixels)
    copies = len(pixels) - len(different)
    if copies:
        pixels, names = pixels[different], tuple(names[index] for index in different.tolist())
    even = [round(trip) for trip in torch.linspace(0, trips, min(trips + 1, _FRAMES)).tolist()]
    frames = tuple(sorted({0, *(even if frames is None else frames)} & set(range(trips + 1))))
    size = pictures_at_once(field, pixels)
    parts, unbroken = [], torch.ones(len(pixels), dtype=torch.bool)
    with Progress.of(progress).stage("trips", len(pixels) * trips) as line:
        for first in range(0, len(pixels), size):
            batch = pixels[first : first + size]
            kept = max(0, min(shown - first, len(batch)))
            sound = unbroken[first : first + len(batch)]
            seen = partial(only_finite, sound)
            ways = after_each_trip(field, batch, trips, chosen, first=first, values=values, seed=seed, seen=seen)
            parts.append(_followed(batch, ways, values, frames, kept, trips, line))
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0] if name != "where"}
    return Drift(
        model=name or field.name,
        edits=tuple(edit.words for edit in chosen),
        names=names,
        where=torch.stack([part["where"] for part in parts]).sum(dim=0) / len(pixels),
        frames=frames,
        values=values,
        bar=bar,
        notes=(
            *(
                [
                    f"{counted(copies, 'picture')} of {copies + len(pixels):,} equal others before them and were left out."
                ]
                if copies
                else []
            ),
            *(() if Windowed(pixels[:1]).known else (TOO_SMALL_FOR_SSIM,)),
        ),
        broken=tuple(name for name, sound in zip(names, unbroken.tolist(), strict=True) if not sound),
        cost=cost_of(len(pixels), trips, chosen, (height, width)),
        provenance={"field": field.describe(), "seed": seed},
        **joined,
    )


def _followed(
    batch: Tensor,
    ways: Iterable[Tensor],
    values: tuple[float, float],
    frames: tuple[int, ...],
    kept: int,
    trips: int,
    line: Progress,
) -> dict[str, Tensor]:
    """All columns of one batch, and the sum over its pictures of where the error is."""
    originals = Originals(batch)
    first = Windowed(batch)
    before = Windowed(batch.clamp(*values))
    losses: list[Loss] = []
    columns: dict[str, list[Tensor]] = {"ssim": [], "step_psnr": [], "step_ssim": []}
    pictures, where = [as_bytes(batch[:kept], values)], []
    for trip, x in enumerate(ways, start=1):
        now = x.detach().to("cpu").nan_to_num(values[0]).clamp(*values)  # as a screen shows it
        losses.append(originals.loss(now))
        here = Windowed(now)
        columns["ssim"].append(here.ssim(first, values))
        columns["step_psnr"].append(step_error(now, before.pictures, values))
        columns["step_ssim"].append(here.ssim(before, values))
        if trip in frames:
            pictures.append(as_bytes(now[:kept], values))
        if trip in (1, trips):
            where.append((now.to(torch.float64) - originals.pictures).square().mean(dim=1).sum(dim=0))
        before = here
        line.advance(len(batch))
    found = {name: torch.stack(column, dim=1) for name, column in columns.items()}
    for name in ("parts", "new", "gains", "brightness", "contrast"):
        found[name] = torch.stack([getattr(loss, name) for loss in losses], dim=1)
    return {
        **found,
        "psnr": psnr_of(found["parts"].sum(dim=2), values),
        "pictures": torch.stack(pictures, dim=1),
        "where": torch.stack([where[0], where[-1]]).to(torch.float32),
    }


def as_bytes(x: Tensor, values: tuple[float, float]) -> Tensor:
    """``(n, c, h, w)`` uint8: as a screen would show them."""
    shown = Rounding().after(x.to("cpu", torch.float64), Moment(trip=0, first=0, originals=x, values=values))
    return ((shown - values[0]) / (values[1] - values[0]) * 255).round().to(torch.uint8)
