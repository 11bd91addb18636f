"""The recipe ``ood``: a table of scores, as `score_to_table` writes it, and a run with a page beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from separatrix.data._sources import canonical
from separatrix.data._white import require_scale
from separatrix.field import RecordedField
from separatrix.ood import AlarmBudget, Detector, score_to_table
from separatrix.ood._files import identity
from separatrix.ood._score_run import ScoreRun, Sources
from separatrix.ood._score_stream import pictures_of
from separatrix.report._scores import Scored, score_page, scores_picture
from separatrix.runs._plan import Plan, model_record
from separatrix.runs._run import RUNNING, Run, opened
from separatrix.runs._views import Ended, View, provenance, write_views
from separatrix.storage import PathLike, storable
from separatrix.words import jsonable
from separatrix.work import Progress

RECIPE = "ood"
STAGE = "scores"
_SHOWN = 24  # inputs with the highest scores


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
    progress: bool | Progress = False,
) -> ScoredRun:
    """Score pictures into a table, and write a run about them: counts, the scores beside their calibration, the highest ones.

    The table is what goes on after a break, and after new files. The run is made anew from it every time; it belongs to one detector
    and one source.

    Args:
        detector, source, table, fpr, resize, scale: as for `score_to_table`.
        out: the folder of the run; without one there is the table alone.
        overwrite: compute the table anew, and replace an earlier run of another detector or source.
        figures: as for `attractors`.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError, FileError: as `score_to_table`; or something that is not to be replaced is at ``out``.

    Warns:
        CalibrationWarning: there are too few calibration scores for that rate.
        FigureWarning: a figure is missing.

    Cost: that of the detector per new file.
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
            write_views(run, score_view, {}, figures=figures, anew=True, progress=line)
        return ScoredRun(
            scores=found,
            summary=jsonable(found.summary(detector)),
            folder=run.folder,
            seconds=time.perf_counter() - began,
        )


def score_view(run: Run, _: Mapping[str, RecordedField]) -> View:
    """Everything that is written of such a run; no model is asked for any of it."""
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
        figures={"scores": lambda _: scores_picture(found)},
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
