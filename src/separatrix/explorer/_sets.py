"""The limit sets of a page: those of the search, then those that only the map of basins found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from separatrix.field import LatentField
from separatrix.limitsets import Kind, LimitSets, basins, same_sets
from separatrix.plots._naming import Name, names_across
from separatrix.plots._pictures import decoded_pictures, to_rgb, value_range
from separatrix.plots._style import colour
from separatrix.report import ModelResults
from separatrix.report._chapter import called_badge
from separatrix.report._tables import kind_words


@dataclass(frozen=True)
class Catalogue:
    """All limit sets that a page knows, in one numbering.

    Attributes:
        rows: one per set, JSON-ready.
        traces: the points of each.
        of_grid: from a label of the map to a number here; its last entry, where a label of −1 points, is −1.
        images: ``(m, h, w, c)`` bytes; empty where the model makes no pictures.
        nearest_images: of training images, likewise; rows of sets that have none are black.
        range: the values drawn as black and white.
        nulls: what unseen images score; None without them.
        searches: that of the results, and that of the map of basins where there is one.
    """

    rows: list[dict[str, Any]]
    traces: list[Tensor]
    of_grid: Tensor
    images: Tensor
    nearest_images: Tensor
    range: tuple[float, float]
    nulls: dict[str, Any] | None
    searches: tuple[LimitSets, ...]

    def numbers_of(self, found: LimitSets) -> Tensor:
        """``(m,)`` the number that each set of another search has here; −1 for those that are not known."""
        here = same_sets(found, self.searches[0])
        for mapped in self.searches[1:]:
            here = torch.where(here >= 0, here, self.of_grid[same_sets(found, mapped)])
        return here


def catalogue_of(results: ModelResults, mapped: LimitSets | None, inputs: Sequence[Tensor] = ()) -> Catalogue:
    """One numbering for the sets of a search and of a map of basins, where there is one. Cost: one decoding per set.

    ``inputs`` are images that the model takes: a page that reads pictures of its own accord must know what is black and white to it, and
    what attractors are drawn with may be less than that.
    """
    limits = results.limits
    searches = (limits,) if mapped is None else (limits, mapped)
    names, *more_names = names_across(searches)
    rows = _rows(limits, names, results)
    traces = [limits.trace(i) for i in range(len(limits))]
    of_grid = torch.zeros(0, dtype=torch.int64)
    if mapped is not None:
        of_grid = same_sets(mapped, limits)
        fresh = (of_grid < 0).nonzero().flatten()
        of_grid[fresh] = torch.arange(len(limits), len(limits) + len(fresh))
        rows += _rows(mapped[fresh], [more_names[0][i] for i in fresh.tolist()], None)
        traces += [mapped.trace(int(i)) for i in fresh]
    images, nearest, shades = _pictures(results, traces, inputs)
    nulls = None
    likeness = results.resemblance
    if likeness is not None and len(likeness.held_out):
        nulls = {
            "measure": likeness.measure,
            "unseen": likeness.sign * float(likeness.held_out.median()),
            "alpha": likeness.alpha,
        }
    return Catalogue(rows, traces, torch.cat((of_grid, torch.tensor([-1]))), images, nearest, shades, nulls, searches)


def _rows(
    limits: LimitSets, names: list[Name] | tuple[Name, ...], results: ModelResults | None
) -> list[dict[str, Any]]:
    shares = basins(limits)
    rows = []
    likeness = results.resemblance if results is not None else None
    places = {} if likeness is None else {s: place for place, s in enumerate(likeness.sets.tolist())}
    for i, name in enumerate(names):
        steps = limits.orbits.steps[(limits.labels == i) & limits.orbits.followed].double()
        row: dict[str, Any] = {
            "name": name.label,
            "hue": colour(name.rank),
            "kind": kind_words(limits, i),
            "moving": int(limits.kind[i]) in (int(Kind.CYCLE), int(Kind.CLOSED_CURVE), int(Kind.CHAOTIC)),
            "stable": int(limits.stable[i]),
            "period": int(limits.period[i]),
            "rho": _known(limits.spectral_radius[i]),
            "norm": _known(limits.spectral_norm[i]),
            "residual": _known(limits.residual[i]),
            "share": None if results is None else float(shares.fractions[i]),
            "interval": None if results is None else [float(shares.low[i]), float(shares.high[i])],
            "steps": float(steps.quantile(0.5)) if len(steps) else None,
        }
        if likeness is not None and i in places:
            at = places[i]
            row["nearest"] = {
                "which": results.image_words(int(likeness.nearest[at])) if results is not None else "",
                "coefficient": likeness.sign * float(likeness.coefficient[at]),
                "ratio": _known(likeness.ratio[at]),
                "p": _known(likeness.p_value[at]),
                "called": called_badge(likeness, at) if bool(likeness.significant[at]) else "",
            }
        rows.append(row)
    return rows


def _pictures(
    results: ModelResults, traces: list[Tensor], inputs: Sequence[Tensor]
) -> tuple[Tensor, Tensor, tuple[float, float]]:
    nothing = torch.zeros(0, dtype=torch.uint8)
    if not traces:
        return nothing, nothing, (0.0, 1.0)
    field: LatentField = results.latent_field
    decoded = decoded_pictures(field, torch.cat([trace[:1] for trace in traces]))
    if decoded is None:
        return nothing, nothing, (0.0, 1.0)
    likeness, partners = results.resemblance, None
    if results.train is not None and likeness is not None and len(likeness):
        partners = results.train[likeness.nearest].detach().to("cpu", torch.float64)
    shades = value_range(decoded, *inputs) if partners is None else value_range(decoded, partners, *inputs)
    nearest = nothing
    if partners is not None and likeness is not None:
        nearest = torch.zeros((len(traces), *as_bytes(partners[:1], shades).shape[1:]), dtype=torch.uint8)
        nearest[likeness.sets] = as_bytes(partners, shades)
    return as_bytes(decoded, shades), nearest, shades


def as_bytes(images: Tensor, shades: tuple[float, float]) -> Tensor:
    """``(n, c, h, w)`` to ``(n, h, w, c)`` bytes, grey images with one channel."""
    pixels = torch.from_numpy(to_rgb(images, shades))
    return pixels[..., : images.shape[1]].contiguous()


def _known(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
