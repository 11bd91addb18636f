"""The recipe ``drift``: how often may a picture pass through a model before it rots, and what helps?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from separatrix.data import ImageSource, load_images
from separatrix.field import LatentField, RecordedField
from separatrix.report._drift import drift_figures, drift_page
from separatrix.runs._plan import Plan, data_record, model_record
from separatrix.runs._run import Run, opened
from separatrix.runs._views import Ended, View, provenance, write_views
from separatrix.storage import PathLike
from separatrix.studies import Drift, Edit
from separatrix.studies import drift as measured
from separatrix.studies._drift.edits import USUAL
from separatrix.words import jsonable
from separatrix.work import Progress

RECIPE = "drift"


@dataclass(frozen=True, kw_only=True)
class DriftRun(Ended):
    """It tells what was found."""

    drift: Drift


def drift(
    field: LatentField,
    images: ImageSource,
    *,
    trips: int = 20,
    edits: Sequence[Edit] = USUAL,
    bar: float = 30.0,
    name: str | None = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    batch_size: int | None = None,
    seed: int = 0,
    figures: bool = True,
    progress: bool | Progress = False,
) -> DriftRun:
    """Send pictures through a model again and again, and write a run with a page that shows what becomes of them.

    Args:
        field, images, trips, edits, bar, name, seed: as for `separatrix.drift`.
        out, overwrite, figures: as for `attractors`.
        batch_size: most pictures in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError, FieldError: as `separatrix.drift`.
        FileError: something that is not to be replaced is at ``out``, or it cannot be written.

    Warns:
        FigureWarning: a figure is missing.

    Cost: that of `separatrix.drift`. A stage that is stored costs nothing.
    """
    began = time.perf_counter()
    known, chosen = load_images(images), tuple(edits)
    field = field.with_batch_size(batch_size)
    plan = Plan(
        recipe=RECIPE,
        model=model_record(field),
        data=data_record(images=known),
        options={"trips": trips, "edits": [edit.words for edit in chosen], "bar": bar, "name": name, "seed": seed},
    )
    with Progress.of(progress).stage(RECIPE, 2) as line, opened(out, plan, overwrite=overwrite) as run:
        found = run.stage(
            RECIPE,
            lambda: measured(field, known, trips=trips, edits=chosen, bar=bar, name=name, seed=seed, progress=line),
        )
        view = write_views(run, drift_view, {}, figures=figures, progress=line)
    return DriftRun(drift=found, summary=view.summary, folder=run.folder, seconds=time.perf_counter() - began)


def drift_view(run: Run, _: Mapping[str, RecordedField]) -> View:
    """Everything that is written of such a run; no model is asked for any of it."""
    found: Drift = run.load(RECIPE)
    cost = found.cost
    known = provenance(run, cost=f"{cost.total:,.0f} evaluations")
    return View(
        summary=jsonable(
            {
                "kind": f"separatrix {RECIPE}",
                "code": found.statement.slug,
                "summary": str(found.statement),
                **drift_summary(found),
                "cost": {**asdict(cost), "total": cost.total},
            }
        ),
        figures=drift_figures(found),
        page=lambda drawn: drift_page(found, known, drawn),
    )


def drift_summary(found: Drift) -> dict[str, Any]:
    """Every number of a drift that a page shows, JSON-ready but for what is unknown."""
    return {
        **found.to_dict(),
        "statement": found.statement.to_dict(),
        "per_picture": [
            {
                "name": name,
                **{
                    column: getattr(found, column)[row].tolist()
                    for column in ("psnr", "ssim", "brightness", "contrast")
                },
                "doubled": float(found.doubling[row]),
            }
            for row, name in enumerate(found.names)
        ],
    }
