"""Pictures on their way: encoded, decoded, edited, and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from separatrix.cost import Cost
from separatrix.data import encode_range, shape_words
from separatrix.errors import DataWarning, InputError, warn
from separatrix.field import LatentField
from separatrix.studies._drift.edits import Edit, KeepLatent, Moment, PasteBack, Shift, Tiles
from separatrix.words import counted

_COLOURS = (1, 3)
# Values of pictures that are on their way together. Those of two pictures of 256 px stay in the caches of a processor: with 24 at once a trip of TAEF2 took
# 13 % longer, and what is measured of it more than twice as long. An accelerator wants many.
_VALUES_AT_ONCE, _VALUES_ON_ACCELERATOR = 2**19, 2**22
_SLACK = 0.05  # by which values may exceed black and white, as of pictures that were resampled
_REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)


def require_pictures(images: Tensor, values: tuple[float, float]) -> None:
    """Refuse what is no set of pictures, grey or RGB, between black and white.

    Raises:
        InputError: it is none; the message says what to do.
    """
    if images.ndim != 4 or images.shape[1] not in _COLOURS or min(images.shape[2:]) < 2:
        raise InputError(
            f"Generation loss is measured on pictures n×1×h×w or n×3×h×w, not on data of shape {shape_words(images.shape)}."
        )
    low, high = values
    if not (-math.inf < low < high < math.inf and bool(images.isfinite().all())):
        raise InputError("Black must be below white, and every value of a picture finite; check the images.")
    least, most = float(images.min()), float(images.max())
    margin = _SLACK * (high - low)
    if least < low - margin or most > high + margin:
        raise InputError(
            f"The pictures have values from {least:.3g} to {most:.3g}, outside of black {low:g} and white {high:g}; "
            "say what is black and white with values=."
        )


def warn_if_mistaken(images: Tensor, values: tuple[float, float]) -> None:
    """Warn of pictures that fill so little of the way from black to white that these are mistaken, and every loss would seem small.

    Warns:
        DataWarning: all are in its lowest eighth, as if divided by 255 twice; or in the upper half, where black is negative.
    """
    (low, high), least, most = values, float(images.min()), float(images.max())
    if least < most < low + (high - low) / 8:
        said = f"no value above {most:.3g}, where {high:g} is white"
    elif low < 0 and (low + high) / 2 <= least < most:
        said = f"no value below {least:.3g}, where {low:g} is black"
    else:
        return
    warn(
        f"The pictures have {said}: if they were scaled otherwise, decibels are too many; say what is black and white with values=, or "
        "scale the pictures as the model takes them.",
        DataWarning,
    )


def require_derivative(made: Tensor) -> None:
    """Refuse pictures after a trip that are not all numbers: a derivative there may be 0, as of a constant, and every pattern would fade.

    Raises:
        InputError: some are not.
    """
    lost = int((~made.isfinite().flatten(1).all(dim=1)).sum())
    if lost:
        raise InputError(
            f"The model makes NaN or infinity of {counted(lost, 'picture')}, where it has no derivative; leave out what `Drift.broken` names."
        )


def sized(field: LatentField, images: Tensor, edits: tuple[Edit, ...] = ()) -> LatentField:
    """The field on latents of the shape that it makes of these pictures, or of tiles of them.

    Raises:
        InputError: it does not take them, or gives back pictures of another shape.
    """
    tile = next((edit for edit in edits if isinstance(edit, Tiles)), None)
    one = images[:1] if tile is None else images[:1, :, : tile.size, : tile.size]
    one = one.to(field.device, field.dtype)
    try:
        latent = field.encode(one)
    except _REFUSALS:
        encode_range(field, lambda a, b: one[a:b], 0, 1)  # which refuses in words that say what to do
        raise
    made = field.decode(latent)
    if made.shape != one.shape:
        raise InputError(
            f"The model makes {shape_words(made.shape[1:])} of pictures of {shape_words(one.shape[1:])}, so they cannot go through it "
            "twice; give pictures of the size that it decodes."
        )
    return field.with_latent_shape(latent.shape[1:])


def pictures_at_once(field: LatentField, images: Tensor) -> int:
    """Return how many of these pictures go through the field together; no result depends on it."""
    values = _VALUES_AT_ONCE if field.device.type == "cpu" else _VALUES_ON_ACCELERATOR
    return max(1, values // images[0].numel())


def as_edits(given: Sequence[Edit] | Edit) -> tuple[Edit, ...]:
    """The edits as they are; one alone is one of them.

    Raises:
        InputError: they are no edits or contradict each other: the latent is kept, and the picture is to be moved or cut before each
            trip; or there are two kinds of tiles.
    """
    edits: tuple[Any, ...] = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for one in edits:
        if not isinstance(one, Edit):
            raise InputError(f"edits must be edits such as studies.JPEG(90), or () for none, not {one!r:.80}.")
    if sum(isinstance(edit, Tiles) for edit in edits) > 1:
        raise InputError("A picture is cut into tiles of one size; give Tiles once.")
    if any(isinstance(edit, KeepLatent) for edit in edits):
        for edit in edits:
            if isinstance(edit, (Shift, Tiles)):
                raise InputError(
                    f"Whoever keeps the latent never encodes the picture again, so it is not {edit.words}; leave one of the two out."
                )
    return edits


def after_each_trip(
    field: LatentField,
    originals: Tensor,
    trips: int,
    edits: tuple[Edit, ...],
    *,
    first: int = 0,
    values: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    seen: Callable[[Tensor], None] = lambda _: None,
) -> Iterator[Tensor]:
    """Yield ``(n, c, h, w)`` the pictures after trip 1, 2, …, as they are in hand then: decoded and edited.

    ``seen`` is shown what the decoder gave, before anything is done to it: a picture that is stored has no NaN any more.

    Cost: one map evaluation per picture and trip; half of one where the latent is kept.
    """
    tile = next((edit for edit in edits if isinstance(edit, Tiles)), None)
    keeps = any(isinstance(edit, KeepLatent) for edit in edits)
    x, z = originals.to(field.device, field.dtype), torch.empty(0)
    originals = x
    for trip in range(1, trips + 1):
        moment = Moment(trip=trip, first=first, originals=originals, values=values, seed=seed)

        if keeps:
            z = _edited(field.encode(x) if trip == 1 else z, edits, moment)
            x = field.decode(z)
        else:
            for edit in edits:
                x = edit.before(x, moment)
            once = partial(_once, field, edits, moment)
            x = once(x) if tile is None else tile.through(once, x)
        seen(x)
        for edit in reversed(edits):
            x = edit.after(x, moment)
        yield x


def only_finite(sound: Tensor, pictures: Tensor) -> None:
    """Take those pictures out of what is sound that are not all numbers."""
    sound &= pictures.detach().isfinite().flatten(1).all(dim=1).cpu()


def _once(field: LatentField, edits: tuple[Edit, ...], moment: Moment, x: Tensor) -> Tensor:
    return field.decode(_edited(field.encode(x), edits, moment))


def _edited(z: Tensor, edits: tuple[Edit, ...], moment: Moment) -> Tensor:
    for edit in edits:
        z = edit.latent(z, moment)
    return z


def cost_of(images: int, trips: int, edits: tuple[Edit, ...], shape: tuple[int, int]) -> Cost:
    """Map evaluations of so many trips; an encoding or a decoding is half of one, and a tile counts as a picture."""
    tile = next((edit for edit in edits if isinstance(edit, Tiles)), None)
    parts = 1 if tile is None else len(tile.corners(*shape))
    halves = trips + 1 if any(isinstance(edit, KeepLatent) for edit in edits) else 2 * trips
    return Cost(map=-(-images * parts * halves // 2))


def edited_share(edits: tuple[Edit, ...], shape: tuple[int, int]) -> float:
    """The share of the picture that is not pasted back; 1 where nothing is."""
    share = 1.0
    for edit in edits:
        if isinstance(edit, PasteBack):
            share = min(share, float((edit.mask(*shape) < 1).double().mean()))
    return share
