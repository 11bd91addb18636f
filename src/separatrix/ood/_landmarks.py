"""The training attractors, as the points that distances are measured to."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import ConvergenceWarning
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, find_attractors
from separatrix.protocol import Protocol
from separatrix.work import Progress

SEARCH = Protocol(max_steps=2000)
"""The search that ends also on fields that wander: orbits that have not settled by then are left out, and counted."""


@dataclass(frozen=True)
class Landmarks:
    """Attractors found from training latents.

    Attributes:
        points: ``(m, *latent)`` all known points of all attractors: one of a fixed point, several of a cycle or curve.
        attractors: how many attractors they belong to.
        reached: share of the starts that ended on a limit set.
        limits: the whole search.
    """

    points: Tensor
    attractors: int
    reached: float
    limits: LimitSets


@checked
def training_attractors(
    field: LatentField,
    latents: Tensor,
    protocol: Protocol | None = None,
    starts: int = 256,
    *,
    progress: bool | Progress = False,
) -> Landmarks:
    """Follow the first ``starts`` latents to their limit sets.

    Cost: that of `find_attractors`, at most ``protocol.max_steps`` map evaluations per start.

    >>> field = LatentField.from_map(lambda z: (2 * z).tanh(), latent_shape=(1,), dtype=torch.float64)
    >>> training_attractors(field, torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None]).attractors
    2
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the share that settled is part of the result
        limits = find_attractors(field, latents[:starts], protocol or SEARCH, progress=progress)
    return landmarks(limits)


def landmarks(limits: LimitSets) -> Landmarks:
    """The points of the attractors of a search that was done before."""
    chosen = (limits.stable == 1).nonzero().squeeze(1).tolist()
    traces = [limits.trace(index) for index in chosen]
    points = torch.cat(traces) if traces else limits.points[:0]
    reached = int((limits.labels >= 0).sum()) / max(len(limits.labels), 1)
    return Landmarks(points, len(chosen), reached, limits)
