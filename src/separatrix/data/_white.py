"""This file tells which stored value is white; integers that do not come near the white of their type are not taken for black in silence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataWarning, InputError, warn

_WHITE = {np.dtype(bool): 1.0, np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}
_FAR = 8  # three unused bits or more: 12 bits in 16, flags and classes in bytes
_BELOW = 2  # one unused bit


class Level(NamedTuple):
    """The largest value of some images as it is stored, and what is white there (0: floats, which are not scaled)."""

    largest: float
    white: float


def white_level(values: NDArray[Any], where: str, scale: float | None) -> float:
    """Return what to divide by: ``scale``, or the white of the type; 0 where the values are to be kept.

    >>> white_level(np.array([[[0, 200]]], np.uint8), "x", None), white_level(np.array([[[0, 1]]], np.uint8), "x", 1)
    (255.0, 1.0)

    Raises:
        InputError: no numbers, integers without a known white, or images far below it; the sentence says what to do.
    """
    if values.dtype.kind not in "bufi":
        raise InputError(
            f"{where} holds {values.dtype.name} entries, not numbers; make one numeric array with np.stack."
        )
    if scale is not None:
        require_within(float(values.max()), scale, where)
        return float(scale)
    if values.dtype.kind == "f" or (values.ndim == 2 and values.dtype != np.uint8):
        return 0.0
    if values.dtype not in _WHITE:
        raise InputError(
            f"{where} holds {values.dtype.name} images, for which no value is known to be white; pass scale=255 if 255 is "
            f"white (the largest value is {values.max()}), or give uint8, or float32 in [0, 1]."
        )
    white = _WHITE[values.dtype]
    require_bright([Level(float(values.max()), white)], len(values), where)
    return white


def require_bright(levels: Iterable[Level], count: int, where: str, *, refuse: bool = True) -> None:
    """Refuse images that are far below white as a whole, for then it is the white that is mistaken; warn where it may be.

    One image may be dark, so it is refused only if it has no value above 1. Without ``refuse`` there are only warnings.

    Raises:
        InputError: the largest of several images' values is below an eighth of white, or 1.

    Warns:
        DataWarning: it is below half of white; or there is one image only.
    """
    found = [level for level in levels if level.white > 1]
    largest, white = max(found, key=lambda level: level.largest / level.white, default=Level(1, 1))
    if largest <= 0 or _BELOW * largest >= white:
        return
    dark = f"pass scale={white:g} if they are that dark"
    scale = _likely(largest)
    if refuse and (largest <= 1 or (count > 1 and _FAR * largest < white)):
        raise InputError(
            f"{where} holds no value above {largest:g}, where {white:g} would be white; pass scale={scale:g} if {scale:g} is "
            f"white, or {dark}."
        )
    warn(
        f"{where} holds no value above {largest:g}, where {white:g} is white: pass scale={scale:g} if {scale:g} is white, or "
        f"{dark}, and this is not said.",
        DataWarning,
    )


def require_within(largest: float, scale: float, where: str) -> None:
    """Refuse a white that some pixels are whiter than."""
    if largest > scale:
        raise InputError(
            f"{where} holds values up to {largest:g}, above scale={scale:g}; pass the value that is white."
        )


def require_scale(scale: Any) -> float | None:
    """A positive number, or None.

    Raises:
        InputError: it is neither.
    """
    number = isinstance(scale, (int, float, np.number)) and not isinstance(scale, bool)
    if scale is not None and not (number and math.isfinite(scale) and scale > 0):
        raise InputError(f"scale must be the stored value that is white, such as 255, not {scale!r}.")
    return None if scale is None else float(scale)


def _likely(largest: float) -> float:
    """The white that a largest value speaks for: all bits of a number set, or the value itself (16 of scanned digits)."""
    bits = 2 ** math.ceil(math.log2(largest + 1)) - 1
    return float(bits if largest > 16 else largest)
