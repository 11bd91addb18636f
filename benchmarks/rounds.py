"""The rounds of searches while they run: rows, steps, evaluations and seconds of each, seen from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from separatrix.limitsets._search import Search


@dataclass
class Round:
    """One round. Seconds are processor time.

    Attributes:
        fresh: starts that were admitted.
        carried: rows of the round before, in the model's precision.
        confirmed: rows in float64.
        steps: that a row may make.
        evaluations: of the rows in the model's precision …
        fine_evaluations: … and of those in float64.
        step_seconds: to follow the rows in the model's precision …
        fine_seconds: … and those in float64.
        settle_seconds: from there to the next round.
        ended: orbits that ended, of both kinds.
    """

    fresh: int = 0
    carried: int = 0
    confirmed: int = 0
    steps: int = 0
    evaluations: int = 0
    fine_evaluations: int = 0
    step_seconds: float = 0.0
    fine_seconds: float = 0.0
    settle_seconds: float = 0.0
    ended: int = 0


@dataclass
class Trace:
    """All rounds of the searches in the block."""

    rounds: list[Round] = field(default_factory=list)


@contextmanager
def traced() -> Iterator[Trace]:
    """Write down every round of every search in the block."""
    trace = Trace()
    step, advance, settle = Search._step, Search._advance, Search._settle

    def timed_step(search: Search) -> None:
        trace.rounds.append(Round(search.fresh, len(search.native), len(search.claimants)))
        step(search)
        trace.rounds[-1].steps, trace.rounds[-1].ended = search.round, len(search.ended)

    def timed_advance(search: Search, latent: Any, *further: Any) -> Any:
        one, before = trace.rounds[-1], search.evaluations
        result, seconds = _timed(lambda: advance(search, latent, *further))
        kind = "fine_" if latent is search.fine and latent is not search.transit else ""
        setattr(one, f"{kind}evaluations", getattr(one, f"{kind}evaluations") + search.evaluations - before)
        name = f"{kind or 'step_'}seconds"
        setattr(one, name, getattr(one, name) + seconds)
        return result

    def timed_settle(search: Search) -> None:
        trace.rounds[-1].settle_seconds = _timed(lambda: settle(search))[1]

    Search._step, Search._advance, Search._settle = timed_step, timed_advance, timed_settle  # type: ignore[method-assign]
    try:
        yield trace
    finally:
        Search._step, Search._advance, Search._settle = step, advance, settle  # type: ignore[method-assign]


def _timed(function: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.process_time()
    result = function()
    return result, time.process_time() - begin
