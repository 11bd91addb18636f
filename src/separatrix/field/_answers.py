"""A model is known by what it answers, because other code may run with the same weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from separatrix.field._field import LatentField
from separatrix.words import jsonable

_SCALES = (1.0, 10.0, 100.0)  # of the points at which a model is asked, two at each
_SHOWN = 8  # coordinates that are kept of what it answers


def answers(field: LatentField) -> dict[str, Any]:
    """Return what f and D make of six points, JSON-ready.

    Cost: 6 map evaluations and 6 decodings.
    """
    points = torch.linspace(-1, 1, 2 * field.latent_dim, dtype=torch.float64).reshape(2, *field.latent_shape)
    z = torch.cat([scale * points for scale in _SCALES]).to(field.device, field.dtype)
    if field.examined is None:  # what is no self-map is refused in one sentence
        field.examine(z[:4]).check.require()
    rows = [row.detach().flatten(1)[:, :_SHOWN].to("cpu", torch.float64) for row in (field(z), field.decode(z))]
    allowed = math.sqrt(torch.finfo(field.dtype).eps)  # threads and batches round differently
    return {name: {"rows": jsonable(part.tolist()), "allowed": allowed} for name, part in zip("fD", rows, strict=True)}


def alike(mine: Any, theirs: Any) -> bool:
    """Are the answers of two models to one of these questions the same but for rounding, each row in units of its largest number?"""
    try:
        a, b = (
            torch.tensor([[math.nan if x is None else x for x in row] for row in each["rows"]])
            for each in (mine, theirs)
        )
        allowed = mine["allowed"] * a.abs().nan_to_num().amax(dim=1, keepdim=True)
    except (TypeError, KeyError, ValueError, RuntimeError, IndexError):
        return False
    return a.shape == b.shape and bool((((a - b).abs() <= allowed) | (a.isnan() & b.isnan())).all())


def all_alike(mine: Mapping[str, Any], theirs: Any) -> bool:
    """Are two models alike in all that they answer?"""
    return isinstance(theirs, Mapping) and all(alike(answer, theirs.get(name)) for name, answer in mine.items())
