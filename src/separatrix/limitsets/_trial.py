"""A trial is the search itself on a few of the starts, timed, so that the cost of all of them can be foretold.

What a search costs cannot be read off single orbits. Most end long before they rest, because others have shown where they go, and from ten
thousand starts on most end by a library of what a sample did. So the trial is no model of the search but a small one, by the same rules, in
which the parts have the same roles: orbits that go first and walk to their ends, orbits that are captured, and, in a search that guesses,
a library, a sample and the rest. The starts are drawn at random from all, so that sorted ones deceive nobody.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from separatrix.errors import ConvergenceWarning
from separatrix.field import LatentField
from separatrix.limitsets._find import find_attractors
from separatrix.limitsets._sets import LimitSets
from separatrix.limitsets._statistical import Library, pays, sample_size
from separatrix.numerics.counter_random import SELECTION, uniform
from separatrix.orbits import Status, run_orbits
from separatrix.orbits._glance import GLANCE_STARTS, glance
from separatrix.orbits._looks import steps_between
from separatrix.orbits._pool import width_for
from separatrix.protocol import DEFAULT, Protocol
from separatrix.starts import Starts, points

_T = TypeVar("_T")
_SHARE = 20  # one of so many starts is in the trial …
_FEWEST, _MOST = 16, 1024  # … but at least, and at most, so many
_FEWEST_STEPS = 256  # that an orbit of the trial may make, however slow the model is
_PILOT_SHARE = 8  # one of so many orbits of the trial goes first
_LIBRARY_SHARE, _SAMPLE_SHARE = 4, 2.5  # where a search guesses: a quarter is the library, two fifths are the sample
_INSTANT = 1e-9  # seconds: what a clock cannot tell from nothing
_PHASES = 3  # times that orbits which never settle are followed one after the other
_DRAWN = 64  # starts whose making is timed
_TIMED = 4  # steps of the batch that is timed …
_TIMED_ROWS = 256  # … of so many rows, where the network takes as many at once, or of the share above
_LOOKED = 256  # rows of the library's look that is timed


@dataclass(frozen=True)
class Pace:
    """It tells the seconds of one step of one row in full batches, and of one step of a batch of eight."""

    row: float
    small: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """It tells what a small search did.

    Attributes:
        limits: its result.
        steps: ``(n,)`` float64, evaluations of each orbit. Those that reached nothing in time have what their last rate says, or the whole budget.
        open: ``(n,)`` bool, it reached nothing, however long it was followed.
        first: its orbits that went first, before anything was known.
        followed: those that came later and were followed to a certain capture, or to their end.
        guessed: those that earlier orbits could end; none in a search that guesses nothing.
        seconds: of the search alone.
        before, after: pace of the model before it and after it.
        look: seconds of one look of one orbit into a library of full size; 0 where nothing is guessed.
        draw: seconds that one start takes to be made.
        evaluations: all of this, timings included …
        spent: … and its seconds.
    """

    limits: LimitSets
    steps: Tensor
    open: Tensor
    first: Tensor
    followed: Tensor
    guessed: Tensor
    seconds: float
    before: Pace
    after: Pace
    look: float
    draw: float
    evaluations: float
    spent: float

    @property
    def slowdown(self) -> float:
        """Return by what factor the model was slower at the end."""
        return self.after.row / self.before.row


def trial(field: LatentField, source: Starts, protocol: Protocol, seconds: float, clock: Callable[[], float]) -> Trial:
    """Search from a few of the starts, in about ``seconds`` at most.

    Cost: about a twentieth of the search that is planned, for which it is long; see `separatrix.limitsets.forecast`.
    """
    begin = clock()
    block = min(len(source), _DRAWN)
    made, drawn = _timed(field, clock, lambda: source.rule.rows(field, source.first, source.first + block))
    few = points(made[:GLANCE_STARTS])
    glance(field, few)  # the first batch pays for what is loaded and compiled once
    seen, glanced = _timed(field, clock, lambda: glance(field, few))
    small = glanced / seen.passes
    before, timed = _pace(field, made, len(source), small, clock, times=2)
    count, steps = _affordable(before, _wanted(len(source)), protocol.max_steps, seconds)
    z = _drawn(field, source, count)
    rules = _rules(protocol, len(source), field.latent_dim, count, steps)
    limits, spent = _timed(field, clock, lambda: _searched(field, z, rules))
    work, left = limits.cost.total, seconds - (clock() - begin)
    # What was still on its way is searched for longer where there is time for all of that once more and for what it may take alone.
    further = int((left - spent) / (small + before.row * max(int(_open(limits).sum()), 1)))
    if bool(_open(limits).any()) and further >= steps < protocol.max_steps:
        rules = replace(rules, max_steps=min(protocol.max_steps, steps + further))
        limits, spent = _timed(field, clock, lambda: _searched(field, z, rules))
        work += limits.cost.total
    after, again = _pace(field, made, len(source), small, clock, times=1)
    first, certain, guessed = _roles(rules, len(z), field.latent_dim)
    return Trial(
        limits=limits,
        steps=_lengths(limits, protocol),
        open=_open(limits),
        first=first,
        followed=certain,
        guessed=guessed,
        seconds=spent,
        before=before,
        after=after,
        look=_look(z, clock) if len(guessed) else 0.0,
        draw=drawn / block,
        evaluations=2 * seen.evaluations + timed + again + work,
        spent=clock() - begin,
    )


def _wanted(count: int) -> int:
    """Return the starts of the trial for a search of so many.

    >>> [_wanted(count) for count in (10, 1000, 30_000, 10**9)]
    [10, 50, 1024, 1024]
    """
    return min(count, max(_FEWEST, min(_MOST, count // _SHARE)))


def _searched(field: LatentField, z: Tensor, rules: Protocol) -> LimitSets:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return find_attractors(field, points(z), rules)


def _open(limits: LimitSets) -> Tensor:
    """Return which orbits reached nothing and made all steps that they were allowed."""
    return (limits.labels < 0) & (limits.orbits.steps >= limits.protocol.max_steps)


def _lengths(limits: LimitSets, protocol: Protocol) -> Tensor:
    """Return the evaluations of each orbit; of an open one what its last rate says, its whole budget where that says nothing."""
    orbits, whole = limits.orbits, float(protocol.max_steps + 1)
    made = orbits.steps.to(torch.float64) + 1
    error = orbits.residual / (1 - orbits.rate)
    missing = (error / (protocol.tolerance * orbits.spread)).log().clamp(min=0.0) / -orbits.rate.log()
    told = (orbits.status == int(Status.BUDGET)) & missing.isfinite() & (limits.protocol.max_steps < protocol.max_steps)
    # Of what is no geometric decay no rate says when it ends.
    return (made + missing).clamp(max=whole).where(told, whole).where(_open(limits), made)


def _affordable(pace: Pace, count: int, steps: int, seconds: float) -> tuple[int, int]:
    """Return the starts and steps of the trial: fewer steps, and only then fewer starts, where even orbits that never settle must end in time.

    >>> _affordable(Pace(1e-4, 1e-3), 50, 20_000, 60.0), _affordable(Pace(0.1, 0.5), 1024, 20_000, 60.0)
    ((50, 3333), (16, 256))
    """
    passes = max(seconds, 0.0) / _PHASES
    least = max(1, int((passes / _FEWEST_STEPS - pace.small) / pace.row))  # rows whose pass takes so long
    count = max(min(count, least), min(count, _FEWEST))
    possible = int(passes / (pace.small + pace.row * count))
    return count, min(steps, max(_FEWEST_STEPS, possible))


def _drawn(field: LatentField, source: Starts, count: int) -> Tensor:
    """Draw starts at random, one from each of so many equal parts of all."""
    share = (np.arange(count) + uniform(SELECTION, first=0, count=count, width=1)[:, 0]) / count
    index = [int(one * len(source)) for one in share.tolist()]
    # not `Starts.block`, which asks whether the ends of all starts have room: that is for the forecast to tell
    return torch.cat([source.rule.rows(field, source.first + i, source.first + i + 1) for i in index])


def _rules(protocol: Protocol, total: int, latent_dim: int, count: int, steps: int) -> Protocol:
    """Return the protocol of the trial, in which each part of the search has its share of the starts. Nothing is audited, which a few orbits
    of so few would dominate."""
    rounds = replace(protocol.rounds, pilot=max(1, min(protocol.rounds.pilot, count // _PILOT_SHARE)))
    rules = replace(protocol, max_steps=steps, audit=0.0, rounds=rounds)
    if not protocol.capture or not pays(total, latent_dim, protocol.max_wrong, protocol.statistics):
        return replace(rules, max_wrong=0.0)
    # The sample is as large as the claim needs, so a claim that needs so many is what the trial makes.
    sample = int(count / _SAMPLE_SHARE)
    wrong = min(0.5, -math.log((1 - protocol.statistics.level) / 2) * protocol.statistics.sample_margin / sample)
    statistics = replace(protocol.statistics, recorded=max(1, count // _LIBRARY_SHARE), worth=1.0, alone=1.0)
    return replace(rules, max_wrong=max(wrong, protocol.max_wrong), statistics=statistics)


def _roles(rules: Protocol, count: int, latent_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return which orbits went first, which were followed, and which could be guessed."""
    order = torch.arange(count)
    certain = count
    if pays(count, latent_dim, rules.max_wrong, rules.statistics):
        order = torch.from_numpy(uniform(SELECTION, first=0, count=count, width=1)[:, 0]).argsort(stable=True)
        certain = rules.statistics.recorded + sample_size(rules.max_wrong, rules.statistics)
    pilot = min(rules.rounds.pilot, count - 1)
    return order[:pilot], order[pilot:certain], order[certain:]


def _pace(
    field: LatentField, z: Tensor, total: int, small: float, clock: Callable[[], float], times: int
) -> tuple[Pace, int]:
    """Measure the pace of full batches, judged as in a search, the quickest of so many; and what that cost."""
    block = steps_between(field.device)
    wide = width_for(field) if block > 1 else max(min(field.batches.size, _TIMED_ROWS), total // _SHARE)
    rows = min(total, wide, width_for(field))
    batch, steps = z.repeat(-(-rows // len(z)), *[1] * (z.ndim - 1))[:rows], max(_TIMED, block) - 1
    rules = Protocol(max_steps=steps)
    found = [_timed(field, clock, lambda: run_orbits(field, points(batch), rules)) for _ in range(times)]
    cost = sum(int(orbits.cost.total) for orbits, _ in found)
    return Pace(max(min(spent / orbits.cost.total for orbits, spent in found), _INSTANT), small), cost


def _look(z: Tensor, clock: Callable[[], float]) -> float:
    """Measure the seconds of one look of one orbit at a library of full size: points that are not there cost as much as any."""
    size = DEFAULT.statistics.points
    passed = torch.randn(size, z[0].numel(), generator=torch.Generator().manual_seed(0)).to(z)
    library = Library(passed, torch.zeros(size, dtype=torch.int64, device=z.device), torch.ones_like(passed[:, 0]))
    asked = passed[:_LOOKED]
    library.look(asked)
    begin = clock()
    library.look(asked)
    return (clock() - begin) / len(asked)


def _timed(field: LatentField, clock: Callable[[], float], work: Callable[[], _T]) -> tuple[_T, float]:
    """Return what the work gives, and its seconds, to the end of what the device was given."""
    begin = clock()
    result = work()
    if field.device.type == "cuda":
        torch.cuda.synchronize(field.device)
    return result, clock() - begin
