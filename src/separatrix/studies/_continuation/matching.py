"""This file tells which limit set of one field is which of another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import scipy
import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.studies._continuation.dissimilarity import (
    basin_dissimilarity,
    chamfer_distances,
    contingency,
    sampled_trace,
)
from separatrix.studies._continuation.portrait import Portrait, shared_starts
from separatrix.words import Tabular

By = Literal["basins", "points", "decoded"]

THRESHOLDS: dict[str, float] = {"basins": 0.9, "points": 0.5, "decoded": 0.5}
"""Sets that are less alike than this are not the same; see :func:`match` for the units."""


@dataclass(frozen=True, eq=False)
class Matching(Tabular):
    """The m limit sets of a field against the m' of another.

    Attributes:
        partner: ``(m',)`` int64, the earlier set that each later one is; −1 for a new one.
        parent: ``(m',)`` int64, the earlier set that each later one came from, itself included; −1 for none. By basins the set
            that had more than half of its starts, otherwise the nearest within the threshold.
        heir: ``(m,)`` int64, the later set that each earlier one went to, likewise.
        dissimilarity: ``(m, m')`` float64, in the units of ``by``.
        by: the rule.
        threshold: what was still the same.
    """

    partner: Tensor
    parent: Tensor
    heir: Tensor
    dissimilarity: Tensor
    by: By
    threshold: float

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per later set: the earlier set that it is, the one that it came from, and how unlike it is to it (NaN for a new one)."""
        known, later = self.partner >= 0, torch.arange(len(self.partner))
        unlike = torch.full((len(self.partner),), torch.nan, dtype=torch.float64)
        unlike[known] = self.dissimilarity[self.partner[known], later[known]]
        columns = {"set": later, "partner": self.partner, "parent": self.parent, "dissimilarity": unlike}
        return {name: column.tolist() for name, column in columns.items()}

    def __repr__(self) -> str:
        before, after = self.dissimilarity.shape
        return f"Matching({int((self.partner >= 0).sum())} of {before} sets are among the {after} later ones, by {self.by})"


@checked
def match(
    before: LimitSets,
    after: LimitSets,
    *,
    by: By = "basins",
    threshold: float | None = None,
    fields: tuple[LatentField, LatentField] | None = None,
) -> Matching:
    """The assignment of later to earlier limit sets that makes the summed dissimilarity least (Hungarian method).

    Each pair costs min(dissimilarity, threshold), and pairs that cost the threshold are none: no set is dragged far away
    to make room for another. The order of the sets does not matter; ties go to the larger basin, then to the smaller
    coordinates.

    Args:
        before: limit sets of one field; all of them take part, so pass ``limits.attractors`` for those alone.
        after: limit sets of another field.
        by: ``"basins"``: 1 − |A ∩ B|/|A ∪ B| over the starts that settled in both searches, whatever happened to the coordinates;
            ``"points"``: distance in the latent space over the spread of the starts, for fields in the same coordinates;
            ``"decoded"``: distance of the decoded sets over the root mean square norm of all of them.
        threshold: at this dissimilarity two sets are different; by default 0.9 for basins and 0.5 for distances.
        fields: their fields, to decode with; needed for ``"decoded"`` only.

    Raises:
        InputError: an unknown rule, different starts, different latent spaces, or no fields to decode with.

    Cost: nothing, or one decoding for each point of each set with ``"decoded"``.

    >>> from separatrix import LatentField, find_attractors, starts
    >>> left, right = (LatentField.from_map(lambda z, a=a: torch.tanh(a * z), (1,)) for a in (2.0, 2.2))
    >>> source = starts.box(100, -1, 1, seed=0)
    >>> match(find_attractors(left, source), find_attractors(right, source))
    Matching(2 of 2 sets are among the 2 later ones, by basins)
    """
    if by == "decoded":
        if fields is None:
            raise InputError(
                'by="decoded" needs fields=(before, after) to decode with; pass them, or match by="basins".'
            )
        first, second = (decoded_traces(field, limits) for field, limits in zip(fields, (before, after), strict=True))
        return matched(Portrait.of(before, first), Portrait.of(after, second), by=by, threshold=threshold)
    return matched(Portrait.of(before), Portrait.of(after), by=by, threshold=threshold)


def matched(before: Portrait, after: Portrait, *, by: By, threshold: float | None = None) -> Matching:
    """:func:`match` for portraits, decoded already if that is the rule."""
    limit = checked_threshold(by, threshold)
    if by == "basins":
        table, parent, heir = _by_basins(before, after)
    else:
        if by == "points":
            table = _by_points(before, after)
        else:
            if before.decoded is None or after.decoded is None:
                raise InputError(
                    'by="decoded" needs decoded sets, and there are none here; match by="basins" or "points".'
                )
            table = _by_pictures(before.decoded, after.decoded)
        parent, heir = _nearest(table, limit, 0), _nearest(table, limit, 1)
    partner = _assigned(table, limit, before, after)
    there = partner >= 0
    parent[there] = partner[there]
    heir[partner[there]] = there.nonzero().squeeze(1)
    return Matching(partner, parent, heir, table, by, limit)


def checked_threshold(by: str, threshold: float | None) -> float:
    """The threshold, or the default of the rule.

    Raises:
        InputError: no such rule, or no threshold.
    """
    if by not in get_args(By):
        raise InputError(f"by must be one of {', '.join(map(repr, get_args(By)))}, not {by!r}.")
    limit = THRESHOLDS[by] if threshold is None else float(threshold)
    if not limit > 0 or math.isnan(limit):
        raise InputError(f"threshold must be positive, not {threshold!r}.")
    # Basins that share no start are never the same, however generous the threshold.
    return min(limit, 1.0) if by == "basins" else limit


def decoded_traces(field: LatentField, limits: LimitSets) -> tuple[Tensor, ...]:
    """D of up to 32 points of every set, ``(p, …)`` each, on the CPU."""
    with field.guest():
        return tuple(
            field.decode(sampled_trace(limits, index).to(field.device, field.dtype)).detach().cpu()
            for index in range(len(limits))
        )


def _by_basins(before: Portrait, after: Portrait) -> tuple[Tensor, Tensor, Tensor]:
    count = shared_starts(before, after)
    a, b = before.labels[:count], after.labels[:count]
    shared = contingency(a, b, (len(before), len(after)))
    # A start whose orbit ran out of steps in one of the searches makes no two basins less alike.
    both = before.known[:count] & after.known[:count]
    table = basin_dissimilarity(shared, _sizes(a[both], len(before)), _sizes(b[both], len(after)))
    return table, _majority(shared, _sizes(b, len(after)), 0), _majority(shared, _sizes(a, len(before)), 1)


def _sizes(labels: Tensor, count: int) -> Tensor:
    return torch.bincount(labels[labels >= 0], minlength=count)


def _majority(shared: Tensor, whole: Tensor, axis: int) -> Tensor:
    """Along ``axis``: who shares more than half of each basin on the other axis; −1 for nobody."""
    if not shared.shape[axis]:
        return torch.full_like(whole, -1)
    most = shared.max(dim=axis)
    return torch.where(2 * most.values > whole, most.indices, -1)


def _by_points(before: Portrait, after: Portrait) -> Tensor:
    if before.latent_shape != after.latent_shape:
        raise InputError(
            f"Limit sets in latent spaces of shape {before.latent_shape} and {after.latent_shape} have no "
            'distance; match by="basins" or by="decoded", or align the spaces with compare.'
        )
    return chamfer_distances(before.traces, after.traces) / max(before.spread, after.spread)


def _by_pictures(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    everything = [points.flatten(1).to(torch.float64) for points in (*before, *after)]
    squares = torch.cat(everything).square().sum(dim=1) if everything else torch.ones(1, dtype=torch.float64)
    return chamfer_distances(before, after) / (float(squares.mean().sqrt()) or 1.0)


def _nearest(table: Tensor, threshold: float, axis: int) -> Tensor:
    count = table.shape[1 - axis]
    if not table.numel():
        return torch.full((count,), -1, dtype=torch.int64)
    least = table.min(dim=axis)
    return torch.where(least.values < threshold, least.indices, -1)


def _assigned(table: Tensor, threshold: float, before: Portrait, after: Portrait) -> Tensor:
    """The Hungarian method on the sets in an order of their own, so that theirs does not decide ties."""
    partner = torch.full((len(after),), -1, dtype=torch.int64)
    if not table.numel():
        return partner
    rows, columns = _canonical(before), _canonical(after)
    costs = table[rows][:, columns].clamp(max=threshold)
    for row, column in zip(*scipy.optimize.linear_sum_assignment(costs.numpy()), strict=True):
        if costs[row, column] < threshold:
            partner[columns[column]] = rows[row]
    return partner


def _canonical(sets: Portrait) -> list[int]:
    points = [trace[0].flatten().tolist() for trace in sets.traces]
    hits = sets.hits.tolist()
    return sorted(range(len(sets)), key=lambda index: (-hits[index], points[index]))
