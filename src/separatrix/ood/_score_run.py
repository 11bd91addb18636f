"""A table of scores for any number of pictures, computed in parts by any engine, that goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data._picture_stream import DARKEST, brighter, require_picture_shape, warn_if_dark
from separatrix.data._sources import PictureFile, canonical, files_of, is_shard, is_stream, stamp_of
from separatrix.data._white import require_scale
from separatrix.errors import CalibrationWarning, FileError
from separatrix.ood._decisions import AlarmBudget, Decisions
from separatrix.ood._detector import Detector
from separatrix.ood._files import identity
from separatrix.ood._score_kept import KeptScores, Known
from separatrix.ood._score_parts import Cut, Wanted, scored_parts
from separatrix.ood._score_stream import image_shape, images_of
from separatrix.ood._score_table import WORDS, Row, read_rows, require_format, rows_of, write_rows, write_whole
from separatrix.ood._score_task import BLOCK, FileScores
from separatrix.storage import ROOM, PathLike, Reservation, hold, new_file, url_of
from separatrix.work import Progress

Sources = PathLike | Sequence[PathLike]


@dataclass(frozen=True, kw_only=True)
class ScoreRun:
    """The outcome of `score_to_table`.

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


@checked
def score_to_table(
    detector: Detector,
    source: Sources,
    out: PathLike,
    *,
    fpr: float | AlarmBudget = 0.01,
    resize: bool = False,
    scale: float | None = None,
    overwrite: bool = False,
    progress: bool | Progress = False,
) -> ScoreRun:
    """Score every picture of a source and write file, score, p-value and decision (`score_table.COLUMNS`), in the order of the names.

    The pictures are scored in parts, by the engine of the block (`separatrix.engines.using`) or in this process: runs of 256 picture files,
    or one shard each. What a part gave is kept in a folder ``OUT.partial-…`` until the table is complete; if all is stopped, at whatever moment,
    the same call goes on, and ends in the same bytes. Scores of an earlier complete table are not computed again
    unless the size or the time stamp of the file is another one. Another ``fpr`` decides anew on the same scores. Beside the table, ``OUT.json`` says which detector
    it is of, what was promised, and which pictures are unscorable because they cannot be decoded, or have another size than the
    others. With ``resize`` these are opened again.

    Args:
        detector: fitted on inputs.
        source: folders of pictures, and shards: tar files in WebDataset's layout and Parquet files with a column of pictures (encoded, or paths
            relative to the file; ``FILE#COLUMN`` where it is not clear which), or folders of shards; one of these or several, each here or at
            a URL that fsspec knows. Or one of anything else that `load_images` takes, then in memory.
        out: the table: .csv, .parquet or .arrow.
        fpr: the false-alarm rate on ID inputs.
        resize: bring pictures to the size that the detector was fitted on.
        scale: the stored value that is white, as `load_images` takes it; the same as where the detector was fitted.
        overwrite: replace a table of another detector or other images, and compute everything anew.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Memory: one block of pictures per worker, and here a few numbers per picture. Cost: that of the detector per new file.

    Raises:
        InputError: pictures of another size, or a detector that was fitted on latents.
        FileError: ``out`` is of another detector or other images, or cannot be written; or files of an object store could not be read.
        EngineError: parts have failed three times each; the others are kept.

    Warns:
        CalibrationWarning: there are too few calibration scores for that rate.
    """
    sources = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    require_format(Path(out))
    # Refuses a rate outside (0, 1), and warns of a small calibration, before any work is done.
    detector.decide_scores(torch.empty(0, dtype=torch.float64), fpr)
    reads = [each for each in sources if url_of(each) is None]
    with hold(out, kind=None, overwrite=True, reads=reads, room=ROOM) as place:
        cut = Cut(image_shape(detector), resize, require_scale(scale), BLOCK)
        return _scored(detector, sources, place, fpr, cut, overwrite, progress)


def _scored(
    detector: Detector,
    sources: list[PathLike],
    place: Reservation,
    fpr: float | AlarmBudget,
    cut: Cut,
    overwrite: bool,
    progress: bool | Progress,
) -> ScoreRun:
    # Names of files are relative to their folder: those of another folder are other files.
    origin = {"detector": identity(detector), "source": canonical(sources), "scale": cut.scale}
    digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
    table = place.target
    kept = KeptScores(table.with_name(f"{table.name}.partial-{digest[:8]}"))
    if overwrite:
        kept.remove()
    before: Known = {} if overwrite else _of_table(table, origin)
    since = kept.read()
    order: dict[str, tuple[int, int]] = {}  # the stamps of all files, in the order of the table

    def known(among: Known, file: PictureFile) -> bool:
        rows = among.get(file.stamped)
        return rows is not None and not (cut.resize and rows[1])  # a size is no reason any more

    def wanted() -> Iterator[Wanted]:
        for one in _files(sources, cut):
            order[one.file.name] = one.file.stamped[1:]
            if not known(before, one.file):
                yield one

    fitting = any(
        math.isfinite(score) for rows in (before, since) for file, _ in rows.values() for score in file.scores
    )
    fresh: Known = {}
    brightest = DARKEST
    with Progress.of(progress).stage("scoring pictures") as line:
        parts = cut.parts(wanted(), lambda file: known(since, file))
        for found in scored_parts(detector, parts, fitting=fitting, progress=line):
            if found.files:
                kept.keep(found.files, found.broken)
            fresh |= {file[:3]: (file, found.broken) for file in found.files}
            brightest = brighter(brightest, found.level)
    warn_if_dark(brightest, cut.scale, ", ".join(map(str, sources)))
    run = _written(detector, place, fpr, origin, order, [fresh, since, before])
    kept.remove()
    return run


def _files(sources: Sequence[PathLike], cut: Cut) -> Iterator[Wanted]:
    """Pictures and shards as they are found; whatever else holds images is read at once."""
    if len(sources) > 1 or is_stream(sources[0]):
        require_picture_shape(cut.shape)
        yield from (Wanted(file) for file in files_of(sources))
        return
    images = images_of(sources[0], cut.shape, cut.resize, cut.scale)
    where = os.fspath(sources[0])
    stamp = stamp_of(Path(where if os.path.exists(where) else where.rpartition("#")[0]))
    for name, pixels in zip(images.names, images.pixels, strict=True):
        yield Wanted(PictureFile(name, where, *stamp), pixels)


def _written(
    detector: Detector,
    place: Reservation,
    fpr: float | AlarmBudget,
    origin: Mapping[str, Any],
    order: Mapping[str, tuple[int, int]],
    found: Sequence[Known],
) -> ScoreRun:
    """Write the table of all files, each with the first rows that are found for it."""
    fresh = found[0]
    names: list[str] = []
    scores: list[float] = []
    stamps: list[tuple[int, int]] = []
    broken: dict[str, str] = {}
    shards: dict[str, int] = {}
    reused = 0
    for name, stamp in order.items():
        key = (name, *stamp)
        file, reasons = next(rows[key] for rows in found if key in rows)
        names += file.names
        scores += file.scores
        stamps += [stamp] * len(file.names)
        broken |= {row: reasons[row] for row in file.names if row in reasons}
        reused += 0 if key in fresh else len(file.names)
        if is_shard(name) and file.names != (name,):
            shards[name] = len(file.names)
    decisions = _quietly_decided(detector, torch.tensor(scores, dtype=torch.float64), fpr)
    run = ScoreRun(table=place.asked, names=tuple(names), decisions=decisions, reused=reused, broken=broken)
    record = {**origin, **({"shards": shards} if shards else {}), **run.summary(detector)}
    with new_file(place) as building:  # the two files belong together, and go to their places together
        write_rows(building, rows_of(run.names, decisions, stamps))
        write_whole(_record(building), json.dumps(record, indent=1))
    return run


def _of_table(table: Path, origin: Mapping[str, Any]) -> Known:
    """The rows of an earlier complete table.

    Raises:
        FileError: it is of another detector or other images.
    """
    from separatrix.storage._records import json_if_any

    if not table.exists():
        return {}
    record = json_if_any(_record(table))
    if not isinstance(record, dict) or any(record.get(key) != value for key, value in origin.items()):
        raise FileError(
            f"{table} is not a table of this detector and these images; choose another name, or pass overwrite=True."
        )
    reasons = {name: why for name, why in _items(record.get("broken")) if isinstance(why, str)}
    counts = {name: count for name, count in _items(record.get("shards")) if isinstance(count, int)}
    found: Known = {}
    of_shards: dict[tuple[str, int, int], list[Row]] = {}
    for row in read_rows(table):
        shard = next((part for part in _prefixes(row.file) if part in counts), None) if counts else None
        if shard is None:
            file = FileScores(row.file, row.size, row.mtime_ns, (row.file,), (row.score,))
            found[file[:3]] = file, _of_rows(file, reasons)
        else:
            of_shards.setdefault((shard, row.size, row.mtime_ns), []).append(row)
    for key, rows in of_shards.items():
        if len(rows) == counts[key[0]]:
            file = FileScores(*key, tuple(row.file for row in rows), tuple(row.score for row in rows))
            found[key] = file, _of_rows(file, reasons)
    return found


def _of_rows(file: FileScores, reasons: Mapping[str, str]) -> dict[str, str]:
    """Say why rows of a file have no score; a row that has one was repaired."""
    return {
        row: reasons[row]
        for row, score in zip(file.names, file.scores, strict=True)
        if row in reasons and math.isnan(score)
    }


def _prefixes(name: str) -> Iterator[str]:
    """Give what a name begins with, up to each of its folders, and itself.

    >>> list(_prefixes("a/b.tar/c.png"))
    ['a', 'a/b.tar', 'a/b.tar/c.png']
    """
    parts = name.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _items(found: Any) -> Iterable[tuple[str, Any]]:
    return found.items() if isinstance(found, dict) else ()


def _quietly_decided(detector: Detector, scores: Tensor, fpr: float | AlarmBudget) -> Decisions:
    """Decide without a warning: what there is to warn about was warned about at the start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return detector.decide_scores(scores, fpr)


def _record(table: Path) -> Path:
    return table.with_name(f"{table.name}.json")
