"""One model, one kind of starts, the whole way: search, judge, draw, and one folder that holds it all."""

from __future__ import annotations

import json
import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from separatrix.data import ImageSet, load_images
from separatrix.data._images import shape_words
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, find_attractors, sensitivity
from separatrix.limitsets._grid_search import GridSearch, grid_search
from separatrix.plots import Plane
from separatrix.protocol import Protocol
from separatrix.report._budget import FigureBudget
from separatrix.report._chapter import page_of
from separatrix.report._drawing import NOT_ASKED_FOR, illustrate, with_missing
from separatrix.report._figures import FigurePlan, basins_picture, planned_figures
from separatrix.report._results import ModelResults
from separatrix.report._write import write_report
from separatrix.runs._examination_summary import KIND, examination_summary
from separatrix.starts import Starts, as_starts
from separatrix.starts._rules import Encoded
from separatrix.storage import ROOM, new_folder, save_result
from separatrix.studies._resemblance import resemblance
from separatrix.work import Progress

REPORT, SUMMARY, LIMITS = "report.html", "summary.json", "limits"
_FILMED = 4  # images whose orbits are drawn
_SENSITIVITY_STARTS = 256
_SOURCES = {
    "encoded": "encoded data",
    "gaussian": "Gaussian noise",
    "box": "uniform noise",
    "grid": "a grid",
    "noise_images": "encoded noise images",
    "points": "given points",
}


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found and where it was written (``folder`` is None if nothing was)."""

    results: ModelResults
    summary: dict[str, Any]
    folder: Path | None
    seconds: float

    @property
    def limits(self) -> LimitSets:
        """The limit sets."""
        return self.results.limits

    @property
    def report(self) -> Path | None:
        """The page."""
        return None if self.folder is None else self.folder / REPORT


def examine(
    field: LatentField,
    starts: Starts | Tensor,
    protocol: Protocol | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    train: Any = None,
    held_out: Any = None,
    count_by_other_rules: bool = False,
    batch_size: int | None = None,
    seed: int = 0,
    figures: bool = True,
    progress: bool | Progress = False,
) -> Examination:
    """Find the attractors of a field, compare them with its training images, and write a report.

    The folder appears whole or not at all: ``report.html``, ``summary.json`` and the limit sets as `load_result` reads
    them. It is begun before the search, so that a path that cannot be written is not found out after an hour. The figures
    come last, into the folder that is there by then: one that fails costs itself alone, Ctrl-C those that are not yet drawn.

    Args:
        field: the latent field.
        starts: where orbits begin.
        protocol: the rules of the count.
        out: the folder to write; must not exist yet.
        overwrite: replace an earlier examination at ``out``; anything else there is never touched.
        train: the images the model was trained on, as `load_images` takes them.
        held_out: images from the same source that it was not trained on.
        count_by_other_rules: also count by other thresholds (see `sensitivity`).
        batch_size: most latents, or images, in one network pass; by a fixed rule if not given (`LatentField.with_batch_size`).
        seed: of the noise images that resemblance is compared with.
        figures: draw them. Without them the report has its tables and decoded attractors only.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError, FieldError: as `find_attractors` and `resemblance`.
        FileError: something that is not to be replaced is at ``out``, or it cannot be written.

    Warns:
        FigureWarning: a figure is missing.

    Cost: that of `find_attractors`; four more searches of at most 256 starts with ``count_by_other_rules``. Portrait and film
    cost at most a quarter of the search each, or 400 evaluations where that is more; with k = 2 the map of basins is
    another search of about the same cost (`FigureBudget`).
    """
    began = time.perf_counter()
    known = None if train is None else fitting_images(field, train, "training")
    unseen = None if held_out is None else fitting_images(field, held_out, "held-out")
    if known is None and unseen is not None:
        raise InputError("Held-out images are compared with training images; give train too.")
    source, field = as_starts(starts), field.with_batch_size(batch_size)
    with Progress.of(progress).stage("attractors", 10) as line:
        with run_folder(out, overwrite, KIND) as folder:
            with line.stage("searching", 1, worth=6):
                limits = find_attractors(field, source, protocol, progress=line)
            results = ModelResults(
                title=field.name,
                subtitle=f"{field!r}, from {source.describe()}",
                latent_field=field,
                searches={_SOURCES[source.provenance["kind"]]: limits},
                train=None if known is None else known.pixels,
                train_names=() if known is None else known.own_names,
                resemblance=None if known is None else resemblance(field, limits, known, unseen, seed=seed),
                sensitivity=_counted(field, source, limits.protocol, line) if count_by_other_rules else None,
                inputs=_filmed(source),
            )
            summary = examination_summary(results)
            if folder is not None:
                save_result(limits, folder / LIMITS)
                (folder / SUMMARY).write_text(
                    json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
                )
                missing = () if figures else (NOT_ASKED_FOR,)
                write_report(folder / REPORT, with_missing(page_of(results, {}), missing))
        if out is not None and figures:
            illustrate(Path(out) / REPORT, _planned(results), lambda drawn: page_of(results, drawn), progress=line)
    return Examination(
        results=results,
        summary=summary,
        folder=None if out is None else Path(out),
        seconds=time.perf_counter() - began,
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


def run_folder(out: str | os.PathLike[str] | None, overwrite: bool, kind: str) -> AbstractContextManager[Path | None]:
    """A new folder for a run (see `new_folder`), with room on its disk; None without a path."""
    return nullcontext() if out is None else new_folder(out, kind=kind, overwrite=overwrite, room=ROOM)


def _counted(field: LatentField, source: Starts, rules: Protocol, progress: Progress) -> Any:
    return sensitivity(field, source, rules, limit=_SENSITIVITY_STARTS, progress=progress)


def _filmed(source: Starts) -> dict[str, Tensor]:
    """The first images, where the starts are encoded images."""
    if not isinstance(source.rule, Encoded) or len(source.rule.images.image_shape) != 3:
        return {}
    images = source.rule.images[source.first : min(source.last, source.first + _FILMED)]
    names = [f"image {name}" if name.isdigit() else name for name in images.names]  # a bare 3 would read as a label
    return dict(zip(names, images.pixels, strict=True))


def _planned(results: ModelResults) -> FigurePlan:
    """All figures, and for k = 2 the map of basins, whose search is a part of drawing it."""
    budget = FigureBudget.after(results.searches.values())
    plan = planned_figures(results, budget)
    if results.latent_field.latent_dim == 2 and len(results.limits):
        plan["basins"] = lambda line: basins_picture(results, _searched_grid(results, budget.map_side, line))
    return plan


def _searched_grid(results: ModelResults, side: int, progress: Progress) -> GridSearch:
    limits = results.limits
    extent = Plane.of(limits).extent(limits, limits.orbits.points)
    return grid_search(results.latent_field, extent, side, progress=progress)
