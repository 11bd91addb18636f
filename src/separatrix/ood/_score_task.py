"""A part of what is scored into a table: whoever has the detector reads its pictures and scores them, alone and at any time.

A part is a run of picture files, one shard, or a run of rows of an array. Its pictures go through the network in blocks that follow from the part alone, so that
scores have the same bits whoever computes them.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from separatrix.data import PictureBlock
from separatrix.data._picture_stream import DARKEST, DecodedBlock, Encoded, brighter, decoded_block
from separatrix.data._shards import Unread, pictures_in
from separatrix.data._sources import PictureFile, content_at
from separatrix.data._white import Level
from separatrix.errors import FileError, SeparatrixError, first_line
from separatrix.ood._detector import Detector
from separatrix.storage import url_of

BLOCK = 256  # pictures in memory at a time
_AT_ONCE = 16  # pictures that are asked of an object store at the same time


@dataclass(frozen=True)
class Part:
    """A part as one worker is given it.

    Attributes:
        files: of pictures, or one shard; of an array, one for each of its rows.
        shape: of the detector's images.
        resize, scale: as `score_to_table` takes them.
        pixels: the rows of an array.
        block: pictures that go through the network at once.
    """

    files: tuple[PictureFile, ...]
    shape: tuple[int, ...]
    resize: bool
    scale: float | None
    pixels: Tensor | None = None
    block: int = BLOCK

    @property
    def of_a_shard(self) -> bool:
        """Is it one file with many rows?"""
        return self.pixels is None and self.files[0].is_shard


class FileScores(NamedTuple):
    """The rows of one file: one if it is a picture.

    Attributes:
        file, size, mtime_ns: its name and stamp.
        names: of the rows.
        scores: NaN where there is none.
    """

    file: str
    size: int
    mtime_ns: int
    names: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PartScores:
    """The outcome of a part.

    Attributes:
        files: their rows; files that could not be read for now are not among them.
        broken: row → why it has no score.
        fits: did a picture have the size, and the model not fail on all?
        refusal: why none did, if it is not the pictures that are damaged.
        level: of the brightest picture.
        unread: why its files could not be read for now, if they could not.
    """

    files: tuple[FileScores, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)
    fits: bool = False
    refusal: Exception | None = None
    level: Level = DARKEST
    unread: str = ""


def score_part(part: Part, detector: Detector) -> PartScores:
    """Read and score one part. Memory: one block of pictures, and a few numbers for each of the part."""
    try:
        return _scored(part, _blocks(part), detector)
    except Unread as error:
        return PartScores(unread=str(error))


def block_scores(detector: Detector, block: PictureBlock) -> tuple[Tensor, Exception | None]:
    """Scores of a block, and what the model raises if it fails on each of its images.

    NaN where there are no pixels, or where the model fails on an image alone, which is named like one that cannot be decoded.
    """
    scores, errors = _one_by_one(detector, block.pixels)
    readable = [row for row, name in enumerate(block.names) if name not in block.broken]
    failed = bool(readable) and all(row in errors for row in readable)
    error = errors[readable[0]] if failed else None
    for row in readable:
        if row in errors:
            block.broken[block.names[row]] = f"the model fails on it ({first_line(errors[row])})"
    scores[[name in block.broken for name in block.names]] = math.nan
    return scores, error


def _scored(part: Part, blocks: Iterator[DecodedBlock], detector: Detector) -> PartScores:
    names: list[str] = []
    scores: list[float] = []
    broken: dict[str, str] = {}
    fits, refusal, level = False, None, DARKEST
    for found in blocks:
        values, error = block_scores(detector, found.block)
        names += found.block.names
        scores += values.tolist()
        broken |= found.block.broken
        fits |= found.fits and error is None
        refusal = refusal or found.mistaken or (None if error is None else _sendable(error))
        level = brighter(level, found.level)
    if part.of_a_shard:
        files = [FileScores(*part.files[0].stamped, tuple(names), tuple(scores))]
    else:
        rows = zip(part.files, names, scores, strict=True)
        files = [FileScores(*file.stamped, (name,), (score,)) for file, name, score in rows]
    return PartScores(files=tuple(files), broken=broken, fits=fits, refusal=None if fits else refusal, level=level)


def _blocks(part: Part) -> Iterator[DecodedBlock]:
    if part.pixels is not None:
        names = tuple(file.name for file in part.files)
        yield DecodedBlock(PictureBlock(names=names, pixels=part.pixels), DARKEST, True, None)
        return
    if part.of_a_shard:
        pictures = pictures_in(part.files[0])
    elif url_of(part.files[0].where) is None:
        pictures = map(fetched, part.files)
    else:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            pictures = iter(list(pool.map(fetched, part.files)))
    while some := list(islice(pictures, part.block)):
        yield decoded_block(some, part.shape, part.resize, part.scale)


def fetched(file: PictureFile) -> Encoded:
    """A picture in a file of its own: its path, or its bytes if it is not of this machine.

    Raises:
        Unread: the server of an object store does not answer.
    """
    if url_of(file.where) is None:
        return Encoded(file.name, Path(file.where))
    try:
        return Encoded(file.name, file.where, content_at(file.where))
    except FileNotFoundError as error:
        return Encoded(file.name, file.where, trouble=f"The picture {file.where} is gone ({error.strerror}).")
    except FileError as error:
        raise Unread(first_line(error)) from error


def _sendable(error: Exception) -> Exception:
    """The error itself, or what it says, if it cannot go from process to process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a model's own error raises
        return RuntimeError(f"{type(error).__name__}: {first_line(error)}")
    return error


def _one_by_one(detector: Detector, pixels: Tensor) -> tuple[Tensor, dict[int, Exception]]:
    """Scores, and by row what the model raises on an image alone: one bad image must not cost the others."""
    try:
        return detector.score(pixels), {}
    except (SeparatrixError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if len(pixels) < 2:
            return torch.full((len(pixels),), math.nan, dtype=torch.float64), dict.fromkeys(range(len(pixels)), error)
        half = len(pixels) // 2
        (first, early), (second, late) = _one_by_one(detector, pixels[:half]), _one_by_one(detector, pixels[half:])
        return torch.cat([first, second]), {**early, **{half + row: error for row, error in late.items()}}
