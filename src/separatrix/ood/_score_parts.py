"""Pictures are cut into parts, and an engine scores them: whoever that is, and whatever was done before, the rows are the same.

How files are cut follows from those that the earlier table does not know, so that a run that was killed is cut as before, and its parts are there or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from separatrix.data._sources import PictureFile
from separatrix.engines import Here, current
from separatrix.errors import EngineError, FileError
from separatrix.ood._detector import Detector
from separatrix.ood._score_task import Part, PartScores, score_part
from separatrix.work import Progress


class Wanted(NamedTuple):
    """A file that is to be scored.

    Attributes:
        file: itself.
        pixels: its row of an array, if it is one.
    """

    file: PictureFile
    pixels: Tensor | None = None


class Cut(NamedTuple):
    """The choices by which pictures are cut and read; see :class:`Part`."""

    shape: tuple[int, ...]
    resize: bool
    scale: float | None
    block: int

    def parts(self, wanted: Iterable[Wanted], done: Callable[[PictureFile], bool]) -> Iterator[Part]:
        """Return runs of pictures, and every shard alone, less what is done."""
        run: list[Wanted] = []
        for one in wanted:
            if one.file.is_shard and one.pixels is None:
                yield from self._part(run, done)
                yield from self._part([one], done)
                run = []
                continue
            run.append(one)
            if len(run) == self.block:
                yield from self._part(run, done)
                run = []
        yield from self._part(run, done)

    def _part(self, run: list[Wanted], done: Callable[[PictureFile], bool]) -> Iterator[Part]:
        missing = [one for one in run if not done(one.file)]
        if missing:
            rows = [one.pixels for one in missing if one.pixels is not None]
            yield Part(
                files=tuple(one.file for one in missing),
                shape=self.shape,
                resize=self.resize,
                scale=self.scale,
                pixels=torch.stack(rows) if rows else None,
                block=self.block,
            )


def scored_parts(
    detector: Detector, parts: Iterable[Part], *, fitting: bool, progress: Progress
) -> Iterator[PartScores]:
    """Give what becomes of the parts, in the order in which they are done, by the engine of the block (`separatrix.engines.using`) or here.

    Args:
        detector: that scores.
        parts: taken when somebody is free.
        fitting: is it known that the pictures are those of the detector? If not, nothing is given until a part has shown it.
        progress: moves by one per picture.

    Raises:
        InputError: the pictures have another size, as far as the first of them tell.
        FileError: some files could not be read for now; raised when all others are given.
        EngineError: parts have failed three times; raised when all others are given.
    """
    engine = current() or Here()
    under_way: dict[int, Part] = {}
    waiting: dict[int, PartScores] = {}
    unread: dict[str, str] = {}
    following = 0

    def given() -> Iterator[Part]:
        for number, part in enumerate(parts):
            under_way[number] = part
            yield part

    try:
        for number, found in engine.map(score_part, given(), detector):
            part = under_way.pop(number)
            if found.unread:
                unread |= dict.fromkeys((file.where for file in part.files), found.unread)
            progress.advance(sum(len(file.names) for file in found.files))
            waiting[number] = found
            while not fitting and following in waiting:  # in the order of the parts, whoever was first
                found = waiting[following]
                following += 1
                if found.refusal is not None:
                    raise found.refusal
                fitting = found.fits
            if fitting:
                yield from waiting.values()
                waiting.clear()
        yield from waiting.values()
    except EngineError as error:
        if not under_way:
            raise
        yield from waiting.values()
        names = ", ".join(part.files[0].where for part in list(under_way.values())[:3])
        raise EngineError(f"{str(error).rstrip('.')} (with {names}).") from error
    if unread:
        where, why = next(iter(unread.items()))
        others = f" and {len(unread) - 1:,} other files" if len(unread) > 1 else ""
        raise FileError(
            f"{where}{others} could not be read ({why}); everything else is scored and kept: give the same command again."
        )
