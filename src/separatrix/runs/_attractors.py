"""The recipe ``attractors``: search, compare with the training images, count by other rules, and show."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ChosenImages, ImageSet, load_images, shape_words
from separatrix.errors import InputError
from separatrix.field import LatentField, RecordedField
from separatrix.limitsets import GridSearch, LimitSets, find_attractors, grid_search, sensitivity
from separatrix.plots import Plane
from separatrix.protocol import Protocol
from separatrix.report import ModelResults, page_of
from separatrix.report._budget import FigureBudget
from separatrix.report._figures import FigurePlan, basins_picture, planned_figures
from separatrix.runs._plan import Plan, data_record, model_record
from separatrix.runs._run import Run, opened
from separatrix.runs._summary import attractors_summary
from separatrix.runs._views import Ended, View, recorded, write_views
from separatrix.starts import Starts, as_starts
from separatrix.starts._rules import Encoded, title_of
from separatrix.storage import PathLike
from separatrix.studies import resemblance
from separatrix.words import without_folders
from separatrix.work import Progress

RECIPE = "attractors"
LIMITS = "limits"
_FILMED = 4  # images whose orbits are drawn
_SENSITIVITY_STARTS = 256


@dataclass(frozen=True, kw_only=True)
class AttractorsRun(Ended):
    """It tells what was found."""

    limits: LimitSets


@checked
def attractors(
    field: LatentField,
    starts: Starts | Tensor,
    protocol: Protocol | None = None,
    *,
    out: PathLike | None = None,
    overwrite: bool = False,
    train: Any = None,
    held_out: Any = None,
    count_by_other_rules: bool = False,
    batch_size: int | None = None,
    seed: int = 0,
    figures: bool = True,
    explorer: bool = True,
    progress: bool | Progress = False,
) -> AttractorsRun:
    """Find the attractors of a field, compare them with its training images, and write a run with a report.

    The run can be killed and goes on where it was when it is called again (`separatrix.runs.opened`). The figures come last; one that
    fails costs itself alone, Ctrl-C those that are not yet drawn.

    Args:
        field: the latent field.
        starts: where orbits begin.
        protocol: the rules of the count.
        out: the folder of the run; without one nothing is kept.
        overwrite: begin anew where an earlier run is; anything else there is never touched.
        train: the images the model was trained on, as `load_images` takes them.
        held_out: images from the same source that it was not trained on.
        count_by_other_rules: also count by other thresholds (see `sensitivity`).
        batch_size: most latents, or images, in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        seed: of the noise images that resemblance is compared with.
        figures: draw them. Without them the report has its tables and decoded attractors only.
        explorer: with the figures, put the living page into the report, with the model inside (`separatrix.explorer`).
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError, FieldError: as `find_attractors` and `resemblance`.
        FileError: something that is not to be replaced is at ``out``, or it cannot be written.

    Warns:
        FigureWarning: a figure is missing.

    Cost: that of `find_attractors`; four more searches of at most 256 starts with ``count_by_other_rules``. Portrait and film
    cost at most a quarter of the search each, or 400 evaluations where that is more; with k = 2 the map of basins is
    another search of about the same cost (`FigureBudget`). A stage that is stored costs nothing.
    """
    began = time.perf_counter()
    known = None if train is None else fitting_images(field, train, "training")
    unseen = None if held_out is None else fitting_images(field, held_out, "held-out")
    if known is None and unseen is not None:
        raise InputError("Held-out images are compared with training images; give train too.")
    source, field, rules = as_starts(starts), field.with_batch_size(batch_size), Protocol.of(protocol)
    plan = Plan(
        recipe=RECIPE,
        model=model_record(field),
        data=data_record(train=known, held_out=unseen),
        options={
            "starts": source.identity,
            "words": source.describe(),
            "protocol": rules.to_dict(),
            "count_by_other_rules": count_by_other_rules,
            "seed": seed,
        },
    )
    with Progress.of(progress).stage(RECIPE, 10) as line, opened(out, plan, overwrite=overwrite) as run:
        with line.stage("searching", 1, worth=6):
            limits = run.stage(
                LIMITS, lambda: find_attractors(field, source, rules, progress=line, checkpoint=run.unfinished(LIMITS))
            )
        if known is not None:
            found = run.stage("resemblance", lambda: resemblance(field, limits, known, unseen, seed=seed))
            run.stage("images", lambda: ChosenImages.of(known, found.nearest, field))
        if count_by_other_rules:
            run.stage("sensitivity", lambda: _counted(field, source, limits.protocol, line))
        if filmed := _filmed(source):
            run.stage("inputs", lambda: filmed)
        view = write_views(
            run, attractors_view, recorded(run, model=field), figures=figures, explorer=explorer, progress=line
        )
    return AttractorsRun(limits=limits, summary=view.summary, folder=run.folder, seconds=time.perf_counter() - began)


def attractors_view(run: Run, fields: Mapping[str, RecordedField]) -> View:
    """Everything that is written of such a run."""
    results = attractors_results(run, fields["model"])
    return View(
        summary=attractors_summary(results),
        figures=_planned(run, results),
        living={"field": results},
        page=lambda drawn: page_of(results, drawn),
    )


def attractors_results(run: Run, field: RecordedField) -> ModelResults:
    """Read what is stored about the model."""
    limits: LimitSets = run.load(LIMITS)
    inputs: ImageSet | None = run.load("inputs") if run.has("inputs") else None
    return ModelResults(
        title=without_folders(field.name),
        subtitle=f"{field.title}, from {run.plan['options']['words']}",
        latent_field=field,
        searches={title_of(limits.provenance["starts"]["kind"]): limits},
        train=run.load("images") if run.has("images") else None,
        resemblance=run.load("resemblance") if run.has("resemblance") else None,
        sensitivity=run.load("sensitivity") if run.has("sensitivity") else None,
        inputs={} if inputs is None else dict(zip(inputs.names, inputs.pixels, strict=True)),
    )


def fitting_images(field: LatentField, source: Any, which: str) -> ImageSet:
    """The images, if they have the shape that the model makes: found out now, not after the search."""
    images = source if isinstance(source, ImageSet) else load_images(source)
    made = tuple(field.decode(torch.zeros((1, *field.latent_shape), dtype=field.dtype, device=field.device)).shape[1:])
    if images.image_shape != made:
        remedy = f"give images of shape {shape_words(made)}"
        if len(made) == len(images.image_shape) == 3 and made[0] == images.image_shape[0]:
            remedy = f"resize them with load_images(data, size=({made[1]}, {made[2]}))"
        raise InputError(
            f"The {which} images have shape {shape_words(images.image_shape)} and the model makes {shape_words(made)}; "
            f"{remedy}."
        )
    return images


def _counted(field: LatentField, source: Starts, rules: Protocol, progress: Progress) -> Any:
    return sensitivity(field, source, rules, limit=_SENSITIVITY_STARTS, progress=progress)


def _filmed(source: Starts) -> ImageSet | None:
    """The first images, where the starts are encoded images."""
    if not isinstance(source.rule, Encoded) or len(source.rule.images.image_shape) != 3:
        return None
    images = source.rule.images[source.first : min(source.last, source.first + _FILMED)]
    names = tuple(
        f"image {name}" if name.isdigit() else name for name in images.names
    )  # a bare 3 would read as a label
    return ImageSet(pixels=images.pixels, names=names)


def _planned(run: Run, results: ModelResults) -> FigurePlan:
    """All figures, and for k = 2 the map of basins, whose search is a part of drawing it."""
    budget = FigureBudget.after(results.searches.values())
    plan = planned_figures(results, budget)
    if results.latent_field.latent_dim == 2 and len(results.limits):
        plan["basins"] = lambda line: basins_picture(results, _searched_grid(run, results, budget.map_side, line))
    return plan


def _searched_grid(run: Run, results: ModelResults, side: int, progress: Progress) -> GridSearch:
    """Tell which point of a two-dimensional latent space ends where."""
    limits, field = results.limits, results.latent_field
    extent = Plane.of(limits).extent(limits, limits.orbits.points)
    assert isinstance(field, RecordedField)
    return run.stage("grid", lambda: grid_search(field.live, extent, side, known=limits, progress=progress))
