"""A search in rounds, simulated event by event: parts go to free workers, everybody waits for the last, the coordinator settles alone.

The simulation admits and cuts by the rules of `separatrix.limitsets._search` and `._parts`, from the steps that measured orbits made, and takes its
times from measured rounds. It knows no dynamics: an orbit is a number of steps.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rounds import Round
from scipy.optimize import nnls

from separatrix.limitsets._statistical import sample_size
from separatrix.protocol import DEFAULT, Rounds

Steps = NDArray[np.int64]


@dataclass(frozen=True)
class Times:
    """Seconds, from measured rounds of one model on one core.

    Attributes:
        row: of a step of a row in a full batch.
        step: of a step of a part, however many rows it has.
        fine_row: of a step of a row in float64.
        fine: steps in float64 per orbit that has ended.
        settled: of the coordinator per round …
        ended: … per orbit that ended in it …
        joined: … and per row that is cut off and put back.
        sent: of the coordinator per part that is packed, sent, received and unpacked …
        byte: … and per byte.
        bytes: of a row under way, there and back.
    """

    row: float
    step: float
    fine_row: float
    fine: float
    settled: float
    ended: float
    joined: float
    sent: float
    byte: float
    bytes: int


@dataclass(frozen=True)
class Cluster:
    """Who computes.

    Attributes:
        workers: how many.
        jitter: standard deviation of the logarithm of the time of a part.
        slow: share of the parts that take ``times`` as long, because something else runs there.
        times: as long.
        lost: workers lost per worker and hour; each part that is lost is given again.
        again: seconds until a lost worker is replaced.
        reissue: a part that takes so many times the median is given to an idle worker as well; 0: never.
        restart: seconds until a worker is back that still computed what somebody else was quicker with when the round ended: it is ended then.
        overlap: the coordinator settles one half of the rows while the other is followed.
    """

    workers: int
    jitter: float = 0.1
    slow: float = 0.01
    times: float = 5.0
    lost: float = 0.01
    again: float = 60.0
    reissue: float = 3.0
    restart: float = 5.0
    overlap: bool = False


@dataclass
class Outcome:
    """What a simulated search took.

    Attributes:
        seconds: from the first start to the last settling.
        work: of one worker that never waits, in a batch that is always full.
        computed: that all workers together computed, those in vain included.
        waited: that workers waited for the last part of a round …
        alone: … and while the coordinator worked alone.
        rounds: how many.
        parts: of all rounds.
        largest: bytes that went to workers and back in one round at most.
    """

    workers: int
    seconds: float = 0.0
    work: float = 0.0
    computed: float = 0.0
    waited: float = 0.0
    alone: float = 0.0
    rounds: int = 0
    parts: int = 0
    largest: float = 0.0

    @property
    def efficiency(self) -> float:
        """Work over what the workers were there for."""
        return self.work / (self.seconds * self.workers)


def fitted(rounds: list[Round], sent: float, byte: float, row_bytes: int) -> Times:
    """Times from measured rounds, by least squares with coefficients that are not negative."""

    def fit(columns: list[list[float]], values: list[float]) -> list[float]:
        matrix = np.array(columns, dtype=float).T
        unit = np.abs(matrix).max(axis=0).clip(min=1e-300)
        found, _ = nnls(matrix / unit, np.array(values, dtype=float))
        return [float(one) for one in found / unit]

    rows = [one.fresh + one.carried for one in rounds]
    row, step = fit(
        [[one.evaluations for one in rounds], [one.passes for one in rounds]],
        [one.step_seconds for one in rounds],
    )
    settled, ended = fit([[1.0] * len(rounds), [one.ended for one in rounds]], [one.settle_seconds for one in rounds])
    (joined,) = fit([[float(many) for many in rows]], [max(one.joining_seconds, 0.0) for one in rounds])
    fine, all_ended = sum(one.fine_evaluations for one in rounds), max(sum(one.ended for one in rounds), 1)
    fine_row = sum(one.fine_seconds for one in rounds) / fine if fine else 0.0
    return Times(row, step, fine_row, fine / all_ended, settled, ended, joined, sent, byte, row_bytes)


def simulated(
    steps: Steps,
    times: Times,
    cluster: Cluster,
    *,
    rules: Rounds | None = None,
    guessed: bool | None = None,
    seed: int = 0,
) -> Outcome:
    """Search from orbits that make these steps, in the order of their admission.

    Args:
        rules: of the rounds.
        guessed: the search has a library and a sample first, as it has from ten thousand starts on.
    """
    rules, draw = rules or DEFAULT.rounds, np.random.default_rng(seed)
    recorded = DEFAULT.statistics.recorded
    sample = recorded + sample_size(DEFAULT.max_wrong)
    guessed = len(steps) >= DEFAULT.statistics.worth * sample if guessed is None else guessed
    ends = [recorded, sample, len(steps)] if guessed else [len(steps)]
    left = np.zeros(0, dtype=np.int64)  # steps that the orbits under way still make
    outcome, admitted, length, fine_rows = Outcome(cluster.workers), 0, rules.steps, 0
    outcome.work = float(steps.sum()) * times.row
    last = 0.0  # seconds of the coordinator alone in the round before
    away = 0  # workers that are started again
    while admitted < len(steps) or len(left):
        if admitted == ends[0] and not len(left) and len(ends) > 1:
            ends.pop(0)
        fresh = 0
        if admitted < len(steps) and (not admitted or len(left) <= rules.unsettled * admitted):
            wanted = rules.growth * admitted if admitted else rules.pilot
            fresh = max(0, min(wanted, rules.most_under_way - len(left), ends[0] - admitted))
        if not fresh and admitted == len(steps):
            length = min(2 * length, rules.longest)
        rows = np.concatenate([left, steps[admitted : admitted + fresh]])
        admitted += fresh
        size = rules.rows_in_a_part(len(rows))
        firsts = np.arange(0, len(rows), size)
        made = np.minimum(rows, length)
        lengths = times.row * np.add.reduceat(made, firsts) + times.step * np.maximum.reduceat(made, firsts)
        if fine_rows:  # each makes the steps of one round
            size = rules.rows_in_a_part(fine_rows)
            many = np.full(-(-fine_rows // size), size)
            many[-1] -= int(many.sum()) - fine_rows
            lengths = np.append(lengths, many * rules.steps * times.fine_row)
        stepped, computed, away = _round(lengths, cluster, draw, away)
        left = rows[rows > length] - length
        ended = len(rows) - len(left)
        fine_rows = round(ended * times.fine / rules.steps)
        sending = len(lengths) * times.sent + len(rows) * times.bytes * times.byte if cluster.workers > 1 else 0.0
        alone = times.settled + ended * times.ended + len(rows) * times.joined + sending
        if cluster.overlap:  # the halves take turns: what is longer shows, and the first settling has nothing beside it
            shown = max(stepped, last) if outcome.rounds else stepped
            outcome.seconds += shown
            outcome.alone += cluster.workers * (shown - stepped)
            last = alone
        else:
            outcome.seconds += stepped + alone
            outcome.alone += cluster.workers * alone
        outcome.waited += cluster.workers * stepped - computed
        outcome.computed += computed
        outcome.rounds, outcome.parts = outcome.rounds + 1, outcome.parts + len(lengths)
        outcome.largest = max(outcome.largest, float(len(rows) * times.bytes))
    outcome.seconds += last
    outcome.alone += cluster.workers * last
    return outcome


def _round(
    lengths: NDArray[np.float64], cluster: Cluster, draw: np.random.Generator, away: int
) -> tuple[float, float, int]:
    """Return the seconds until the last part is there, those that workers computed, and how many of them must start again."""
    taken = lengths * np.exp(cluster.jitter * draw.standard_normal(len(lengths)))
    taken[draw.random(len(lengths)) < cluster.slow] *= cluster.times
    lost = draw.random(len(lengths)) < 1 - np.exp(-cluster.lost * taken / 3600)
    if len(lengths) == 1:  # the coordinator follows it itself, because nobody else would have anything to do
        return float(taken[0]), float(taken[0]), 0
    at_once = max(cluster.workers - away, 0)
    free = [0.0] * min(at_once, len(lengths)) + [cluster.restart] * min(away, max(len(lengths) - at_once, 0))
    heapq.heapify(free)
    idle = at_once - len(free)  # those beyond have nothing to do, unless a part is given again
    computed, running = 0.0, []
    for part, seconds in enumerate(taken):
        at = heapq.heappop(free)
        if lost[part]:  # half-way, on average; the part begins anew where the worker is replaced or somebody is free
            computed += seconds / 2
            wait = 0.0 if free and free[0] <= at + seconds / 2 else cluster.again
            end = at + seconds / 2 + wait + seconds
        else:
            end = at + seconds
        running.append((at, end))
        heapq.heappush(free, end)
    median = float(np.median(taken))
    ends, longer = [], []
    for (begun, end), usual in zip(running, lengths, strict=True):
        spare = idle > 0 or min(free) < end
        if cluster.reissue and spare and end - begun > cluster.reissue * median:
            again = max(begun + cluster.reissue * median, 0.0 if idle > 0 else min(free)) + usual
            computed += min(end, again) - begun + max(0.0, min(end, again) - (again - usual))
            ends.append(min(end, again))
            longer.append(max(end, again))
        else:
            computed += end - begun
            ends.append(end)
    over = max(ends)
    return over, computed, min(sum(end > over for end in longer), cluster.workers)


def without_accidents(cluster: Cluster) -> Cluster:
    """The same, on machines that never differ, slow down or go."""
    return replace(cluster, jitter=0.0, slow=0.0, lost=0.0)
