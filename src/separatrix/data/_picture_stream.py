"""Folders of pictures too large for memory: block by block, in one shape, and without an end at the first stray file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data._decoding import oriented_size
from separatrix.data._images import shape_words
from separatrix.data._pictures import opened, pictures_under, pixels_of
from separatrix.data._white import Level, require_bright
from separatrix.errors import FileError, InputError
from separatrix.words import one_line


@dataclass(frozen=True, kw_only=True)
class PictureBlock:
    """Some of the pictures of a folder, in the order of their paths.

    Attributes:
        names: paths relative to the folder, with forward slashes: of the pictures, and of what is none of this shape.
        pixels: ``(n, c, h, w)`` float32 with white at 1, one row per name; NaN where ``broken`` says why.
        broken: name → why there are no pixels: the file cannot be decoded, or the picture has another size.
    """

    names: tuple[str, ...]
    pixels: Tensor
    broken: dict[str, str] = field(default_factory=dict)

    __repr__ = one_line


@checked
def stream_pictures(
    folder: Path,
    shape: tuple[int, ...],
    *,
    resize: bool = False,
    scale: float | None = None,
    block: int = 256,
    wanted: Callable[[str, Path], bool] = lambda _name, _path: True,
    fitting: bool = False,
) -> Iterator[PictureBlock]:
    """All pictures under a folder as ``(n, *shape)``, one block in memory at a time.

    A file that cannot be decoded, and a picture of another size among others, becomes a row of NaN with its reason; a stream
    of a hundred thousand does not end there. Only where no picture has had the size, the first block with another one is
    refused: then it is the size that was mistaken, not a picture.
    Colour becomes grey (ITU-R 601 luma), and grey three equal channels, as ``shape`` asks for.

    Args:
        folder: is walked recursively, hidden files are skipped.
        shape: ``(c, h, w)`` with c = 1 or 3.
        resize: bring pictures of other sizes to h×w, bilinear with antialiasing.
        scale: the stored value that is white, where it is not that of the format.
        block: pictures per block.
        wanted: which names and paths to open at all.
        fitting: pictures of that size are known to be there, though not among the wanted ones.

    Raises:
        InputError: ``shape`` is no image's, or ``resize`` is off and the pictures have another size.
        FileError: a folder cannot be read, or holds no picture.

    Warns:
        DataWarning: at the end, if all pictures were far below white.
    """
    require_picture_shape(shape)
    paths = pictures_under(folder, ())
    first = next(paths, None)
    if first is None:
        raise FileError(f"{folder} contains no pictures; check the path.")
    named = ((path.relative_to(folder).as_posix(), path) for path in chain((first,), paths))
    chosen = (Encoded(name, path) for name, path in named if wanted(name, path))
    brightest = DARKEST
    while part := list(islice(chosen, block)):
        found = decoded_block(part, shape, resize, scale)
        brightest = brighter(brightest, found.level)
        fitting |= found.fits
        if found.mistaken is not None and not fitting:
            raise found.mistaken
        yield found.block
    warn_if_dark(brightest, scale, str(folder))


@dataclass(frozen=True)
class Encoded:
    """A picture before it is decoded.

    Attributes:
        name: in tables.
        where: its file; of one in a shard, what stands for it in sentences.
        content: its bytes, if they are not those of the file.
        trouble: why there are none.
    """

    name: str
    where: Path | str
    content: bytes | None = None
    trouble: str = ""


@dataclass(frozen=True)
class DecodedBlock:
    """A block, and what was seen on the way.

    Attributes:
        block: the pictures.
        level: of the brightest.
        fits: did one have the size?
        mistaken: the sentence on the first of another size.
    """

    block: PictureBlock
    level: Level
    fits: bool
    mistaken: InputError | None


DARKEST = Level(0, 0)


def brighter(one: Level, other: Level) -> Level:
    """Return the one of two levels that is nearer to white."""
    return max(one, other, key=lambda level: level.largest / (level.white or 1))


def warn_if_dark(brightest: Level, scale: float | None, where: str) -> None:
    """Warn if all of a stream is far below white: what is dark there may be what it is searched for, so it is not refused."""
    if scale is None:
        require_bright([brightest], 1, where, refuse=False)


def require_picture_shape(shape: tuple[int, ...]) -> None:
    """Refuse a shape that no picture can be brought to."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InputError(
            f"Pictures have 1 or 3 channels and a size, and cannot become {shape_words(shape)}; give an array (.npy)."
        )


def decoded_block(
    pictures: Sequence[Encoded], shape: tuple[int, ...], resize: bool, scale: float | None
) -> DecodedBlock:
    """Decode some pictures into rows of ``shape``; what is wrong with one becomes its reason."""
    rows: list[NDArray[np.float32]] = []
    broken: dict[str, str] = {}
    brightest, fits, mistaken = DARKEST, False, None
    for picture in pictures:
        try:
            if picture.trouble:
                raise FileError(picture.trouble)
            pixels, level = _read(picture, shape, resize, scale)
            rows.append(pixels)
            brightest, fits = brighter(brightest, level), True
        except (FileError, InputError) as error:
            rows.append(np.full(shape, np.nan, np.float32))
            broken[picture.name] = str(error)
            if isinstance(error, InputError):
                mistaken = mistaken or error
    names = tuple(picture.name for picture in pictures)
    return DecodedBlock(
        PictureBlock(names=names, pixels=torch.from_numpy(np.stack(rows)), broken=broken), brightest, fits, mistaken
    )


def _read(
    picture: Encoded, shape: tuple[int, ...], resize: bool, scale: float | None
) -> tuple[NDArray[np.float32], Level]:
    size = (shape[1], shape[2])
    where, content = picture.where, picture.content
    if not resize:
        with opened(where, content) as found:  # the header tells; but for an orientation that stands behind the pixels
            _require_size(oriented_size(found), size, where)
    pixels = pixels_of(where, shape[0] == 3, size if resize else None, scale, content)
    _require_size(pixels.pixels.shape[1:], size, where)
    return pixels.pixels, pixels.level


def _require_size(found: tuple[int, ...], size: tuple[int, int], where: Path | str) -> None:
    if found != size:
        raise InputError(
            f"The picture {where} is {shape_words(found)} (height×width) where {shape_words(size)} is expected; pass "
            "resize=True to bring all pictures to that size."
        )
