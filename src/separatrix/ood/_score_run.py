"""A table of scores for a folder of pictures that need not fit in memory, and that goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from separatrix.data import ImageSet, PictureBlock, load_images, shape_words, stream_pictures
from separatrix.data._white import require_scale
from separatrix.errors import CalibrationWarning, FileError, InputError, SeparatrixError, first_line
from separatrix.ood._decisions import AlarmBudget, Decisions
from separatrix.ood._detector import Detector
from separatrix.ood._files import identity
from separatrix.ood._score_table import (
    WORDS,
    Row,
    csv_rows,
    open_text,
    read_rows,
    require_format,
    rows_of,
    write_rows,
    write_whole,
)
from separatrix.storage import ROOM, PathLike, Reservation, hold, new_file
from separatrix.work import Progress

_BLOCK = 256  # pictures in memory at a time, and rows that an interruption can cost


@dataclass(frozen=True, kw_only=True)
class ScoreRun:
    """It tells what `score_to_table` did.

    Attributes:
        table: the file that was written.
        names: what was scored, in the order of the table.
        decisions: one per name.
        reused: how many scores were in the table, or in the part of an interrupted run, already.
        broken: name → why it has no pixels, now or when its row was written: it cannot be decoded, or has another size than
            the others. Such files are unscorable.
    """

    table: Path
    names: tuple[str, ...]
    decisions: Decisions
    reused: int
    broken: Mapping[str, str]

    def summary(self, detector: Detector) -> dict[str, Any]:
        """JSON-ready: what was promised by whom, and what was seen."""
        codes = self.decisions.decision
        return {
            "table": str(self.table),
            "kind": detector.kind,
            "model": detector.field.name,
            "fpr": self.decisions.rate,
            "calibration": self.decisions.calibration,
            "between": None if self.decisions.between is None else list(self.decisions.between),
            "files": len(self.names),
            **{word: int((codes == int(decision)).sum()) for decision, word in WORDS.items()},
            "reused": self.reused,
            "broken": dict(self.broken),
            "notes": [*self.decisions.notes, *detector.notes],
        }


def score_to_table(
    detector: Detector,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    fpr: float | AlarmBudget = 0.01,
    resize: bool = False,
    scale: float | None = None,
    overwrite: bool = False,
    progress: bool | Progress = False,
) -> ScoreRun:
    """Score every picture of a folder and write file, score, p-value and decision (`score_table.COLUMNS`), in path order.

    Rows appear in ``OUT.partial-…`` block by block while it runs, and in ``out`` when it is complete. If it is stopped, at
    whatever moment, the same call goes on: scores of the partial table, and of an earlier complete one, are not computed again
    unless the size or the time stamp of the file is another one. Another ``fpr`` decides anew on the same scores. Beside the table, ``OUT.json`` says which detector
    it is of, what was promised, and which files are unscorable because they cannot be decoded, or have another size than the
    others. With ``resize`` these are opened again.

    Args:
        detector: fitted on inputs.
        source: a folder of pictures, streamed; or anything else that `load_images` takes, then in memory.
        out: the table: .csv, .parquet or .arrow.
        fpr: the false-alarm rate on ID inputs.
        resize: bring pictures to the size that the detector was fitted on.
        scale: the stored value that is white, as `load_images` takes it; the same as where the detector was fitted.
        overwrite: replace a table of another detector or other images, and compute everything anew.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Memory: one block of pictures, and a few numbers per file. Cost: that of the detector per new file.

    Raises:
        InputError: pictures of another size, or a detector that was fitted on latents.
        FileError: ``out`` is of another detector or other images, or cannot be written.

    Warns:
        CalibrationWarning: there are too few calibration scores for that rate.
    """
    require_format(Path(out))
    # Refuses a rate outside (0, 1), and warns of a small calibration, before any work is done.
    detector.decide_scores(torch.empty(0, dtype=torch.float64), fpr)
    with hold(out, kind=None, overwrite=True, reads=(source,), room=ROOM) as place:
        return _scored(detector, Path(source), place, fpr, resize, require_scale(scale), overwrite, progress)


def _scored(
    detector: Detector,
    folder: Path,
    place: Reservation,
    fpr: float | AlarmBudget,
    resize: bool,
    scale: float | None,
    overwrite: bool,
    progress: bool | Progress,
) -> ScoreRun:
    # Names of files are relative to their folder: those of another folder are other files.
    origin = {"detector": identity(detector), "source": os.path.realpath(folder), "scale": scale}
    digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
    table = place.target
    partial = table.with_name(f"{table.name}.partial-{digest[:8]}.csv")
    if overwrite:
        _remove(partial)
    known, reasons = ({}, {}) if overwrite else _known(table, partial, origin)
    stamps: dict[str, tuple[int, int]] = {}  # of all files, in the order of the table

    def wanted(name: str, path: Path) -> bool:
        stamps[name] = _stamp(path)  # as it is before it is read: what is written meanwhile is seen next time
        opened_again = resize and name in reasons  # a size is no reason any more
        return name not in known or opened_again or (known[name].size, known[name].mtime_ns) != stamps[name]

    fitting = any(math.isfinite(row.score) for row in known.values())
    fresh: dict[str, float] = {}
    with Progress.of(progress).stage("scoring pictures") as line:
        for block, scores in stream_scores(
            detector, folder, resize=resize, scale=scale, wanted=wanted, fitting=fitting
        ):
            decided = _quietly_decided(detector, scores, fpr)
            _append(partial, rows_of(block.names, decided, [stamps[name] for name in block.names]), block.broken)
            for name, score in zip(block.names, scores.tolist(), strict=True):
                fresh[name] = score
                reasons.pop(name, None)  # of the file as it was
            reasons |= block.broken
            line.advance(len(block.names))
    values = [fresh[name] if name in fresh else known[name].score for name in stamps]
    decisions = _quietly_decided(detector, torch.tensor(values, dtype=torch.float64), fpr)
    reused = sum(name not in fresh for name in stamps)
    broken = {name: reasons[name] for name in stamps if name in reasons}
    run = ScoreRun(table=place.asked, names=tuple(stamps), decisions=decisions, reused=reused, broken=broken)
    with new_file(place) as building:  # the two files belong together, and go to their places together
        write_rows(building, rows_of(run.names, decisions, list(stamps.values())))
        write_whole(_record(building), json.dumps({**origin, **run.summary(detector)}, indent=1))
    _remove(partial)
    return run


def stream_scores(
    detector: Detector,
    source: Path,
    *,
    resize: bool = False,
    scale: float | None = None,
    wanted: Callable[[str, Path], bool] = lambda _name, _path: True,
    fitting: bool = False,
) -> Iterator[tuple[PictureBlock, Tensor]]:
    """Blocks of images with their scores; the options are those of `stream_pictures`.

    NaN where there are no pixels, or where the model fails on an image alone, which is named like one that cannot be decoded.
    Where it fails on all from the first block on, the error is raised.
    """
    shape = detector.input_shape
    if shape is None:
        raise InputError("This detector was fitted on latents, not on images; score latents with score_features.")
    for block in _blocks(source, shape, resize, scale, wanted, fitting):
        scores, errors = _one_by_one(detector, block.pixels)
        if len(errors) == len(scores) and not fitting:
            raise errors[0]
        fitting = True
        block.broken.update(
            {block.names[row]: f"the model fails on it ({first_line(error)})" for row, error in errors.items()}
        )
        scores[[name in block.broken for name in block.names]] = math.nan
        yield block, scores


def pictures_of(
    detector: Detector, source: PathLike, names: Collection[str], *, resize: bool = False, scale: float | None = None
) -> ImageSet | None:
    """The images of a few names, as the detector is given them; those without pixels are left out. None if there is none."""
    assert detector.input_shape is not None
    blocks = _blocks(
        Path(source), detector.input_shape, resize, require_scale(scale), lambda name, _: name in names, fitting=True
    )
    pixels = {
        name: image
        for block in blocks
        for name, image in zip(block.names, block.pixels, strict=True)
        if name not in block.broken
    }
    return ImageSet(pixels=torch.stack(list(pixels.values())), names=tuple(pixels)) if pixels else None


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


def _blocks(
    source: Path,
    shape: tuple[int, ...],
    resize: bool,
    scale: float | None,
    wanted: Callable[[str, Path], bool],
    fitting: bool,
) -> Iterator[PictureBlock]:
    """A folder block by block; whatever else holds images is read at once and cut."""
    if source.is_dir():
        yield from stream_pictures(
            source, shape, resize=resize, scale=scale, block=_BLOCK, wanted=wanted, fitting=fitting
        )
        return
    images = load_images(source, size=(shape[1], shape[2]) if resize and len(shape) == 3 else None, scale=scale)
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


def _known(table: Path, partial: Path, origin: Mapping[str, Any]) -> tuple[dict[str, Row], dict[str, str]]:
    """Return what is known of this detector and source: name → row, and name → why it had no pixels.

    Torn ends of a partial table and of its reasons are cut off.
    """
    from separatrix.storage._records import json_if_any

    found: dict[str, Row] = {}
    broken: dict[str, str] = {}
    if table.exists():
        record = json_if_any(_record(table))
        if not isinstance(record, dict) or any(record.get(key) != value for key, value in origin.items()):
            raise FileError(
                f"{table} is not a table of this detector and these images; choose another name, or pass overwrite=True."
            )
        found |= {row.file: row for row in read_rows(table)}
        broken |= _reasons_in(record.get("broken"))
    if partial.exists():
        rows = read_rows(partial)
        write_rows(partial, rows)
        newer = {row.file: row for row in rows}
        found |= newer
        later = {name: why for name, why in _noted(partial).items() if name in newer}
        if _notes(partial).exists():
            write_whole(_notes(partial), "\n".join(json.dumps({name: why}) for name, why in later.items()))
        broken = {name: why for name, why in broken.items() if name not in newer} | later
    else:
        _remove(partial)  # reasons without rows: those files are opened again
    # A file that was repaired between two sittings has a score, and its reason no longer holds.
    return found, {name: why for name, why in broken.items() if name in found and math.isnan(found[name].score)}


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file; two impossible numbers where there is none, as at the end of a dangling link."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _append(partial: Path, rows: Sequence[Row], broken: Mapping[str, str]) -> None:
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        if broken:  # before the rows, so that an interruption leaves no such row without its reason
            with _notes(partial).open("a", encoding="utf-8") as stream:
                stream.writelines(f"{json.dumps({name: why})}\n" for name, why in broken.items())
        with open_text(partial, "a") as stream:
            csv_rows(stream, rows, header=stream.tell() == 0)
    except OSError as error:
        raise FileError(
            f"Cannot write to {partial} ({error.strerror}); choose a folder with room that you may write to."
        ) from error


def _notes(partial: Path) -> Path:
    """Beside a partial table, one JSON object per file without pixels: the table has no column for the reason."""
    return partial.with_suffix(".broken.jsonl")


def _noted(partial: Path) -> dict[str, str]:
    """name → reason; a last line that was cut off is left out."""
    from separatrix.storage._records import foreign_json

    reasons: dict[str, str] = {}
    try:
        lines = _notes(partial).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # the scores are worth more than the reasons
        return reasons
    for line in lines:
        with suppress(FileError):
            reasons |= _reasons_in(foreign_json(line, "a line"))
    return reasons


def _reasons_in(found: Any) -> dict[str, str]:
    """The part of something read from JSON that says why files had no pixels."""
    return {name: why for name, why in found.items() if isinstance(why, str)} if isinstance(found, dict) else {}


def _remove(partial: Path) -> None:
    for path in (partial, _notes(partial)):
        if path.exists():  # a place that is no folder is refused with a sentence by whoever writes there
            path.unlink()


def _quietly_decided(detector: Detector, scores: Tensor, fpr: float | AlarmBudget) -> Decisions:
    """Decide without a warning: what there is to warn about was warned about at the start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return detector.decide_scores(scores, fpr)


def _record(table: Path) -> Path:
    return table.with_name(f"{table.name}.json")
