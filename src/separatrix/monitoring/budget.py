"""The share of the training time that watching may cost, and how much effort it buys."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from separatrix.cost import VJP_WEIGHT
from separatrix.protocol import DENSE_LIMIT

_FEWEST_STARTS = 16
_FEWEST_STEPS = 128
_TYPICAL_PASSES = 40  # of the network in the least snapshot, before anything is polished
_FLOAT64 = 3.0  # what float64 costs beside float32
_CLIMB = 2.0  # a greater effort is tried when the budget is this many times its predicted cost
_RESERVE = 0.95  # of the budget is what one snapshot may use up; the rest is for what cannot be interrupted


@dataclass(frozen=True)
class Effort:
    """What one snapshot does: follow the first ``starts`` starts for at most ``max_steps`` steps."""

    starts: int
    max_steps: int


@dataclass(frozen=True)
class Usage:
    """What watching has cost.

    Attributes:
        training_seconds: wall-clock time outside of the monitor, since its first step.
        monitor_seconds: wall-clock time inside.
        max_share: what was allowed; None for no limit.
        snapshots: complete ones.
        cut: snapshots that were stopped because their time was up; they leave no numbers.
        skipped: due moments at which an earlier snapshot was still waiting for its budget.
        failed: snapshots that ended with an error, such as weights that are NaN.
    """

    training_seconds: float = 0.0
    monitor_seconds: float = 0.0
    max_share: float | None = 0.1
    snapshots: int = 0
    cut: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        """Monitor seconds per second of training; 0 before there was any training."""
        return self.monitor_seconds / self.training_seconds if self.training_seconds > 0 else 0.0

    @property
    def sentence(self) -> str:
        """In words."""
        allowed = "no limit" if self.max_share is None else f"{self.max_share:.1%} allowed"
        extra = [
            f"{count} {word}"
            for count, word in ((self.cut, "cut"), (self.skipped, "skipped"), (self.failed, "failed"))
            if count
        ]
        return (
            f"{self.snapshots} snapshots took {self.monitor_seconds:.1f} s beside {self.training_seconds:.1f} s of training, "
            f"{self.share:.1%} ({allowed}{'; ' + ', '.join(extra) if extra else ''})."
        )


class Budget:
    """Keeps time and chooses the effort. All times come from ``clock``.

    ``available`` seconds are what ``max_share`` of the training so far leaves; a snapshot that is predicted to cost more
    waits, and one that runs out of them is cut, so the share is kept up to what cannot be interrupted (one network pass).
    """

    def __init__(self, starts: int, max_steps: int, max_share: float | None, clock: Callable[[], float]) -> None:
        self.usage = Usage(max_share=max_share)
        self.clock = clock
        self.efforts = ladder(starts, max_steps)
        self._rung = len(self.efforts) - 1 if max_share is None else 0
        self._cost: dict[int, float] = {}
        self._left: float | None = None
        self._entered = 0.0

    def enter(self) -> None:
        """The training hands over."""
        self._entered = self.clock()
        if self._left is not None:
            outside = self._entered - self._left
            self.usage = replace(self.usage, training_seconds=self.usage.training_seconds + outside)

    def leave(self) -> None:
        """The training goes on."""
        self._left = self.clock()
        self.usage = replace(self.usage, monitor_seconds=self.usage.monitor_seconds + self._left - self._entered)

    @property
    def available(self) -> float:
        """Seconds that may be spent now, those of the current visit not yet counted."""
        if self.usage.max_share is None:
            return math.inf
        spent = self.usage.monitor_seconds + self.clock() - self._entered
        return self.usage.max_share * self.usage.training_seconds - spent

    @property
    def calibrated(self) -> bool:
        """There is an idea of what things cost."""
        return bool(self._cost)

    def calibrate(self, seconds: float, latent_dim: int) -> None:
        """A first idea of what the least effort costs, from the time of one network pass over its starts.

        Some steps, and two Jacobians in float64 at one attractor. Optimistic: a snapshot that turns out dearer is cut, and the
        next one waits for twice the time.
        """
        jacobians = 2 * VJP_WEIGHT * min(latent_dim, DENSE_LIMIT) / self.efforts[0].starts
        self._cost[0] = (_TYPICAL_PASSES + _FLOAT64 * jacobians) * seconds

    def affordable(self) -> Effort | None:
        """The effort for the next snapshot, at most one step above the last one; None to wait."""
        if self.usage.max_share is None:
            return self.efforts[self._rung]
        available = _RESERVE * self.available
        for rung in range(min(self._rung + 1, len(self.efforts) - 1), -1, -1):
            if self._predicted(rung) * (_CLIMB if rung > self._rung else 1.0) <= available:
                return self.efforts[rung]
        return None

    def begin(self, effort: Effort) -> None:
        """A snapshot of this effort begins."""
        self._rung = self.efforts.index(effort)

    @property
    def deadline(self) -> float:
        """The time at which the snapshot that begins now must end."""
        return self.clock() + _RESERVE * self.available

    def spent(self, seconds: float, *, cut: bool) -> None:
        """What the snapshot that was begun has cost. One that was cut would have cost more, at least twice as much."""
        self._cost = {self._rung: 2 * seconds if cut else seconds}

    def _predicted(self, rung: int) -> float:
        ((known, seconds),) = self._cost.items()
        there, here = self.efforts[rung], self.efforts[known]
        # Most orbits end before the step limit, so time grows more slowly with it than with the number of starts.
        return seconds * (there.starts / here.starts) * math.sqrt(there.max_steps / here.max_steps)


def ladder(starts: int, max_steps: int) -> tuple[Effort, ...]:
    """Efforts from the least to the full one: starts double, and the step limit grows by one factor throughout.

    >>> ladder(64, 2048)
    (Effort(starts=16, max_steps=128), Effort(starts=32, max_steps=512), Effort(starts=64, max_steps=2048))
    """
    low_starts, low_steps = min(_FEWEST_STARTS, starts), min(_FEWEST_STEPS, max_steps)
    rungs = max(math.ceil(math.log2(starts / low_starts)), 1 if max_steps > low_steps else 0)
    factor = (max_steps / low_steps) ** (1 / rungs) if rungs else 1.0
    return tuple(
        Effort(min(starts, low_starts * 2**rung), max_steps if rung == rungs else round(low_steps * factor**rung))
        for rung in range(rungs + 1)
    )
