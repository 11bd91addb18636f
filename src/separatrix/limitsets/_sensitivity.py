"""This file tells how much "the number of attractors" depends on its thresholds: the same orbits counted by many rules."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from separatrix.arguments import checked
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.field import LatentField
from separatrix.limitsets._find import find_attractors
from separatrix.limitsets._merge import leader_clusters
from separatrix.orbits import FirstCrossings, run_orbits
from separatrix.protocol import Protocol
from separatrix.starts import Starts, as_starts
from separatrix.storage import storable
from separatrix.words import Tabular, columns_of
from separatrix.work import Progress

STEPS = (1e-2, 1e-3, 1e-4, 1e-5)  # stop when the step is shorter than this share of the spread
DISTANCES = (1e-2, 1e-3)  # merge end points closer than this share of the spread
COSINE = 0.99
FACTORS = (10.0, 0.1)  # the chosen protocol with every tolerance tightened and loosened by ten


@storable
@dataclass(frozen=True)
class SensitivityRow:
    """One way of counting: the rule in words, its two thresholds, the count, and how many starts it could count."""

    rule: str
    stop: float
    merge: float
    count: int
    counted: int


@storable
@dataclass(frozen=True)
class Sensitivity(Tabular):
    """Counts of the same starts under different rules; ``stable`` if the verified count does not move.

    Attributes:
        rows: the verified count first (as given, ten times tighter, ten times looser), then what simpler loops would say.
        starts: how many starts were used.
    """

    _facts: ClassVar[tuple[str, ...]] = ("stable",)

    rows: tuple[SensitivityRow, ...]
    starts: int

    @property
    def stable(self) -> bool:
        """The verified count is the same for all tolerances tried."""
        return len({row.count for row in self.rows if row.rule == VERIFIED}) == 1

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per rule."""
        return columns_of(SensitivityRow, self.rows)

    def __repr__(self) -> str:
        verified = _span(row.count for row in self.rows if row.rule == VERIFIED)
        naive = _span(row.count for row in self.rows if row.rule != VERIFIED)
        return f"Sensitivity({verified} attractors verified, {naive} by simpler rules; {self.starts:,} starts)"

    def __str__(self) -> str:
        lines = [f"{'rule':42} {'stop':>8} {'merge':>8} {'count':>6} {'starts':>7}"]
        lines += [f"{r.rule:42} {r.stop:8.0e} {r.merge:8.4g} {r.count:6d} {r.counted:7d}" for r in self.rows]
        return "\n".join(lines)


def _span(counts: Iterable[int]) -> str:
    known = sorted(counts)
    return "none" if not known else f"{known[0]}" if known[0] == known[-1] else f"{known[0]} to {known[-1]}"


VERIFIED = "polished, stable, verified"


@checked
def sensitivity(
    field: LatentField,
    starts: Starts | torch.Tensor,
    protocol: Protocol | str | None = None,
    *,
    limit: int = 512,
    batch_size: int | None = None,
    progress: bool | Progress = False,
) -> Sensitivity:
    """Count attractors of the first ``limit`` starts by the protocol, by it ten times tighter and looser, and by naive rules.

    The naive rules stop when ‖step‖ falls below a threshold and merge end points by distance or by cosine (the paper's),
    without polishing or stability. They are read off one run (`FirstCrossings`).

    Cost: three searches and one plain run of at most ``protocol.probe_steps`` steps over ``limit`` starts.

    >>> import separatrix as sx
    >>> wells = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=2, dtype=torch.float64)
    >>> sensitivity(wells, sx.starts.gaussian(100))
    Sensitivity(4 attractors verified, 4 to 63 by simpler rules; 100 starts)
    """
    field, protocol = LatentField.of(field), Protocol.of(protocol)
    if limit < 1:
        raise InputError(f"limit must be 1 or more, not {limit}.")
    source = as_starts(starts)
    source = source[: min(limit, len(source))]
    field, variants = field.with_batch_size(batch_size), _variants(protocol)
    with Progress.of(progress).stage("counting by other rules", len(variants) + 1) as line:
        rows = [_verified(field, source, rules, line) for rules in variants]
        rows += _naive(field, source, protocol, line)
    return Sensitivity(tuple(rows), len(source))


def _variants(protocol: Protocol) -> list[Protocol]:
    return [protocol, *(protocol.tightened(factor) for factor in FACTORS)]


def _verified(field: LatentField, source: Starts, rules: Protocol, progress: Progress) -> SensitivityRow:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the row itself says how many were counted
        limits = find_attractors(field, source, rules, progress=progress)
    attractors = limits.attractors
    counted = int((attractors.labels >= 0).sum())
    return SensitivityRow(VERIFIED, rules.tolerance, rules.merge_tolerance, len(attractors), counted)


def _naive(field: LatentField, source: Starts, protocol: Protocol, progress: Progress) -> list[SensitivityRow]:
    sample = source.block(field, 0, len(source))
    from separatrix.numerics import spread as spread_of

    unit = spread_of(sample)
    crossings = FirstCrossings(torch.tensor(STEPS, dtype=torch.float64) * unit)
    rules = Protocol(stop="squared_step", tolerance=(min(STEPS) * unit) ** 2, max_steps=protocol.probe_steps)
    with progress.stage("following orbits", len(source)):
        orbits = run_orbits(field, source, rules, observers=[crossings], spread=unit, progress=progress)
    points, crossed = orbits.observed[crossings.name]
    rows = []
    for column, stop in enumerate(STEPS):
        ends = points[crossed[:, column], column]
        for merge in DISTANCES:
            _, leaders = leader_clusters(ends, "distance", merge * unit)
            rows.append(SensitivityRow("small step, merged by distance", stop, merge, len(leaders), len(ends)))
        _, leaders = leader_clusters(ends, "cosine", COSINE)
        rows.append(SensitivityRow("small step, merged by cosine", stop, COSINE, len(leaders), len(ends)))
    return rows
