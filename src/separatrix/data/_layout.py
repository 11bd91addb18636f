"""This file leads from the arrays that sources hold to the layout that encoders take: channel-first float32, white at 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.data._images import shape_words
from separatrix.data._white import Level, white_level
from separatrix.errors import InputError
from separatrix.work import require_room

_CHANNEL_LIKE = {1: 2, 3: 2, 4: 1}  # how much an axis of this length looks like the channels
_STORED = (128, 65535)  # between these lie the largest numbers of picture files
_PLAUSIBLE = 30.0  # standardised images stay far inside; unscaled bytes do not


@dataclass(frozen=True, kw_only=True)
class Raw:
    """It tells what a reader found, one image per row; names and labels where there are some.

    Attributes:
        values: as stored; of pictures, which have ``levels``, with white at 1.
    """

    values: NDArray[Any]
    names: tuple[str, ...] | None = None
    targets: NDArray[Any] | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[Level, ...] = ()


def refuse_one_image(shape: Sequence[int], where: str) -> None:
    """Three axes mean grey images n×h×w; refuse those that are far more likely to be one colour image.

    >>> refuse_one_image((32, 32, 3), "the array")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    separatrix.errors.InputError: the array has shape 32×32×3, ... add a batch axis with x[None] (or, ...).
    """
    if len(shape) == 3 and 3 in (shape[0], shape[2]):
        raise InputError(
            f"{where} has shape {shape_words(shape)}, which looks like one colour image: add a batch "
            f"axis with x[None] (or, if these are {shape[0]} grey images, a channel axis with x[:, None])."
        )


def to_pixels(values: NDArray[Any], where: str, scale: float | None = None) -> Tensor:
    """``(n, h, w)``, ``(n, h, w, c)``, ``(n, c, h, w)`` or ``(n, d)`` numbers to float32, channel-first.

    * Values are divided by ``scale``, the one that is white. By default bytes are divided by 255 and 16-bit values by
      65535, and refused where all are far below that; booleans become 0 and 1.
    * Floating images keep their values: [0, 1], or what a model's own standardisation made of them. Whole
      numbers beyond 1, or values beyond ±30, are images somebody forgot to scale, and are refused.
    * Other integers have no agreed white level and are refused without ``scale``.
    * Vectors (n×d) that are not bytes keep their values: embeddings and tables have no white.
    * Four axes: the last holds the channels if its length (1 or 3, less so 4) says so more than the second's
      does; otherwise the second.

    >>> to_pixels(np.full((2, 4, 5, 3), 255, dtype=np.uint8), "x").shape
    torch.Size([2, 3, 4, 5])

    Raises:
        InputError: no images, a shape or type that is none of these, an unscaled range, NaN or infinity.
    """
    if values.ndim not in (2, 3, 4):
        raise InputError(
            f"{where} has shape {shape_words(values.shape) or '()'}; images are n×h×w, n×h×w×3 or "
            "n×c×h×w, vectors n×d: reshape it to one of these."
        )
    if 0 in values.shape:
        raise InputError(f"{where} holds no images (its shape is {shape_words(values.shape)}); give at least one.")
    white = white_level(values, where, scale)
    pixels: NDArray[np.float32] = _channel_first(values).astype(np.float32, order="C")
    _refuse_nonfinite(pixels, where)
    if white:
        pixels /= np.float32(white)
    elif values.ndim > 2 and values.dtype.kind == "f" and (said := unscaled(torch.from_numpy(pixels), where)):
        raise InputError(said)
    return torch.from_numpy(pixels)


def resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """``(n, c, h, w)`` to ``size``, bilinear, antialiased: Pillow's BILINEAR without rounding to bytes."""
    if pixels.ndim != 4:
        raise InputError(
            f"size= resizes images, and these are vectors of length {pixels.shape[1]}; "
            "give them as images n×h×w or leave size= out."
        )
    if tuple(pixels.shape[2:]) == size:
        return pixels
    need = pixels.element_size() * pixels.shape[0] * pixels.shape[1] * size[0] * size[1]
    require_room(
        need, f"{len(pixels)} images of {shape_words(size)} pixels", "give a smaller size, or fewer images by limit="
    )
    return torch.nn.functional.interpolate(pixels, size=size, mode="bilinear", antialias=True, align_corners=False)


def _channel_first(values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim == 3:
        return values[:, None]
    if values.ndim == 4 and _CHANNEL_LIKE.get(values.shape[3], 0) > _CHANNEL_LIKE.get(values.shape[1], 0):
        return np.moveaxis(values, 3, 1)
    return values


def _refuse_nonfinite(pixels: NDArray[np.float32], where: str) -> None:
    if np.isfinite(pixels).all():
        return
    bad = np.flatnonzero(~np.isfinite(pixels.reshape(len(pixels), -1)).all(axis=1))
    raise InputError(
        f"{where} holds NaN or infinity in {len(bad)} of {len(pixels)} images (first: number "
        f"{bad[0]}); repair or leave out those images."
    )


def unscaled(pixels: Tensor, where: str, *, stored: bool = False) -> str:
    """Say what is wrong with floating images that nobody brought to [0, 1] or standardised; nothing where nothing is.

    Args:
        pixels: the images.
        where: what they are called.
        stored: only what looks like numbers of a picture file is meant, not what may be in any unit.
    """
    largest = float(pixels.abs().nan_to_num(0.0, 0.0, 0.0).max())
    if largest <= 1:
        return ""
    whole = bool((pixels == pixels.round()).all())
    kind = "whole numbers" if whole else "values"
    if (not whole and largest <= _PLAUSIBLE) or (stored and not (whole and _STORED[0] <= largest <= _STORED[1])):
        return ""
    return (
        f"{where} holds floating-point {kind} up to {largest:g}, which were never scaled to [0, 1]; "
        f"divide by {'255' if largest == 255 else f'{largest:g} or by 255'} as your model was trained (scale=255 does so), or pass bytes as uint8 (a model "
        "that wants such values gets them through encode=lambda x: model(255 * x))."
    )
