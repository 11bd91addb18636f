"""This file tells which limit sets of two searches of one field are the same."""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.limitsets._sets import Kind, LimitSets
from separatrix.numerics import nearest

_SAME_POINT = 1e-3  # share of the spread within which a polished set of another search is the same set
_SAME_CURVE = 2e-2  # the same for sets known by samples of their points


def same_sets(limits: LimitSets, other: LimitSets) -> Tensor:
    """``(m,)`` for each set its index in ``other``, −1 where it is not there.

    Two sets are one if they are of one kind and agree in stability, and a point of the first lies within 0.1
    % of the spread of a point of the second (2 % for curves, which are known by samples).

    >>> import torch
    >>> import separatrix as sx
    >>> wells = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=2, dtype=torch.float64)
    >>> some, more = (sx.find_attractors(wells, sx.starts.gaussian(50, seed=seed)) for seed in (0, 1))
    >>> sorted(same_sets(some, more).tolist())
    [0, 1, 2, 3]
    """
    if limits.points.shape[1:] != other.points.shape[1:]:
        raise InputError(
            f"Limit sets in latent spaces of shape {tuple(limits.points.shape[1:])} and "
            f"{tuple(other.points.shape[1:])} "
            "cannot share names; pass results of the same field."
        )
    found = torch.full((len(limits),), -1)
    if not len(other):
        return found
    traces = [other.trace(index) for index in range(len(other))]
    owner = torch.cat([torch.full((len(trace),), index) for index, trace in enumerate(traces)])
    near = nearest(limits.points, torch.cat(traces))
    for index, (point, distance) in enumerate(zip(near.index.tolist(), near.distance.tolist(), strict=True)):
        candidate = int(owner[point])
        sampled = int(limits.kind[index]) in (int(Kind.CLOSED_CURVE), int(Kind.CONTINUUM), int(Kind.CHAOTIC))
        alike = limits.kind[index] == other.kind[candidate] and limits.stable[index] == other.stable[candidate]
        if alike and distance <= (_SAME_CURVE if sampled else _SAME_POINT) * max(limits.spread, other.spread):
            found[index] = candidate
    return found
