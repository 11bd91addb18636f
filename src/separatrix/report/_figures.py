"""The figures of one model, rendered once, each with words for a reader who cannot see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from matplotlib.figure import Figure
from torch import Tensor

from separatrix.data import DOTS, ChosenImages, encode_range
from separatrix.limitsets import GridSearch, LimitSets, basins
from separatrix.plots import (
    attractor_gallery,
    basin_map,
    basin_shares,
    field_portrait,
    null_levels,
    orbit_film,
    spectrum,
    steps_histogram,
)
from separatrix.plots._naming import names_across
from separatrix.plots._pictures import are_pictures
from separatrix.report._budget import FigureBudget
from separatrix.report._page import Picture
from separatrix.report._results import ModelResults
from separatrix.studies._resemblance_words import most_unseen
from separatrix.words import percent
from separatrix.work import Progress

FigurePlan = dict[str, Callable[[Progress], Picture]]


def figures_of(
    results: ModelResults, *, resolution: int | None = None, progress: bool | Progress = False
) -> dict[str, Picture]:
    """Every figure that these results allow, by the name of its file. The first one that cannot be drawn raises.

    Args:
        results: of one model.
        resolution: grid points per side of the portrait; as many as `FigureBudget` allows if not given.
        progress: show progress.

    Cost: that of `planned_figures`.
    """
    budget = FigureBudget.after(results.searches.values())
    if resolution is not None:
        budget = replace(budget, portrait=resolution**2)
    line = Progress.of(progress)
    return {name: make(line) for name, make in planned_figures(results, budget).items()}


def planned_figures(results: ModelResults, budget: FigureBudget) -> FigurePlan:
    """Say what to call for every figure that these results allow, by the name of its file; nothing is drawn yet.

    Args:
        results: of one model.
        budget: how many map evaluations the portrait and the film may cost.

    Cost, when all are drawn: at most ``budget.portrait + budget.film`` map evaluations, and one decoding per attractor.
    """
    limits = results.limits
    plan: FigurePlan = {}
    if results.inputs:
        plan["film"] = lambda line: _film(results, budget.times(len(results.inputs)), line)
    plan |= planned_portrait(results, budget)
    found = results.resemblance
    several = len(results.searches) > 1 and results.together is None
    whence = f" that starts from {next(iter(results.searches))} reach" if several else ""
    if found is not None and len(found) and found.distance == "cosine":  # the axis is one of cosines
        plan["nulls"] = lambda _: _nulls(results)
    train = results.train
    if train is not None and are_pictures(tuple(train.shape[1:])):
        plan["attractors"] = lambda _: Picture.of(
            _gallery(results, train, f"What the attractors{whence} look like"),
            alt=f"Every attractor decoded, beside the {results.noun} nearest to it.",
        )
    grid = results.grid
    if grid is not None:
        plan["basins"] = lambda _: basins_picture(results, grid)
    plan["shares"] = lambda _: Picture.of(basin_shares(results.searches), alt=_shares_in_words(results))
    plan["steps"] = lambda _: _steps(results)
    if bool(limits.eigenvalues.isfinite().any()):
        plan["spectrum"] = lambda _: _spectrum(limits)
    return plan


def planned_portrait(results: ModelResults, budget: FigureBudget, name: str = "field") -> FigurePlan:
    """Say what to call for the portrait of the field; of one latent number there is none. Cost: at most ``budget.portrait``."""
    if results.latent_field.latent_dim < 2:
        return {}
    return {name: lambda line: _portrait(results, budget.portrait_side, line)}


def _gallery(results: ModelResults, train: Tensor | ChosenImages, title: str) -> Figure:
    """The attractors beside the images that were found to be nearest, or beside the most similar of all that are there."""
    field, limits, found = results.latent_field, results.limits, results.resemblance
    if not isinstance(train, ChosenImages):
        return attractor_gallery(limits, field, train, noun=results.noun, title=title)
    assert found is not None
    nearest = torch.full((len(limits),), -1, dtype=torch.int64)
    nearest[found.sets] = found.nearest
    return attractor_gallery(limits, field, train, nearest=nearest, noun=results.noun, title=title)


def basins_picture(results: ModelResults, grid: GridSearch) -> Picture:
    """The map of basins, in the colours of the results."""
    found = grid.limits
    return Picture.of(
        basin_map(found, shape=grid.shape, extent=grid.extent, field=results.latent_field, like=results.limits),
        alt=(
            f"A map of the latent plane in {len(found.attractors)} colours, one for the basin of each attractor, by "
            f"{grid.shape[1]} × {grid.shape[0]} starts."
        ),
        caption=(
            f"Each of {grid.shape[1]} × {grid.shape[0]} starts in the colour of the attractor it ends on; the deeper the colour, "
            "the more steps it takes. White lines separate the basins. Shares are of the area, not of the data."
        ),
    )


def _film(results: ModelResults, times: tuple[int, ...], line: Progress) -> Picture:
    images = torch.stack(list(results.inputs.values()))
    return Picture.of(
        orbit_film(
            results.limits,
            results.latent_field,
            images,
            row_names=list(results.inputs),
            times=times,
            title="Fed back its own output, again and again",
            progress=line,
        ),
        alt=(
            f"Rows of images: {', '.join(results.inputs)}, each followed by what the model makes of it "
            f"after 1 to {times[-1]} round trips; the last frames show the limit sets that are reached."
        ),
        caption=("n× means n round trips through encoder and decoder. A coloured frame: the orbit has arrived."),
    )


def _spectrum(limits: LimitSets) -> Picture:
    return Picture.of(
        spectrum(limits),
        alt=(
            f"Eigenvalues of {len(limits)} limit sets in the complex plane with the unit circle; those "
            "of the attractors lie inside."
        ),
        caption=(
            "ρ < 1: the set attracts. ‖J‖₂ < 1 is stricter: every small disturbance shrinks in the very first step."
        ),
    )


def _portrait(results: ModelResults, resolution: int, line: Progress) -> Picture:
    field, limits = results.latent_field, results.limits
    encoded = results.train.dots if isinstance(results.train, ChosenImages) else None
    if isinstance(results.train, Tensor):
        shown = results.train[:: max(1, len(results.train) // DOTS)]
        encoded = encode_range(field, lambda a, b: shown[a:b], 0, len(shown))
    dots = f" Faint dots: encoded {results.noun}s." if encoded is not None else ""
    return Picture.of(
        field_portrait(
            limits,
            field,
            points=encoded,
            resolution=resolution,
            title="The latent vector field",
            progress=line,
        ),
        alt=(
            f"The direction of the latent vector field over its speed, at {resolution} × {resolution} points, with "
            f"{len(limits.attractors)} marked attractors."
        ),
        caption=(
            f"Lines or arrows follow v(z) = f(z) − z, evaluated at {resolution} × {resolution} points. Dark: the field stands "
            f"nearly still. Lettered discs: attractors.{dots}"
        ),
    )


def _nulls(results: ModelResults) -> Picture:
    assert results.resemblance is not None
    found = results.resemblance
    level = f"; unseen images have a median of {float(found.held_out.quantile(0.5)):.3f}" if len(found.held_out) else ""
    return Picture.of(
        null_levels(found, results.limits, noun=results.noun),
        alt=(
            f"The attractors' cosines to their nearest {results.noun}s, "
            f"{float(found.coefficient.min()):.3f} to {float(found.coefficient.max()):.3f}{level}."
        ),
        caption=(
            f"The stronger hill: how close images that the model has never seen come to a {results.noun}. A disc above the middle of it is "
            f"no closer than many of those. A disc above its right tail, or right of it, is closer than most; it counts as "
            f"evidence only if it is closer than {most_unseen(found.alpha)} of them and, by as much, closer to that image than to the next ones."
        ),
    )


def _steps(results: ModelResults) -> Picture:
    """Draw those of the first search only: orbits from other starts take other times, and a mixture would describe neither."""
    limits = results.first
    steps = limits.orbits.steps[(limits.labels >= 0) & limits.orbits.followed].to(torch.float64)
    words = (
        f"median {float(steps.quantile(0.5)):.0f}, 95 % within {float(steps.quantile(0.95)):.0f}"
        if len(steps)
        else "none arrived"
    )
    whence = f" from {next(iter(results.searches))}" if len(results.searches) > 1 else ""
    return Picture.of(
        steps_histogram(limits, like=results.limits, title=f"How long it takes{whence}"),
        alt=f"Histogram of the steps per orbit{whence}: {words}.",
    )


def _shares_in_words(results: ModelResults) -> str:
    parts = []
    searches = results.searches
    for (source, limits), names in zip(searches.items(), names_across(searches.values()), strict=True):
        found = basins(limits)
        shares = zip(names, found.fractions.tolist(), strict=True)
        words = ", ".join(f"{name.label} {percent(share)}" for name, share in list(shares)[:8])
        parts.append(f"{source}: {words or 'none'}; {limits.fates.words}")
    return "Shares of starts per limit set. " + ". ".join(parts) + "."
