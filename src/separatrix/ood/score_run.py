"""A table of scores for a folder of pictures that need not fit in memory, and that goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from separatrix.data import load_images
from separatrix.data.images import shape_words
from separatrix.data.picture_stream import PictureBlock, stream_pictures
from separatrix.errors import CalibrationWarning, FileError, InputError
from separatrix.ood.decisions import Budget, Decisions
from separatrix.ood.detector import Detector
from separatrix.ood.files import identity
from separatrix.ood.score_table import (
    WORDS,
    csv_rows,
    open_text,
    read_rows,
    require_format,
    rows_of,
    write_rows,
    write_whole,
)

_BLOCK = 256  # pictures in memory at a time, and rows that an interruption can cost


@dataclass(frozen=True, kw_only=True)
class ScoreRun:
    """What `score_to_table` did.

    Attributes:
        table: the file that was written.
        names: what was scored, in the order of the table.
        decisions: one per name.
        reused: how many scores were in the table, or in the part of an interrupted run, already.
        broken: name → why it could not be decoded; such files are unscorable.
    """

    table: Path
    names: tuple[str, ...]
    decisions: Decisions
    reused: int
    broken: Mapping[str, str]

    def summary(self, detector: Detector) -> dict[str, Any]:
        """JSON-ready: what was promised by whom, and what was seen."""
        verdicts = self.decisions.verdict
        return {
            "table": str(self.table),
            "kind": detector.kind,
            "model": detector.field.name,
            "fpr": self.decisions.rate,
            "calibration": self.decisions.calibration,
            "between": None if self.decisions.between is None else list(self.decisions.between),
            "files": len(self.names),
            **{word: int((verdicts == int(verdict)).sum()) for verdict, word in WORDS.items()},
            "reused": self.reused,
            "broken": dict(self.broken),
            "notes": [*self.decisions.notes, *detector.notes],
        }


def score_to_table(
    detector: Detector,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    fpr: float | Budget = 0.01,
    resize: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> ScoreRun:
    """Score every picture of a folder and write file, score, p-value and decision (`score_table.COLUMNS`), in path order.

    Rows appear in ``OUT.partial-…`` block by block while it runs, and in ``out`` when it is complete. If it is stopped, the
    same call goes on: scores of the partial table, and of an earlier complete one, are not computed again unless the picture is
    newer than the table. Another ``fpr`` decides anew on the same scores. Beside the table, ``OUT.json`` says which detector
    it is of, what was promised, and which files could not be decoded.

    Args:
        detector: fitted on inputs.
        source: a folder of pictures, streamed; or anything else that `load_images` takes, then in memory.
        out: the table: .csv, .parquet or .arrow.
        fpr: the false-alarm rate on ID inputs.
        resize: bring pictures to the size that the detector was fitted on.
        overwrite: replace a table of another detector or other images, and compute everything anew.
        progress: show a progress bar.

    Memory: one block of pictures, and a few numbers per file. Cost: that of the detector per new file.

    Raises:
        InputError: a picture of another size, or a detector that was fitted on latents.
        FileError: ``out`` is of another detector or other images, or cannot be written.

    Warns:
        CalibrationWarning: there are too few calibration scores for that rate.
    """
    folder, table = Path(source), Path(out)
    require_format(table)
    # Refuses a rate outside (0, 1), and warns of a small calibration, before any work is done.
    detector.decide_scores(torch.empty(0, dtype=torch.float64), fpr)
    # Names of files are relative to their folder: those of another folder are other files.
    origin = {"detector": identity(detector), "source": os.path.realpath(folder)}
    digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
    partial = table.with_name(f"{table.name}.partial-{digest[:8]}.csv")
    known = {} if overwrite else _known(table, partial, origin)
    if overwrite:
        partial.unlink(missing_ok=True)
    order: list[str] = []

    def wanted(name: str, path: Path) -> bool:
        order.append(name)
        return name not in known or path.stat().st_mtime > known[name][1]

    fresh: dict[str, float] = {}
    broken: dict[str, str] = {}
    with tqdm(desc="scoring", unit="picture", disable=not progress) as bar:
        for block, scores in stream_scores(detector, folder, resize=resize, wanted=wanted):
            _append(partial, block.names, _quietly_decided(detector, scores, fpr))
            fresh |= dict(zip(block.names, scores.tolist(), strict=True))
            broken |= block.broken
            bar.update(len(block.names))
    values = [fresh[name] if name in fresh else known[name][0] for name in order]
    decisions = _quietly_decided(detector, torch.tensor(values, dtype=torch.float64), fpr)
    write_rows(table, rows_of(order, decisions))
    reused = sum(name not in fresh for name in order)
    run = ScoreRun(table=table, names=tuple(order), decisions=decisions, reused=reused, broken=broken)
    text = json.dumps({**origin, **run.summary(detector)}, indent=1)
    write_whole(_record(table), text)
    partial.unlink(missing_ok=True)
    return run


def stream_scores(
    detector: Detector,
    source: Path,
    *,
    resize: bool = False,
    wanted: Callable[[str, Path], bool] = lambda _name, _path: True,
) -> Iterator[tuple[PictureBlock, Tensor]]:
    """Blocks of images with their scores; NaN for what could not be decoded."""
    shape = detector.input_shape
    if shape is None:
        raise InputError("This detector was fitted on latents, not on images; score latents with score_features.")
    for block in _blocks(source, shape, resize, wanted):
        scores = detector.score(block.pixels)
        scores[[name in block.broken for name in block.names]] = math.nan
        yield block, scores


def _blocks(
    source: Path, shape: tuple[int, ...], resize: bool, wanted: Callable[[str, Path], bool]
) -> Iterator[PictureBlock]:
    """A folder block by block; whatever else holds images is read at once and cut."""
    if source.is_dir():
        yield from stream_pictures(source, shape, resize=resize, block=_BLOCK, wanted=wanted)
        return
    images = load_images(source, size=(shape[1], shape[2]) if resize and len(shape) == 3 else None)
    if images.image_shape != shape:
        raise InputError(
            f"{source} holds data of shape {shape_words(images.image_shape)} where the detector was fitted on "
            f"{shape_words(shape)}; pass resize=True if only the size differs, or data of that shape."
        )
    unique = len(set(images.names)) == len(images)
    names = images.names if unique else tuple(map(str, range(len(images))))
    file = source if source.exists() else Path(str(source).rpartition("#")[0])
    chosen = [index for index, name in enumerate(names) if wanted(name, file)]
    for first in range(0, len(chosen), _BLOCK):
        rows = chosen[first : first + _BLOCK]
        yield PictureBlock(names=tuple(names[row] for row in rows), pixels=images.pixels[rows])


def _known(table: Path, partial: Path, origin: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """name → (score, when its table was last written), of this detector and source; the torn end of a partial table is cut off."""
    found: dict[str, tuple[float, float]] = {}
    if table.exists():
        try:
            record = json.loads(_record(table).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            record = {}
        if not isinstance(record, dict) or any(record.get(key) != value for key, value in origin.items()):
            raise FileError(
                f"{table} is not a table of this detector and these images; choose another name, or pass overwrite=True."
            )
        written = table.stat().st_mtime
        found |= {row.file: (row.score, written) for row in read_rows(table)}
    if partial.exists():
        written = partial.stat().st_mtime
        rows = read_rows(partial)
        write_rows(partial, rows)
        os.utime(partial, (written, written))
        found |= {row.file: (row.score, written) for row in rows}
    return found


def _append(partial: Path, names: tuple[str, ...], decisions: Decisions) -> None:
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with open_text(partial, "a") as stream:
            csv_rows(stream, rows_of(names, decisions), header=stream.tell() == 0)
    except OSError as error:
        raise FileError(
            f"Cannot write to {partial} ({error.strerror}); choose a folder with room that you may write to."
        ) from error


def _quietly_decided(detector: Detector, scores: Tensor, fpr: float | Budget) -> Decisions:
    """What there is to warn about was warned about at the start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return detector.decide_scores(scores, fpr)


def _record(table: Path) -> Path:
    return table.with_name(f"{table.name}.json")
