"""This file tells what iterating a batch of starts gives: one row per orbit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.cost import NO_WORK, Cost
from separatrix.orbits._fates import Fates
from separatrix.orbits._status import Status
from separatrix.protocol import Protocol
from separatrix.storage import Columnar, storable


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Orbits(Columnar):
    """Outcome of n orbits, column by column.

    Attributes:
        points: ``(n, *latent)`` end points z_t, exactly the points whose residual is reported.
        steps: ``(n,)`` int64, t: how many times the map was applied to the start to get the end point. A CAPTURED orbit was
            not followed farther; for the steps to convergence use ``Protocol(capture=False)``.
        residual: ``(n,)`` float64 ‖f(z_t) − z_t‖; for a periodic orbit ‖f^p(z_t) − z_t‖.
        rate: ``(n,)`` float64, measured ratio of successive steps (below 1: contracting), NaN if too few steps.
        error: ``(n,)`` float64, estimated distance of the end point to its limit, residual/(1 − rate), or where the limit is known
            the distance to it; infinite if not contracting. A SAMPLED orbit may be far from where it goes.
        status: ``(n,)`` uint8, a :class:`~separatrix.orbits.Status` per orbit.
        period: ``(n,)`` int64, 1 unless PERIODIC; 0 where the orbit reached nothing that repeats.
        observed: what each observer recorded, by its name, one row per orbit.
        paths: ``(n, T + 1, *latent)`` the whole orbits if they were asked for, padded with the end point; else None.
        spread: the length unit of the protocol's tolerances.
        protocol: the rules the orbits were iterated under.
        cost: work done.
    """

    _columns: ClassVar[tuple[str, ...]] = (
        "points",
        "steps",
        "residual",
        "rate",
        "error",
        "status",
        "period",
        "paths",
    )
    _members: ClassVar[Mapping[str, type[IntEnum]]] = {"status": Status}
    _facts: ClassVar[tuple[str, ...]] = ("fates",)

    points: Tensor
    steps: Tensor
    residual: Tensor
    rate: Tensor
    error: Tensor
    status: Tensor
    period: Tensor
    spread: float
    protocol: Protocol
    cost: Cost = NO_WORK
    observed: Mapping[str, Any] = field(default_factory=dict)
    paths: Tensor | None = None

    @property
    def counts(self) -> dict[Status, int]:
        """Count how many orbits ended with each status, only those that occur."""
        values, counts = torch.unique(self.status, return_counts=True)
        return {list(Status)[int(value)]: int(count) for value, count in zip(values, counts, strict=True)}

    @property
    def fates(self) -> Fates:
        """Return what became of the starts. Iterating shows where an orbit comes to rest, not whether that place attracts."""
        return Fates.of_statuses(self.counts)

    @property
    def reached(self) -> Tensor:
        """``(n,)`` bool: the orbit ended on a limit set that can be named."""
        good = [int(status) for status in Status if status.reached_limit_set]
        return torch.isin(self.status, torch.tensor(good, dtype=self.status.dtype, device=self.status.device))

    @property
    def followed(self) -> Tensor:
        """``(n,)`` bool: the steps tell how long the way to the end is; not where a statistical capture cut it short."""
        return self.status != int(Status.SAMPLED)

    def followed_by(self, others: Orbits) -> Orbits:
        """These orbits, then the others (of the same protocol and spread); nothing observed is kept."""
        columns: dict[str, Any] = {
            name: torch.cat([getattr(self, name), getattr(others, name)]) for name in self._columns if name != "paths"
        }
        return replace(self, **columns, paths=None, observed={}, cost=self.cost + others.cost)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status.name}" for status, count in self.counts.items())
        return f"Orbits({len(self)}: {counts or 'none'}; {self.cost.map:,} map evaluations)"
