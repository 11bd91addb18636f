"""The recipe ``audit without data``: what noise alone reveals of a stranger's model, and which suspected images are among it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from separatrix.arguments import checked
from separatrix.data import ChosenImages
from separatrix.errors import InputError
from separatrix.field import LatentField, RecordedField
from separatrix.limitsets import LimitSets, find_attractors
from separatrix.numerics import Distance
from separatrix.plots import contact_sheet
from separatrix.protocol import Protocol
from separatrix.report import ModelResults, Page, Picture, page_of
from separatrix.report._budget import FigureBudget
from separatrix.report._figures import planned_figures
from separatrix.report._memorization import STARTS
from separatrix.report._page import Bullets, Section
from separatrix.runs._attractors import fitting_images
from separatrix.runs._audit import CARD
from separatrix.runs._audit_card import data_free_card
from separatrix.runs._plan import Plan, data_record, model_record
from separatrix.runs._run import Run, opened
from separatrix.runs._summary import attractors_summary
from separatrix.runs._views import Ended, View, recorded, write_views
from separatrix.starts import gaussian
from separatrix.storage import PathLike
from separatrix.studies import Appearance, appearance
from separatrix.words import without_folders
from separatrix.work import Progress

RECIPE = "audit without data"
_ONLY_SUSPECTED = "The images beside the attractors are suspected ones; nobody has shown that they were trained on."


@dataclass(frozen=True, kw_only=True)
class DataFreeRun(Ended):
    """It tells what was found."""

    appearance: Appearance


@checked
def audit_without_data(
    field: LatentField,
    *,
    out: PathLike | None = None,
    overwrite: bool = False,
    suspects: Any = None,
    held_out: Any = None,
    starts: int = 1000,
    protocol: Protocol | None = None,
    distance: Distance = "cosine",
    alpha: float = 0.05,
    seed: int = 0,
    batch_size: int | None = None,
    figures: bool = True,
    explorer: bool = True,
    progress: bool | Progress = False,
) -> DataFreeRun:
    """Search from noise, look at the decoded attractors, and look for suspected images among them; a run as `audit` writes one.

    Args:
        field: the latent field.
        out, overwrite, figures, explorer: as for `attractors`.
        suspects, held_out, distance, alpha, seed: as for `appearance`.
        starts: draws from N(0, I).
        protocol, batch_size, progress: as for `find_attractors`.

    Raises:
        InputError: held-out images without suspects, or images of another shape than the model makes.
        FileError: something that is not to be replaced is at ``out``, or it cannot be written.

    Cost: that of the search, one decoding per attractor, and the figures.
    """
    began = time.perf_counter()
    if suspects is None and held_out is not None:
        raise InputError("Held-out images set the level for suspected ones; give suspects too.")
    suspected = None if suspects is None else fitting_images(field, suspects, "suspected")
    unseen = None if held_out is None else fitting_images(field, held_out, "held-out")
    field, rules = field.with_batch_size(batch_size), Protocol.of(protocol)
    plan = Plan(
        recipe=RECIPE,
        model=model_record(field),
        data=data_record(suspects=suspected, held_out=unseen),
        options={"starts": starts, "distance": distance, "alpha": alpha, "seed": seed, "protocol": rules.to_dict()},
    )
    with Progress.of(progress).stage("audit", 10) as line, opened(out, plan, overwrite=overwrite) as run:
        with line.stage("searching", 1, worth=9):
            noise = gaussian(starts, seed=seed)
            limits = run.stage(
                "limits",
                lambda: find_attractors(field, noise, rules, progress=line, checkpoint=run.unfinished("limits")),
            )
        found = run.stage(
            "appearance",
            lambda: appearance(
                field, limits, suspects=suspected, held_out=unseen, distance=distance, alpha=alpha, seed=seed
            ),
        )
        like = found.resemblance
        if suspected is not None and like is not None:
            run.stage("images", lambda: ChosenImages.of(suspected, like.nearest, field))
        view = write_views(
            run, data_free_view, recorded(run, model=field), figures=figures, explorer=explorer, progress=line
        )
    return DataFreeRun(appearance=found, summary=view.summary, folder=run.folder, seconds=time.perf_counter() - began)


def data_free_view(run: Run, fields: Mapping[str, RecordedField]) -> View:
    """Everything that is written of such a run."""
    limits: LimitSets = run.load("limits")
    found: Appearance = run.load("appearance")
    images: ChosenImages | None = run.load("images") if run.has("images") else None
    field, starts = fields["model"], run.plan["options"]["starts"]
    results = ModelResults(
        title=without_folders(field.name),
        subtitle=f"{field.title}, {starts:,} noise starts and no training data",
        latent_field=field,
        searches={STARTS["noise"]: limits},
        train=images,
        noun="suspected image",
        resemblance=found.resemblance,
    )
    words = (str(found.statement), *found.cannot, *(() if images is None else (_ONLY_SUSPECTED,)))

    def page(drawn: Mapping[str, Picture]) -> Page:
        sheet = [drawn["contact_sheet"]] if "contact_sheet" in drawn else []
        seen = Section("What noise alone reveals", [Bullets(words), *sheet])
        return replace(
            page_of(results, drawn),
            title=f"Audit of {without_folders(field.name)} without training data",
            opening=(seen,),
        )

    return View(
        summary={
            **attractors_summary(results),
            "kind": f"separatrix {RECIPE}",
            "look_like_images": int(found.looks_like_an_image.sum()),
            "code": found.statement.slug,
            "sentence": str(found.statement),
            "cannot": list(found.cannot),
        },
        figures={
            "contact_sheet": lambda _: _sheet(found, starts),
            **planned_figures(results, FigureBudget.after(results.searches.values())),
        },
        living={"field": results},
        page=page,
        files={CARD: data_free_card(found, field.name, starts, {} if images is None else images.by_row)},
    )


def _sheet(found: Appearance, starts: int) -> Picture:
    """Every decoded attractor at a glance."""
    return Picture.of(
        contact_sheet(found, starts=starts),
        alt=f"{len(found):,} decoded {found.what}, {int(found.looks_like_an_image.sum()):,} of them framed as image-like.",
        caption="A frame says that neighbouring pixels agree better than shuffled ones: the least that an image has.",
    )
