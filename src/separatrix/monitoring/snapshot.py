"""What the monitor writes down about one moment of the training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from separatrix.limitsets.sets import LimitSets
from separatrix.limitsets.triviality import triviality
from separatrix.monitoring.budget import Effort


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The dynamics at one training step. Counts depend on the effort: compare those of equal ``starts`` and ``max_steps``.

    Attributes:
        step: the training step whose weights these are.
        attractors: number of attractors found.
        converged: share of the starts that reached a limit set.
        largest_basin: share of the starts that end on the most visited attractor; None without one.
        spectral_radius: largest ρ(J) among the attractors; None without one.
        residual: median over the starts of ‖f(z) − z‖ at the end of their orbits, over the spread of the starts.
        trivial: one point takes nearly everything within a few steps, as in an untrained network.
        ids: names of the sets that attract or may attract; a set keeps its name from snapshot to snapshot.
        events: births, deaths, merges and splits since the last snapshot, in words.
        starts: how many starts were followed.
        max_steps: step limit per orbit.
        evaluations: work, in map evaluations.
        seconds: wall-clock time of this snapshot.
        share: monitor seconds per second of training so far.
    """

    step: int
    attractors: int
    converged: float
    largest_basin: float | None
    spectral_radius: float | None
    residual: float | None
    trivial: bool
    ids: tuple[int, ...]
    events: tuple[str, ...]
    starts: int
    max_steps: int
    evaluations: float
    seconds: float
    share: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "ids": list(self.ids), "events": list(self.events)}


def snapshot_of(
    limits: LimitSets,
    *,
    step: int,
    effort: Effort,
    ids: tuple[int, ...],
    events: tuple[str, ...],
    seconds: float,
    share: float,
) -> Snapshot:
    """The numbers of a search."""
    attractors = limits.attractors
    return Snapshot(
        step=step,
        attractors=len(attractors),
        converged=float((limits.labels >= 0).double().mean()),
        largest_basin=float(attractors.fractions.max()) if len(attractors) else None,
        spectral_radius=_known(float(attractors.spectral_radius.max())) if len(attractors) else None,
        residual=_known(float(limits.orbits.residual.median()) / limits.spread),
        trivial=triviality(limits).trivial,
        ids=ids,
        events=events,
        starts=effort.starts,
        max_steps=effort.max_steps,
        evaluations=limits.cost.total,
        seconds=seconds,
        share=share,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
