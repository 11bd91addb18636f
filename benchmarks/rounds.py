"""The rounds of searches while they run: rows, steps, evaluations and seconds of each, seen from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from separatrix.limitsets import _parts as parts
from separatrix.limitsets._search import Search


@dataclass
class Round:
    """One round. Seconds are processor time of this process, or what another clock tells.

    Attributes:
        fresh: starts that were admitted.
        carried: rows of the round before, in the model's precision.
        confirmed: rows in float64.
        steps: that a row may make.
        passes: steps that the longest row of each part made, of all parts in the model's precision together.
        evaluations: of the rows in the model's precision …
        fine_evaluations: … and of those in float64.
        step_seconds: to follow the parts of the rows in the model's precision …
        fine_seconds: … and of those in float64.
        joining_seconds: to cut the rows into parts and to put them together again.
        settle_seconds: from there to the next round.
        ended: orbits that ended, of both kinds.
    """

    fresh: int = 0
    carried: int = 0
    confirmed: int = 0
    steps: int = 0
    passes: int = 0
    evaluations: int = 0
    fine_evaluations: int = 0
    step_seconds: float = 0.0
    fine_seconds: float = 0.0
    joining_seconds: float = 0.0
    settle_seconds: float = 0.0
    ended: int = 0


@dataclass
class Trace:
    """All rounds of the searches in the block."""

    rounds: list[Round] = field(default_factory=list)


@contextmanager
def traced(clock: Callable[[], float] = time.process_time) -> Iterator[Trace]:
    """Write down every round of every search in the block; parts that other processes follow are not seen."""
    trace = Trace()
    step, follow, settle = Search._step, parts.follow, Search._settle

    def timed(function: Callable[[], Any]) -> tuple[Any, float]:
        begin = clock()
        result = function()
        return result, clock() - begin

    def timed_step(search: Search) -> None:
        one = Round(search.fresh, len(search.native), len(search.claimants))
        trace.rounds.append(one)
        _, seconds = timed(lambda: step(search))
        one.steps, one.ended = search.round, len(search.ended)
        one.joining_seconds = seconds - one.step_seconds - one.fine_seconds

    def timed_follow(part: parts.Part, fields: Any, head: parts.Round) -> parts.Followed:
        begun = part.rows.t.clone()
        found, seconds = timed(lambda: follow(part, fields, head))
        made = (found.ends.steps - begun)[found.ended]
        one = trace.rounds[-1]
        if part.fine:
            one.fine_evaluations, one.fine_seconds = (
                one.fine_evaluations + found.evaluations,
                one.fine_seconds + seconds,
            )
        else:
            one.passes += head.steps if len(found.paused) else int(made.max()) + 1
            one.evaluations, one.step_seconds = one.evaluations + found.evaluations, one.step_seconds + seconds
        return found

    def timed_settle(search: Search) -> None:
        _, trace.rounds[-1].settle_seconds = timed(lambda: settle(search))

    Search._step, parts.follow, Search._settle = timed_step, timed_follow, timed_settle  # type: ignore[method-assign]
    try:
        yield trace
    finally:
        Search._step, parts.follow, Search._settle = step, follow, settle  # type: ignore[method-assign]
