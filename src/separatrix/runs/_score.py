"""The recipe ``ood``: a table of scores, as `score_to_table` writes it, and a run with a page beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from separatrix.data import ImageSet
from separatrix.data._sources import canonical
from separatrix.data._white import require_scale
from separatrix.field import RecordedField
from separatrix.ood import AlarmBudget, Detector, score_to_table
from separatrix.ood._files import identity
from separatrix.ood._score_run import ScoreRun, Sources
from separatrix.ood._score_stream import pictures_of
from separatrix.report._scores import Scored, score_page, scores_picture
from separatrix.runs._around import extremes, scenes_around
from separatrix.runs._living import STORED, Scenes, Sleeper
from separatrix.runs._plan import Plan, model_record
from separatrix.runs._run import RUNNING, Run, opened
from separatrix.runs._views import Ended, View, provenance, write_views
from separatrix.storage import PathLike, storable
from separatrix.words import jsonable, without_folders
from separatrix.work import Progress

RECIPE = "ood"
STAGE = "scores"
_SHOWN = 24  # inputs with the highest scores
_FIGURE = "scores"  # to which the living page belongs


@storable
class StoredScores(Scored):
    """The scores of a run, in its folder."""


@dataclass(frozen=True, kw_only=True)
class ScoredRun(Ended):
    """It tells what was found; ``summary`` is that of the table."""

    scores: ScoreRun


def score(
    detector: Detector,
    source: Sources,
    table: PathLike,
    *,
    fpr: float | AlarmBudget = 0.01,
    resize: bool = False,
    scale: float | None = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    figures: bool = True,
    explorer: bool = True,
    progress: bool | Progress = False,
) -> ScoredRun:
    """Score pictures into a table, and write a run about them: counts, the scores beside their calibration, the highest ones.

    The table is what goes on after a break, and after new files. The run is made anew from it every time; it belongs to one detector
    and one source.

    Args:
        detector, source, table, fpr, resize, scale: as for `score_to_table`.
        out: the folder of the run; without one there is the table alone.
        overwrite: compute the table anew, and replace an earlier run of another detector or source.
        figures, explorer: as for `attractors`; on the living page a reader starts from pictures with the highest scores, and from usual ones.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError, FileError: as `score_to_table`; or something that is not to be replaced is at ``out``.

    Warns:
        CalibrationWarning: there are too few calibration scores for that rate.
        FigureWarning: a figure is missing.

    Cost: that of the detector per new file. With ``explorer``, where a page can hold the model, at most one map evaluation for every four pictures, or 200
    steps of twelve pictures where that is more (`scenes_around`), again when other pictures have the highest scores.
    """
    began = time.perf_counter()
    sources = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    options = {"detector": identity(detector), "source": canonical(sources), "scale": require_scale(scale)}
    plan = Plan(recipe=RECIPE, model={} if out is None else model_record(detector.field), options=options)
    with Progress.of(progress).stage(RECIPE, 2) as line, opened(out, plan, overwrite=overwrite) as run:
        found = score_to_table(
            detector, source, table, fpr=fpr, resize=resize, scale=scale, overwrite=overwrite, progress=line
        )
        if run.folder is not None:
            run.record["state"] = RUNNING  # until its page is of these scores
            run.renew(STAGE, _scored(detector, sources, found, resize, scale))
            starts = _starts(detector, sources, found, resize, scale) if figures and explorer else None
            viewer = score_view if starts is None else partial(score_view, living=_living(detector, starts, found))
            write_views(run, viewer, {}, figures=figures, explorer=explorer, anew=True, progress=line)
        return ScoredRun(
            scores=found,
            summary=jsonable(found.summary(detector)),
            folder=run.folder,
            seconds=time.perf_counter() - began,
        )


def score_view(run: Run, _: Mapping[str, RecordedField], living: Sleeper = STORED) -> View:
    """Everything that is written of such a run; no model is asked for any of it but the living page, by whoever has it."""
    found: StoredScores = run.load(STAGE)
    summary = {
        "kind": f"separatrix {RECIPE}",
        "table": found.table,
        "detector": found.kind,
        "fpr": found.rate,
        "calibration": len(found.calibration),
        "between": found.between,
        "files": len(found.scores),
        "out": int(found.is_ood.sum()),
        "unscorable": found.lost,
        "threshold": found.threshold,
        "code": found.statement.slug,
        "statement": str(found.statement),
        "highest": dict(zip(found.names, found.scores[found.shown].tolist(), strict=True)),
        "broken": found.broken,
        "notes": found.notes,
    }
    sources = run.plan["options"]["source"]
    title = ", ".join(Path(one).name for one in ([sources] if isinstance(sources, str) else sources))
    return View(
        summary=jsonable(summary),
        figures={_FIGURE: lambda _: scores_picture(found)},
        living={_FIGURE: living},
        page=lambda drawn: score_page(found, title, provenance(run), drawn),
    )


def _scored(
    detector: Detector, sources: list[PathLike], found: ScoreRun, resize: bool, scale: float | None
) -> StoredScores:
    decisions = found.decisions
    highest = decisions.scores.nan_to_num(nan=-float("inf")).argsort(descending=True, stable=True)[:_SHOWN]
    shown = highest[decisions.scores[highest].isfinite()]
    names = tuple(found.names[row] for row in shown.tolist())
    return StoredScores(
        scores=decisions.scores,
        p_values=decisions.p_values,
        decision=decisions.decision,
        rate=decisions.rate,
        between=decisions.between,
        calibration=detector.calibrated.cpu(),
        shown=shown,
        names=names,
        pictures=pictures_of(detector, sources, names, resize=resize, scale=scale),
        broken=found.broken,
        kind=detector.kind,
        table=str(found.table),
        notes=(*decisions.notes, *detector.notes),
    )


def _starts(
    detector: Detector, sources: list[PathLike], found: ScoreRun, resize: bool, scale: float | None
) -> ImageSet | None:
    """Pictures with the highest scores, and some with scores in the middle, called by what they are."""
    scores = found.decisions.scores
    order = scores.nan_to_num(nan=float("inf")).argsort(stable=True)[: int(scores.isfinite().sum())].tolist()
    called = {found.names[row]: f"{words}: {found.names[row]}" for row, words in extremes(order).items()}
    pictures = pictures_of(detector, sources, list(called), resize=resize, scale=scale)
    if pictures is None:
        return None
    rows = {name: row for row, name in enumerate(pictures.names)}
    chosen = [name for name in called if name in rows]
    return ImageSet(
        pixels=pictures.pixels[[rows[name] for name in chosen]], names=tuple(called[name] for name in chosen)
    )


def _living(detector: Detector, starts: ImageSet, found: ScoreRun) -> Sleeper:
    """The living page of the detector's model, of these pictures."""
    field = detector.field

    def made(line: Progress) -> Scenes:
        title = without_folders(field.name)
        return scenes_around(field, starts, title=title, cost=len(found.names), progress=line)

    return Sleeper(make=made, of=" ".join((starts.fingerprint, *starts.names)))
