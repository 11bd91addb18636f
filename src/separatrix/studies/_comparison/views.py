"""Attractors of two models in one space, against random data points in the place of the first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy
import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import procrustes, relative, spread
from separatrix.studies._comparison.result import View
from separatrix.studies._continuation.dissimilarity import chamfer_distances, sampled_trace

DRAWS = 199
_CHUNK = 256

Place = Callable[[Tensor], Tensor]
"""Latents of one model ``(n, *latent)`` to points of the common space ``(n, d)``."""


def views(
    fields: tuple[LatentField, LatentField],
    sets: tuple[LimitSets, LimitSets],
    anchors: tuple[Tensor, Tensor],
    *,
    paired: bool,
    threshold: float,
    seed: int,
) -> dict[str, View]:
    """Every space in which these two models can be compared.

    Args:
        fields: A and B.
        sets: their attractors.
        anchors: latents of the same inputs in each model, ``(n, *latent)``.
        paired: the anchors are encodings of shared data, so that they can align the two latent spaces.
        threshold: distance that still counts as matched.
        seed: of the draws.
    """
    found = {}
    first, second = fields
    if first.latent_shape == second.latent_shape:
        found["latent"] = _view("latent", sets, anchors, (_flat, _flat), threshold, seed)
    if paired:
        # Every second anchor is left out, to see how good the fit is.
        turned = procrustes(anchors[0][::2], anchors[1][::2])
        fit = turned.r_squared(anchors[0][1::2], anchors[1][1::2]) if len(anchors[0]) > 3 else math.nan
        found["procrustes"] = _view("procrustes", sets, anchors, (turned, _flat), threshold, seed, fit)
        places = (lambda z: relative(z, anchors[0]), lambda z: relative(z, anchors[1]))
        found["relative"] = _view("relative", sets, anchors, places, threshold, seed)
    shapes = [
        tuple(field.decode(own[:1].to(field.device, field.dtype)).shape[1:])
        for field, own in zip(fields, anchors, strict=True)
    ]
    if shapes[0] == shapes[1]:
        decoders = (_decoder(first), _decoder(second))
        found["decoded"] = _view("decoded", sets, anchors, decoders, threshold, seed)
    if not found:
        raise InputError(
            "The two models share neither latent coordinates nor data of one shape, and there are no images to align them with; "
            "start from encoded images that both can read."
        )
    return found


def _view(
    name: str,
    sets: tuple[LimitSets, LimitSets],
    anchors: tuple[Tensor, Tensor],
    places: tuple[Place, Place],
    threshold: float,
    seed: int,
    fit: float = math.nan,
) -> View:
    ours, theirs = (
        [place(sampled_trace(limits, index)) for index in range(len(limits))]
        for place, limits in zip(places, sets, strict=True)
    )
    unit = spread(places[1](anchors[1]))
    table = chamfer_distances(ours, theirs) / unit
    partner, distance = _assigned(table, threshold)
    mean = float(distance.nanmean()) if bool((~distance.isnan()).any()) else math.nan
    drawn = _null(places[0](anchors[0]), theirs, len(ours), unit, seed) if ours and theirs else np.zeros(0)
    return View(
        partner=partner,
        distance=distance,
        name=name,
        threshold=threshold,
        mean_distance=mean,
        null_mean=float(drawn.mean()) if len(drawn) else math.nan,
        null_low=float(np.quantile(drawn, 0.05)) if len(drawn) else math.nan,
        p_value=float(1 + (drawn <= mean + 1e-12).sum()) / (1 + len(drawn)) if len(drawn) else math.nan,
        fit=fit,
    )


def _assigned(table: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Partners within the threshold, and the distances of the assignment that makes their sum least."""
    partner = torch.full((len(table),), -1, dtype=torch.int64)
    distance = torch.full((len(table),), torch.nan, dtype=torch.float64)
    if table.numel():
        for row, column in zip(*scipy.optimize.linear_sum_assignment(table.numpy()), strict=True):
            distance[row] = table[row, column]
            if distance[row] <= threshold:
                partner[row] = int(column)
    return partner, distance


def _null(candidates: Tensor, theirs: Sequence[Tensor], count: int, unit: float, seed: int) -> np.ndarray:
    """Mean assigned distances of ``count`` random anchors of A to the attractors of B, ``(draws,)``."""
    table = chamfer_distances([point[None] for point in candidates], theirs).numpy() / unit
    generator = np.random.default_rng(seed)
    means = []
    for _ in range(DRAWS):
        rows = generator.choice(len(table), size=count, replace=count > len(table))
        part = table[rows]
        means.append(part[scipy.optimize.linear_sum_assignment(part)].mean())
    return np.array(means)


def _decoder(field: LatentField) -> Place:
    def decoded(latents: Tensor) -> Tensor:
        parts = [
            field.decode(part.to(field.device, field.dtype)).detach().to("cpu", torch.float64).flatten(1)
            for part in latents.split(_CHUNK)
        ]
        return torch.cat(parts)

    return decoded


def _flat(latents: Tensor) -> Tensor:
    return latents.detach().flatten(1).to("cpu", torch.float64)
