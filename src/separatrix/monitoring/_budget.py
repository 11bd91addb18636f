"""The share of the training time that watching may cost, and how much effort it buys."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, ClassVar

from separatrix.cost import VJP_WEIGHT
from separatrix.monitoring._failures import Failure
from separatrix.orbits._glance import GLANCE_STARTS, GLANCE_STEPS, Glance
from separatrix.protocol import DENSE_LIMIT
from separatrix.words import Readable, counted

_FEWEST_STARTS = GLANCE_STARTS
_FEWEST_STEPS = 128
_TYPICAL_STEPS = 40  # of the orbits of a search, before a glance says more
_OTHER_PASSES = 40  # of a search, beside those of its orbits: checks, polishing, following claims
_EXTRA_PASSES = 4  # of a glance, for what comes before the first step
_GLANCE_PASSES = GLANCE_STEPS + 1 + _EXTRA_PASSES
_MARGIN = 2.0  # a search begins when the budget is this many times its predicted cost; what it does not use is kept
_LAST_MARGIN = 0.5  # at the end of the training there is nothing to save for
_RESERVE = 0.95  # of the budget is what one snapshot may use up; the rest is for what cannot be interrupted
_ROWS_SHARE = 0.75  # of what the Jacobians of a set cost is the longest stretch without a look at the clock
_GLANCE_SHARE = 0.15  # of all that was allowed is what glances may use up alone; the rest is saved for searches


@dataclass(frozen=True)
class Effort:
    """It tells what one search does: follow the first ``starts`` starts for at most ``max_steps`` steps."""

    starts: int
    max_steps: int


@dataclass(frozen=True)
class Usage(Readable):
    """It tells what watching has cost.

    Attributes:
        training_seconds: wall-clock time outside of the monitor, since its first step.
        monitor_seconds: wall-clock time inside.
        max_share: what was allowed; None for no limit.
        snapshots: those recorded.
        glances: how many of them did not seek attractors, because a search would have cost too much, or was cut.
        cut: searches and glances that were stopped because their time was up; of a search the glance before it is kept.
        skipped: due moments at which an earlier snapshot was still waiting for its budget.
        failed: snapshots of which a part, or all, was lost to an error, such as weights that are NaN.
        failures: everything that went wrong, loggers included, one entry per place with its number and first message.
    """

    _facts: ClassVar[tuple[str, ...]] = ("share",)

    training_seconds: float = 0.0
    monitor_seconds: float = 0.0
    max_share: float | None = 0.1
    snapshots: int = 0
    glances: int = 0
    cut: int = 0
    skipped: int = 0
    failed: int = 0
    failures: tuple[Failure, ...] = ()

    def __repr__(self) -> str:
        return f"Usage({self.sentence})"

    @property
    def share(self) -> float:
        """Monitor seconds per second of training; 0 before there was any training."""
        return self.monitor_seconds / self.training_seconds if self.training_seconds > 0 else 0.0

    @property
    def sentence(self) -> str:
        """Say it in words."""
        allowed = "no limit" if self.max_share is None else f"{100 * self.max_share:.1f} % allowed"
        extra = [
            f"{count} {word}"
            for count, word in ((self.cut, "cut"), (self.skipped, "skipped"), (self.failed, "failed"))
            if count
        ]
        glances = f", {self.glances} of them only glances," if self.glances else ""
        none = (
            ""
            if self.snapshots or not self.skipped
            else " None fitted into that share: train longer, give fewer starts, or a larger max_share."
        )
        return (
            f"{counted(self.snapshots, 'snapshot')}{glances} took {self.monitor_seconds:.1f} s beside {self.training_seconds:.1f} s of training, "
            f"{100 * self.share:.1f} % ({allowed}{'; ' + ', '.join(extra) if extra else ''}).{none}"
        ) + "".join(
            f" {failure.count} failed in {failure.where}, the first{'' if failure.step is None else f' at step {failure.step}'}: "
            f"{failure.message.rstrip('.')}."
            for failure in self.failures
        )


class TimeBudget:
    """Keeps time and chooses the effort. All times come from ``clock``.

    ``available`` seconds are what ``max_share`` of the training so far leaves; what is predicted to cost more waits, and what
    runs out of them is cut, so the share is kept up to what cannot be interrupted (one network pass). Every snapshot begins
    with a glance, which tells how fast the network is and how long its orbits are: together, what a search would cost.
    """

    def __init__(self, starts: int, max_steps: int, max_share: float | None, clock: Callable[[], float]) -> None:
        self.usage = Usage(max_share=max_share)
        self.clock = clock
        self.efforts = ladder(starts, max_steps)
        self._rung = len(self.efforts) - 1 if max_share is None else 0
        # Seconds of a network pass over the starts of a glance, the last few; their median, as clocks of busy machines are noisy.
        self._passes: deque[float] = deque(maxlen=3)
        self._steps = float(_TYPICAL_STEPS)  # how long the orbits of a search will be
        self._polishing = 0.0  # passes that the Jacobians of one set are worth
        self._ratio = 1.0  # what searches have cost, over what had been predicted
        self._glances = 0.0  # cost of all glances so far
        self._pictures = 0.0  # what pictures have cost the last time
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
        return self.usage.max_share * self.usage.training_seconds - self._spent

    @property
    def _spent(self) -> float:
        return self.usage.monitor_seconds + self.clock() - self._entered

    @property
    def share(self) -> float:
        """Monitor seconds per second of training, those of the current visit included."""
        return replace(self.usage, monitor_seconds=self._spent).share

    @property
    def calibrated(self) -> bool:
        """There is an idea of what things cost."""
        return bool(self._passes)

    def calibrate(self, seconds: float, latent_dim: int) -> None:
        """A first idea of what things cost, from the time of one network pass over the starts of a glance.

        A glance is some passes, and a search some more and two Jacobians at one attractor: in float64, which is slower, but in
        larger batches, which are faster.
        """
        self._passes.append(seconds)
        self._polishing = 2 * VJP_WEIGHT * min(latent_dim, DENSE_LIMIT) / self.efforts[0].starts

    def glance_affordable(self, *, last: bool = False) -> bool:
        """Is there time for a glance: within what glances may use, or with the search after it, or at the very ``last``?"""
        allowed = self.usage.max_share
        if allowed is None:
            return True
        cost = _GLANCE_PASSES * self._pass
        if cost > _RESERVE * self.available:
            return False
        within = self._glances + cost <= _GLANCE_SHARE * allowed * self.usage.training_seconds
        return last or within or self.affordable(after=cost) is not None

    def glanced(self, seconds: float, seen: Glance | None) -> None:
        """Note what a glance has cost, and what it says about the cost of a search; None if it was cut."""
        self._glances += seconds
        if seen:
            self._passes.append(seconds / (seen.passes + _EXTRA_PASSES))
            self._steps = seen.steps_to_rest
        else:
            self._passes.append(2 * seconds / _GLANCE_PASSES)

    def pictures_affordable(self) -> bool:
        """Is there time to send pictures through a copy?"""
        return self._pictures <= _RESERVE * self.available

    def pictured(self, seconds: float, found: Any) -> None:
        """Note what pictures have cost; they are expected to cost as much the next time, or twice that if they were cut."""
        self._pictures = seconds if found is not None else 2 * seconds

    def affordable(self, *, after: float = 0.0, last: bool = False) -> Effort | None:
        """The effort for the next search, ``after`` so many seconds more, at most one step above the last one; None to wait.

        The ``last`` search of all may be tried on a chance: if it is cut, no later one would have used the time.
        """
        if self.usage.max_share is None:
            return self.efforts[self._rung]
        available = _RESERVE * self.available - after
        for rung in range(min(self._rung + 1, len(self.efforts) - 1), -1, -1):
            margin = _LAST_MARGIN if last and rung <= self._rung else _MARGIN
            if margin * self._predicted(rung) <= available:
                return self.efforts[rung]
        return None

    def begin(self, effort: Effort) -> None:
        """A search of this effort begins."""
        self._rung = self.efforts.index(effort)

    @property
    def deadline(self) -> float:
        """The time at which what begins now must end. A batch of Jacobian rows cannot be interrupted, nor can one pass."""
        rows = _ROWS_SHARE * self._polishing * self._pass
        return self.clock() + min(_RESERVE * self.available, self.available - rows)

    def spent(self, seconds: float, found: object | None) -> None:
        """Note what the search that was begun has cost, at least; ``found`` is None if it was cut."""
        predicted = self._predicted(self._rung)
        if predicted > 0:
            ratio = self._ratio * seconds / predicted
            self._ratio = max(ratio, self._ratio) if found is None else (ratio + self._ratio) / 2

    @property
    def _pass(self) -> float:
        return median(self._passes) if self._passes else 0.0

    def _predicted(self, rung: int) -> float:
        effort = self.efforts[rung]
        passes = min(self._steps, effort.max_steps) + _OTHER_PASSES + self._polishing
        return self._ratio * self._pass * passes * effort.starts / self.efforts[0].starts


def ladder(starts: int, max_steps: int) -> tuple[Effort, ...]:
    """Efforts from the least to the full one: starts double, and the step limit grows by one factor throughout.

    >>> ladder(32, 2048)
    (Effort(starts=8, max_steps=128), Effort(starts=16, max_steps=512), Effort(starts=32, max_steps=2048))
    """
    low_starts, low_steps = min(_FEWEST_STARTS, starts), min(_FEWEST_STEPS, max_steps)
    rungs = max(math.ceil(math.log2(starts / low_starts)), 1 if max_steps > low_steps else 0)
    factor = (max_steps / low_steps) ** (1 / rungs) if rungs else 1.0
    return tuple(
        Effort(min(starts, low_starts * 2**rung), max_steps if rung == rungs else round(low_steps * factor**rung))
        for rung in range(rungs + 1)
    )
