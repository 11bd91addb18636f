"""The figures of one model, rendered once, each with words for a reader who cannot see it."""

from __future__ import annotations

import torch

from separatrix.limitsets.basins import basins
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
from separatrix.plots.naming import names_across
from separatrix.plots.pictures import are_pictures
from separatrix.plots.style import percent
from separatrix.report.page import Picture
from separatrix.report.results import ModelResults
from separatrix.studies.resemblance_words import most_unseen

_DATA_SHOWN = 1500  # encoded training images drawn in the portrait


def figures_of(results: ModelResults, *, resolution: int = 90) -> dict[str, Picture]:
    """Every figure that these results allow, by the name of its file.

    Args:
        results: of one model.
        resolution: grid points per side of the portrait.

    Cost: resolution² map evaluations for the portrait, at most 256 per film input, one decoding per
    attractor.
    """
    field, limits = results.latent_field, results.limits
    figures: dict[str, Picture] = {}
    if results.inputs:
        images = torch.stack(list(results.inputs.values()))
        figures["film"] = Picture.of(
            orbit_film(
                field,
                limits,
                images,
                row_names=list(results.inputs),
                title="Fed back its own output, again and again",
            ),
            alt=(
                f"Rows of images: {', '.join(results.inputs)}, each followed by what the model makes of it "
                "after 1 to 256 round trips; the last frames show the attractors that are reached."
            ),
            caption=("n× means n round trips through encoder and decoder. A coloured frame: the orbit has arrived."),
        )
    if field.latent_dim >= 2:
        figures["field"] = _portrait(results, resolution)
    found = results.resemblance
    several = len(results.searches) > 1 and results.together is None
    whence = f" that starts from {next(iter(results.searches))} reach" if several else ""
    if found is not None and len(found) and found.distance == "cosine":  # the axis is one of cosines
        figures["nulls"] = _nulls(results)
    if results.train is not None and are_pictures(tuple(results.train.shape[1:])):
        figures["attractors"] = Picture.of(
            attractor_gallery(
                field, limits, results.train, noun=results.noun, title=f"What the attractors{whence} look like"
            ),
            alt=f"Every attractor decoded, beside the {results.noun} nearest to it.",
        )
    if results.grid is not None:
        grid = results.grid
        figures["basins"] = Picture.of(
            basin_map(grid.limits, shape=grid.shape, extent=grid.extent, field=field, like=limits),
            alt=(
                f"A map of the latent plane in {len(grid.limits.attractors)} colours, one for the basin of "
                "each attractor."
            ),
            caption=(
                "Every point of the latent plane in the colour of the attractor it ends on; the deeper the colour, the more "
                "steps it takes. White lines separate the basins. Shares are of the area, not of the data."
            ),
        )
    figures["shares"] = Picture.of(basin_shares(results.searches), alt=_shares_in_words(results))
    figures["steps"] = _steps(results)
    if bool(limits.eigenvalues.isfinite().any()):
        figures["spectrum"] = Picture.of(
            spectrum(limits),
            alt=(
                f"Eigenvalues of {len(limits)} limit sets in the complex plane with the unit circle; those "
                "of the attractors lie inside."
            ),
            caption=(
                "ρ < 1: the set attracts. ‖J‖₂ < 1 is stricter: every small disturbance shrinks in the very first step."
            ),
        )
    return figures


def _portrait(results: ModelResults, resolution: int) -> Picture:
    field, limits = results.latent_field, results.limits
    encoded = None
    if results.train is not None:
        step = max(1, len(results.train) // _DATA_SHOWN)
        encoded = field.encode(results.train[::step].to(field.device, field.dtype)).detach()
    dots = f" Faint dots: encoded {results.noun}s." if encoded is not None else ""
    return Picture.of(
        field_portrait(field, limits, points=encoded, resolution=resolution, title="The latent vector field"),
        alt=(
            f"Streamlines of the latent vector field over its speed; they run into {len(limits.attractors)} "
            "marked attractors."
        ),
        caption=(
            f"Lines follow v(z) = f(z) − z. Dark: the field stands nearly still. Lettered discs: attractors.{dots}"
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
            f"Dark hill: how close images that the model has never seen come to a {results.noun}. A disc above the middle of it is "
            f"no closer than many of those. A disc above its right tail, or right of it, is closer than most; it is called "
            f"only if it is closer than {most_unseen(found.alpha)} of them and, by as much, closer to that image than to the next ones."
        ),
    )


def _steps(results: ModelResults) -> Picture:
    """Of the first search only: orbits from other starts take other times, and a mixture would describe neither."""
    limits = results.first
    steps = limits.orbits.steps[limits.labels >= 0].to(torch.float64)
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
