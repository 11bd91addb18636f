"""This file leads from a picture to its pixels as they are meant to be seen: upright, on white where it is transparent, white at 1."""

from __future__ import annotations

import struct
import warnings
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from separatrix.data._images import shape_words
from separatrix.data._layout import resized
from separatrix.data._white import Level, require_within
from separatrix.work import LITTLE, require_room

BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow's decoders raise."""

# 16-bit greyscale, in Pillow's several names.
_DEEP_GREY = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_GREY = _DEEP_GREY | {"1", "L", "LA", "F"}
_SEE_THROUGH = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_LARGE = 2**22  # pixels; larger pictures are resized channel by channel
_STORED, _FLOAT = 8, 4  # bytes of a pixel in Pillow, with a copy in another mode, and of a number
_ORIENTATION, _TIFF_WIDTH = 0x0112, 0x0100
_TURN = Image.Transpose
_UPRIGHT = {
    1: None,
    2: _TURN.FLIP_LEFT_RIGHT,
    3: _TURN.ROTATE_180,
    4: _TURN.FLIP_TOP_BOTTOM,
    5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_270,
    7: _TURN.TRANSVERSE,
    8: _TURN.ROTATE_90,
}
_BROKEN_EXIF = (*BROKEN, KeyError, TypeError, IndexError, EOFError, struct.error)


class Decoded(NamedTuple):
    """One picture.

    Attributes:
        pixels: ``(c, h, w)`` float32, white at 1.
        level: its largest value and the white of its format.
        turned: its EXIF orientation is another one than that of its rows.
        on_white: it has transparency, and was laid on white.
    """

    pixels: NDArray[np.float32]
    level: Level
    turned: bool
    on_white: bool


def decoded(
    picture: Image.Image, colour: bool, size: tuple[int, int] | None = None, scale: float | None = None
) -> Decoded:
    """A picture with three channels if ``colour``, else one; divided by ``scale``, or by the white of its format.

    With ``size`` brought to that ``(h, w)``, bilinear with antialiasing; a large picture channel by channel, so that not all of
    it is in memory as floats.

    Raises:
        InputError: it has values above ``scale``, or is too large for the memory.

    >>> decoded(Image.new("L", (4, 2), 255), colour=False).pixels.shape
    (1, 2, 4)
    """
    own, count = oriented_size(picture), picture.height * picture.width
    by_channel = size not in (None, own) and count > _LARGE
    see_through = picture.mode in _SEE_THROUGH or ("transparency" in picture.info and picture.mode not in _DEEP_GREY)
    stored = _STORED * (2 if see_through else 1)
    need = count * (stored + _FLOAT * (3 if colour and not by_channel else 1))
    if need > LITTLE:
        require_room(need, f"A picture of {shape_words(own)} pixels", "make it smaller first")
    orientation = orientation_of(picture)
    picture.load()  # Pillow may apply it now, or learn of it from what stands behind the pixels
    method = _UPRIGHT[orientation_of(picture)]
    turned = orientation != 1 or method is not None
    upright = picture if method is None else picture.transpose(method)
    white = 0.0 if upright.mode in ("1", "F") else 65535.0 if upright.mode in _DEEP_GREY else 255.0
    divisor = white or (255.0 if upright.mode == "1" else 1.0)
    if scale is not None and upright.mode != "1":
        divisor = scale
    if see_through:
        upright = _on_white(upright, round(min(divisor, 255)))
    deep = upright.mode in _DEEP_GREY or upright.mode == "F"
    wanted = upright.mode if deep else "RGB" if colour else "L"
    source = upright if upright.mode == wanted else upright.convert(wanted)  # a conversion to itself would be a copy
    largest = float(np.max(source.getextrema()))
    if scale is not None and white:
        require_within(largest, scale, "The picture")
    pixels = _brought(source, size) if by_channel and size is not None else _floats(source)
    pixels /= np.float32(divisor)
    if len(pixels) == 1 and colour:
        pixels = np.repeat(pixels, 3, axis=0)
    if size is not None and pixels.shape[1:] != size:
        pixels = resized(torch.from_numpy(pixels)[None], size)[0].numpy()
    return Decoded(pixels, Level(largest, white), turned, see_through)


def is_colour(picture: Image.Image) -> bool:
    """Does the picture's mode have colour? (A palette counts as colour.)"""
    return picture.mode not in _GREY


def oriented_size(picture: Image.Image) -> tuple[int, int]:
    """``(h, w)`` of a picture as it stands, before its pixels are read."""
    width, height = picture.size
    # Newer versions of Pillow have turned the size of a TIFF file already.
    turned_already = picture.format == "TIFF" and width != picture.tag_v2.get(_TIFF_WIDTH)  # type: ignore[attr-defined]
    return (width, height) if orientation_of(picture) >= 5 and not turned_already else (height, width)


def orientation_of(picture: Image.Image) -> int:
    """EXIF's number from 1 (as it is) to 8; 1 where it says nothing sensible."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1  # Pillow would decode the picture to look behind its pixels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged EXIF says nothing, and the picture is none the worse for it
        try:
            found = picture.getexif().get(_ORIENTATION, 1)
        except _BROKEN_EXIF:
            return 1
    return found if found in _UPRIGHT else 1


def _on_white(picture: Image.Image, white: int) -> Image.Image:
    background = Image.new("RGBA", picture.size, (white, white, white, 255))
    return Image.alpha_composite(background, picture.convert("RGBA")).convert("RGB")


def _floats(picture: Image.Image) -> NDArray[np.float32]:
    values = np.asarray(picture).astype(np.float32)
    return values[None] if values.ndim == 2 else np.ascontiguousarray(np.moveaxis(values, 2, 0))


def _brought(picture: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    """The values at another size, one channel after the other in Pillow's floating format."""
    bands = []
    for index in range(len(picture.getbands())):
        band = picture.getchannel(index) if len(picture.getbands()) > 1 else picture
        floats = Image.fromarray(np.asarray(band).astype(np.float32))
        bands.append(np.asarray(floats.resize(size[::-1], Image.Resampling.BILINEAR)))
    return np.stack(bands)
