"""Picture files and folders of them; headers are read first, so nothing is decoded that cannot be used."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from separatrix.data.images import shape_words
from separatrix.data.layout import Raw, resized
from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.memory import require_room

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
"""The only decoders that Pillow may use here: it also has some, such as EPS, that start other programs."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm"})

# 16-bit greyscale, in Pillow's several names.
_DEEP_GREY = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_GREY = _DEEP_GREY | {"1", "L", "LA", "F"}
_LARGE = 2**22  # pixels; larger pictures are resized channel by channel
_STORED, _FLOAT = 8, 4  # bytes of a pixel in Pillow, with a copy in another mode, and of a number
BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow's decoders raise."""


def read_folder(folder: Path, limit: int | None, size: tuple[int, int] | None) -> Raw:
    """The first ``limit`` pictures under a folder, in the order of their paths; no others are opened."""
    paths = list(islice(pictures_under(folder, ()), limit))
    if not paths:
        raise FileError(f"{folder} contains no pictures ({_suffix_words()}){_instead(folder)}; check the path.")
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    return Raw(values=_decode_all(paths, size), names=names, origin={"format": "folder"})


def read_picture(path: Path, size: tuple[int, int] | None) -> Raw:
    """One picture file as a set of one."""
    return Raw(values=_decode_all([path], size), names=(path.name,), origin={"format": "picture"})


def decoded(picture: Image.Image, colour: bool, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """``(c, h, w)`` float32 with white at 1: three channels if ``colour``, else one. Alpha is dropped.

    With ``size`` brought to that ``(h, w)``, bilinear with antialiasing; a large picture channel by channel, so that not all of
    it is in memory as floats.

    >>> decoded(Image.new("L", (4, 2), 255), colour=False).shape
    (1, 2, 4)
    """
    own, count = (picture.height, picture.width), picture.height * picture.width
    by_channel = size not in (None, own) and count > _LARGE
    need = count * (_STORED + _FLOAT * (3 if colour and not by_channel else 1))
    require_room(need, f"A picture of {shape_words(own)} pixels", "make it smaller first")
    if size is not None and size != own:
        if by_channel:
            return _brought(picture, colour, size)
        brought: NDArray[np.float32] = resized(torch.from_numpy(decoded(picture, colour))[None], size)[0].numpy()
        return brought
    if picture.mode in _DEEP_GREY or picture.mode == "F":
        deep = np.asarray(picture).astype(np.float32) / np.float32(1 if picture.mode == "F" else 65535)
        return np.repeat(deep[None], 3 if colour else 1, axis=0)
    pixels = np.asarray(picture.convert("RGB" if colour else "L")).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0)) if colour else pixels[None]


def _brought(picture: Image.Image, colour: bool, size: tuple[int, int]) -> NDArray[np.float32]:
    """:func:`decoded` with a size, one channel after the other in Pillow's floating format."""
    deep = picture.mode in _DEEP_GREY or picture.mode == "F"
    wanted = picture.mode if deep else "RGB" if colour else "L"
    source = picture if picture.mode == wanted else picture.convert(wanted)  # a conversion to itself would be a copy
    white = 1 if picture.mode == "F" else 65535 if deep else 255
    bands = []
    for index in range(len(source.getbands())):
        band = source.getchannel(index) if len(source.getbands()) > 1 else source
        floats = Image.fromarray(np.asarray(band).astype(np.float32)) if deep else band.convert("F")
        bands.append(np.asarray(floats.resize(size[::-1], Image.Resampling.BILINEAR)) / np.float32(white))
    return np.stack(bands * (3 if colour and len(bands) == 1 else 1))


def is_colour(picture: Image.Image) -> bool:
    """Does the picture's mode have colour? (A palette counts as colour.)"""
    return picture.mode not in _GREY


def _decode_all(paths: Sequence[Path], size: tuple[int, int] | None) -> NDArray[np.float32]:
    colour = False
    sizes: dict[tuple[int, int], Path] = {}  # (h, w) → the first file that has it
    for path in paths:
        with opened(path) as picture:
            colour |= is_colour(picture)
            sizes.setdefault((picture.height, picture.width), path)
    if size is None and len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise InputError(
            f"The pictures differ in size: {first} is {shape_words(one)} and {second} is "
            f"{shape_words(other)} (height×width); pass size=({one[0]}, {one[1]}) to resize them all."
        )
    height, width = size or next(iter(sizes))
    need = _FLOAT * len(paths) * (3 if colour else 1) * height * width
    require_room(need, f"{len(paths)} pictures of {height}×{width} pixels", "give a smaller size, or fewer by limit=")
    values = np.empty((len(paths), 3 if colour else 1, height, width), np.float32)
    for row, path in zip(values, paths, strict=True):
        with opened(path) as picture:
            try:
                row[:] = decoded(picture, colour, size)
            except SeparatrixError:
                raise
            except BROKEN as error:
                raise unreadable(path, error) from error
    return values


def opened(path: Path) -> Image.Image:
    """The picture, header read, pixels not yet."""
    try:
        with warnings.catch_warnings():
            # Pillow refuses more than 179 million pixels, and warns of half as many: the memory decides here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        if path.suffix.lower() in SUFFIXES:
            raise unreadable(path, "it is empty, damaged, or not what its name says") from error
        raise FileError(
            f"{path} is not in a format that is read here (.npy, .npz, idx or idx.gz, or a picture: "
            f"{_suffix_words()}); convert it, for example with numpy.save."
        ) from error
    except BROKEN as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: BaseException | str) -> FileError:
    """The sentence for a picture whose pixels cannot be had."""
    return FileError(f"The picture {path} cannot be decoded ({str(error).rstrip('.')}); replace it or take it out.")


def pictures_under(folder: Path, parents: tuple[Path, ...]) -> Iterator[Path]:
    """Pictures in the order of their path parts, found as they are asked for; hidden files are skipped."""
    real = folder.resolve()
    if real in parents:  # a link back to a folder we are already in
        return
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise FileError(f"The folder {folder} cannot be read ({error.strerror}); check its permissions.") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from pictures_under(folder / entry.name, (*parents, real))
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            yield folder / entry.name


def _suffix_words() -> str:
    return ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))


def _instead(folder: Path) -> str:
    other = next((path.name for path in sorted(folder.iterdir())), None)
    return ", it is empty" if other is None else f", but for example {other}"
