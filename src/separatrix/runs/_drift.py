"""The recipe ``drift``: how often may a picture pass through a model before it rots, and what helps?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from separatrix.arguments import checked
from separatrix.cost import NO_WORK
from separatrix.data import ImageSet, ImageSource, load_images
from separatrix.errors import InputError
from separatrix.field import LatentField, RecordedField
from separatrix.report._drift import DriftResults, drift_figures, drift_page
from separatrix.runs._around import ends, named, scenes_around
from separatrix.runs._living import STORED, Scenes, Sleeper
from separatrix.runs._plan import Plan, data_record, model_record
from separatrix.runs._run import Run, opened
from separatrix.runs._views import Ended, View, provenance, write_views
from separatrix.storage import PathLike
from separatrix.studies import (
    Drift,
    Edit,
    EditBudget,
    drift_patterns,
    drift_ranking,
    drift_remedies,
    flicker,
    linearised,
)
from separatrix.studies import drift as measured
from separatrix.studies._drift.edits import USUAL
from separatrix.studies._drift.trips import as_edits, sized
from separatrix.words import Statement, jsonable
from separatrix.work import Progress

RECIPE = "drift"
_FOLLOWED = 4  # pictures whose orbits are followed to their end
_DIRECTIONS, _PREDICTED = 3, 10  # of the Jacobian, and trips that it predicts


@dataclass(frozen=True, kw_only=True)
class DriftRun(Ended):
    """It tells what was found.

    Attributes:
        results: the drift of the model, those of the others, and all that was measured beside.
        decision: on the budget; None without one.
    """

    results: DriftResults
    decision: Statement | None

    @property
    def drift(self) -> Drift:
        """That of the model itself."""
        return self.results.drift


@checked
def drift(
    field: LatentField,
    images: ImageSource,
    *,
    against: Mapping[str, LatentField] | None = None,
    trips: int = 20,
    edits: Sequence[Edit] = USUAL,
    bar: float = 30.0,
    budget: EditBudget | None = None,
    remedies: bool = True,
    patterns: int = 1,
    settle: int = 0,
    video: bool = False,
    name: str | None = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    batch_size: int | None = None,
    seed: int = 0,
    figures: bool = True,
    explorer: bool = True,
    progress: bool | Progress = False,
) -> DriftRun:
    """Send pictures through a model again and again, and write a run with a page that shows what becomes of them and what helps.

    Args:
        field, images, trips, edits, bar, name, seed: as for `separatrix.drift`.
        against: other models by name, to be ranked on the same pictures.
        budget: so many trips must be safe; the bar is then that of the budget.
        remedies: measure other ways to edit on the first eight pictures.
        patterns: at so many of the first pictures look for patterns that grow, and predict the loss by the derivative.
        settle: follow the codes of the first four pictures for so many round trips, to see where they end.
        video: the pictures are frames in their order: measure flicker too.
        out, overwrite, figures, explorer: as for `attractors`; on the living page a reader starts from these pictures.
        batch_size: most pictures in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError, FieldError: as `separatrix.drift`; or two models have one name.
        FileError: something that is not to be replaced is at ``out``, or it cannot be written.

    Warns:
        FigureWarning: a figure is missing.

    Cost: one map evaluation per picture, trip and model; remedies six times as many for eight pictures, patterns some 400 per picture,
    flicker one per frame. With ``explorer``, where a page can hold the model, at most a quarter of all that, or 200 steps of twelve pictures where that is
    more (`scenes_around`). A stage that is stored costs nothing.
    """
    began = time.perf_counter()
    known, chosen = load_images(images), as_edits(edits)
    own = name or field.name
    models = {own: field, **(against or {})}
    if own in (against or {}):
        raise InputError(f"Two models are called {own}; give each a name of its own.")
    models = {key: each.with_batch_size(batch_size) for key, each in models.items()}
    field = models[own]
    trips = max(trips, budget.trips) if budget is not None else trips
    records = {key: model_record(each) for key, each in models.items()}
    plan = Plan(
        recipe=RECIPE,
        model=records if against else records[own],
        data=data_record(images=known),
        options={
            "name": own,
            "against": list(against or ()),
            "trips": trips,
            "edits": [edit.words for edit in chosen],
            "bar": bar if budget is None else budget.bar,
            "budget": None if budget is None else asdict(budget),
            "remedies": remedies,
            "patterns": patterns,
            "settle": settle,
            "video": video,
            "seed": seed,
        },
    )
    shared = {"trips": trips, "edits": chosen, "bar": plan.options["bar"], "seed": seed}
    with Progress.of(progress).stage(RECIPE, len(models) + 5) as line, opened(out, plan, overwrite=overwrite) as run:
        found: Drift = run.stage(RECIPE, lambda: measured(field, known, name=own, progress=line, **shared))
        for number, key in enumerate(against or (), start=2):
            run.stage(f"{RECIPE}-{number}", partial(measured, models[key], known, name=key, progress=line, **shared))
        if remedies:
            run.stage("remedies", lambda: drift_remedies(field, known, found, seed=seed, progress=line))
        whole = [row for row, each in enumerate(known.names) if each not in found.broken][:patterns]
        if whole and (directions := min(_DIRECTIONS, known.pixels[0].numel() - 2)) > 0:
            run.stage(
                "patterns", lambda: drift_patterns(field, known[whole], count=directions, seed=seed, progress=line)
            )
            if trips > 1:
                ahead = min(trips, _PREDICTED)
                run.stage("linearised", lambda: linearised(field, known[whole], trips=ahead, progress=line))
        if settle:
            followed = known[:_FOLLOWED]
            run.stage("limits", lambda: ends(sized(field, followed.pixels), followed, settle, line))
        if video:
            run.stage("flicker", lambda: flicker(field, known, trips=trips, edits=chosen, seed=seed, progress=line))
        viewer = partial(drift_view, living=Sleeper(make=lambda line: _around(run, field, known, line)))
        view = write_views(run, viewer, {}, figures=figures, explorer=explorer, progress=line)
        return DriftRun(
            results=_results(run),
            decision=_decision(run),
            summary=view.summary,
            folder=run.folder,
            seconds=time.perf_counter() - began,
        )


def drift_view(run: Run, _: Mapping[str, RecordedField], living: Sleeper = STORED) -> View:
    """Everything that is written of such a run; no model is asked for any of it but the living page, by whoever has it."""
    results, decision = _results(run), _decision(run)
    cost = sum((part.cost for part in results.costed), NO_WORK)
    known = provenance(run, cost=f"{cost.total:,.0f} evaluations")
    found = results.drift
    more = {
        "remedies": results.remedies,
        "patterns": results.patterns,
        "linearised": results.linearised,
        "ranking": results.ranking,
        "flicker": results.flicker,
    }
    return View(
        summary=jsonable(
            {
                "kind": f"separatrix {RECIPE}",
                "code": found.statement.slug,
                "summary": str(found.statement),
                **drift_summary(found),
                **{key: None if part is None else part.to_dict() for key, part in more.items()},
                "remedy": None if results.remedies is None else results.remedies.statement.to_dict(),
                "usual_first_pictures": None if results.remedies is None else results.remedies.usual.to_dict(),
                "ends": None if results.limits is None else results.limits.fates.to_dict(),
                "budget": None if decision is None else {**run.plan["options"]["budget"], **decision.to_dict()},
                "cost": {**asdict(cost), "total": cost.total},
            }
        ),
        figures=drift_figures(results),
        living={"pictures": living},
        page=lambda drawn: drift_page(results, decision, known, drawn),
    )


def drift_summary(found: Drift) -> dict[str, Any]:
    """Every number of a drift that a page shows, JSON-ready but for what is unknown."""
    columns = ("psnr", "ssim", "brightness", "contrast")
    return {
        **found.to_dict(),
        "statement": found.statement.to_dict(),
        "per_picture": [
            {
                "name": name,
                **{column: getattr(found, column)[row].tolist() for column in columns},
                "doubled": float(found.doubling[row]),
            }
            for row, name in enumerate(found.names)
        ],
    }


def _results(run: Run) -> DriftResults:
    found: Drift = run.load(RECIPE)
    others = [run.load(f"{RECIPE}-{number}") for number, _ in enumerate(run.plan["options"]["against"], start=2)]
    parts = {
        name: run.load(name) for name in ("remedies", "patterns", "linearised", "limits", "flicker") if run.has(name)
    }
    return DriftResults(
        drift=found, others=tuple(others), ranking=drift_ranking([found, *others]) if others else None, **parts
    )


def _decision(run: Run) -> Statement | None:
    budget = run.plan["options"]["budget"]
    if budget is None:
        return None
    found: Drift = run.load(RECIPE)
    return EditBudget(**budget).judge(found.safe)


def _around(run: Run, field: LatentField, images: ImageSet, line: Progress) -> Scenes:
    """The living page of the model, which starts from the pictures."""
    results = _results(run)
    return scenes_around(
        sized(field, images.pixels),
        named(images, "picture"),
        title=results.drift.model,
        cost=sum((part.cost for part in results.costed), NO_WORK).total,
        known=results.limits,
        progress=line,
    )
