"""The recipe ``diff``: two models through their dynamics, and what to expect of two equal ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from separatrix.arguments import checked
from separatrix.field import LatentField, RecordedField
from separatrix.limitsets import LimitSets
from separatrix.protocol import Protocol
from separatrix.report import ModelResults
from separatrix.report._budget import FigureBudget
from separatrix.report._difference import difference_page, overlap_picture
from separatrix.report._figures import FigurePlan, planned_portrait
from separatrix.runs._plan import Plan, model_record
from separatrix.runs._run import Run, opened
from separatrix.runs._views import Ended, View, provenance, recorded, write_views
from separatrix.starts import Starts, as_starts
from separatrix.starts._rules import title_of
from separatrix.storage import PathLike
from separatrix.studies import Comparison, compare
from separatrix.words import jsonable
from separatrix.work import Progress

RECIPE = "diff"
_FOUND = "comparison"


@dataclass(frozen=True, kw_only=True)
class DiffRun(Ended):
    """It tells what was found."""

    comparison: Comparison


@checked
def diff(
    a: LatentField,
    b: LatentField,
    starts: Starts | Tensor,
    *,
    names: tuple[str, str] | None = None,
    reseeded: Sequence[LatentField] = (),
    rerun: bool = True,
    threshold: float = 0.25,
    protocol: Protocol | None = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    batch_size: int | None = None,
    seed: int = 0,
    figures: bool = True,
    explorer: bool = True,
    progress: bool | Progress = False,
) -> DiffRun:
    """Compare two models through their dynamics and write a run with a report; each search is a stage of its own.

    Args:
        a, b, starts, reseeded, rerun, threshold, protocol, batch_size, seed: as for `separatrix.compare`.
        names: what A and B are called; as the models call themselves if not given.
        out, overwrite, figures, explorer: as for `attractors`.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError, FieldError: as `separatrix.compare`.
        FileError: something that is not to be replaced is at ``out``, or it cannot be written.

    Warns:
        FigureWarning: a figure is missing.

    Cost: that of `separatrix.compare`, and one decoding per attractor that is shown. A stage that is stored costs nothing.
    """
    began = time.perf_counter()
    source, rules = as_starts(starts), Protocol.of(protocol)
    models = {"a": a, "b": b, **{f"reseeded_{number}": field for number, field in enumerate(reseeded, start=1)}}
    models = {role: field.with_batch_size(batch_size) for role, field in models.items()}
    a, b, *others = models.values()
    plan = Plan(
        recipe=RECIPE,
        model={role: model_record(field) for role, field in models.items()},
        options={
            "names": names or (a.name, b.name),
            "starts": source.identity,
            "words": source.describe(),
            "rerun": rerun,
            "threshold": threshold,
            "protocol": rules.to_dict(),
            "seed": seed,
        },
    )
    with Progress.of(progress).stage(RECIPE, 2) as line, opened(out, plan, overwrite=overwrite) as run:
        found = run.stage(
            _FOUND,
            lambda: compare(
                a,
                b,
                source,
                reseeded=others,
                rerun=rerun,
                threshold=threshold,
                protocol=rules,
                seed=seed,
                stages=run,
                progress=line,
            ),
        )
        view = write_views(run, diff_view, recorded(run, a=a, b=b), figures=figures, explorer=explorer, progress=line)
    return DiffRun(comparison=found, summary=view.summary, folder=run.folder, seconds=time.perf_counter() - began)


def diff_view(run: Run, fields: Mapping[str, RecordedField]) -> View:
    """Everything that is written of such a run."""
    found: Comparison = run.load(_FOUND)
    first, second = run.plan["options"]["names"]
    searches: tuple[LimitSets, LimitSets] = run.load("limits_a"), run.load("limits_b")
    cost = searches[0].cost + searches[1].cost
    known = provenance(run, cost=f"{cost.total:,.0f} evaluations for the searches of A and B")
    figures: FigurePlan = {"overlap": lambda _: overlap_picture(found)}
    living = {}
    for role, name, limits in zip("ab", (first, second), searches, strict=True):
        title = title_of(limits.provenance["starts"]["kind"])
        living[f"field_{role}"] = ModelResults(
            title=name, subtitle=fields[role].title, latent_field=fields[role], searches={title: limits}
        )
        budget = FigureBudget.after([limits])
        figures |= planned_portrait(living[f"field_{role}"], budget, f"field_{role}")
    return View(
        summary=jsonable({"kind": f"separatrix {RECIPE}", "a": first, "b": second, **found.to_dict()}),
        figures=figures,
        living=living,
        page=lambda drawn: difference_page(found, (first, second), (fields["a"], fields["b"]), searches, known, drawn),
    )
