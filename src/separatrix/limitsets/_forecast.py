"""A forecast tells what a search will cost before it begins: evaluations, seconds, memory and disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked, not_negative
from separatrix.field import LatentField, memory_per_orbit, require_self_map
from separatrix.limitsets._ledger import Ledger
from separatrix.limitsets._sets import LimitSets
from separatrix.limitsets._statistical import sample_size
from separatrix.limitsets._trial import Trial, trial
from separatrix.numerics._tails import mean_with_tail
from separatrix.orbits._pool import Rows
from separatrix.protocol import DEFAULT, Protocol, Statistics
from separatrix.starts import Starts, as_starts
from separatrix.words import Readable, counted, duration, percent
from separatrix.work import resident

_LEVEL = 1.645  # normal quantile: nine of ten lie within
_ERROR = 0.25  # logarithmic standard deviation of the evaluations foretold, beside the sampling of steps (benchmarks/plan.py) …
_PACE_ERROR = 0.25  # … and of the seconds of one
_WORKERS = (1, 2, 10, 100, 1000)
_SLOWER = 1.5  # a model that is this many times slower at the end of the trial slows down
_NAMING = 1.05  # what moves for ever is named at a twentieth of the evaluations at most
_WITH_GRADIENTS = 2.5  # memory of a pass that keeps what derivatives need, and of the scratch of its kernels, in units of one that does not
_FINISHING = 128  # bytes per start that are alive for a while when the result is put together


@dataclass(frozen=True)
class Estimate:
    """It is a number that is expected, with two between which it lies in nine cases of ten."""

    expected: float
    low: float
    high: float

    def __mul__(self, factor: float) -> Estimate:
        return Estimate(self.expected * factor, self.low * factor, self.high * factor)

    def __add__(self, other: float) -> Estimate:
        return Estimate(self.expected + other, self.low + other, self.high + other)


@dataclass(frozen=True, kw_only=True, repr=False)
class Forecast(Readable):
    """It tells what a search will cost.

    Attributes:
        starts: of the search.
        evaluations: all work, in map evaluations.
        most: evaluations that it cannot exceed, where every orbit takes its whole budget; polishing of sets comes on top.
        seconds: for one process as this one.
        serial: of these seconds, those in which rows are too few to be shared out, or only the coordinator works.
        sets: limit sets that will be known, as far as those that were reached once or twice tell.
        sampled: starts that will be ended by what a sample did (`separatrix.limitsets._statistical`); 0 where nothing is guessed.
        coordinator: bytes of memory of the process that searches, its model and what was resident before included.
        worker: bytes of memory of a process that only makes steps.
        result: bytes of the result on disk …
        checkpoint: … and of the state of the search that is stored while it runs.
        looked: starts of the trial that this rests on …
        open: … and the share of them that had reached nothing when their budget ended; they are counted with all of theirs.
        slowdown: how many times slower the model was after the trial than before.
        cost: evaluations of the trial, timings included …
        spent: … and its seconds.
    """

    _facts: ClassVar[tuple[str, ...]] = ("seconds_by_workers", "sentence")

    starts: int
    evaluations: Estimate
    most: float
    seconds: Estimate
    serial: float
    sets: float
    sampled: int
    coordinator: int
    worker: int
    result: int
    checkpoint: int
    looked: int
    open: float
    slowdown: float
    cost: float
    spent: float

    def __repr__(self) -> str:
        return f"Forecast({self.sentence.partition(';')[0]})"

    @checked
    def seconds_with(self, workers: int) -> Estimate:
        """Return the seconds with so many workers as this process, if nothing is lost between them (docs/scale.md has what is)."""
        return (self.seconds + -self.serial) * (1 / workers) + self.serial

    @property
    def seconds_by_workers(self) -> dict[str, Estimate]:
        """They are the same for 1 to 1000 workers."""
        return {f"{workers}": self.seconds_with(workers) for workers in _WORKERS}

    @property
    def sentence(self) -> str:
        """Say it in words, and what must be known of it."""
        work, time = self.evaluations, self.seconds
        parts = [
            f"about {_count(work.expected)} map evaluations for {counted(self.starts, 'start')} ({_count(work.low)} to {_count(work.high)}), "
            f"{duration(time.expected)} on one worker ({duration(time.low)} to {duration(time.high)})"
        ]
        if self.open:
            parts.append(
                f"{percent(self.open)} of {counted(self.looked, 'orbit')} looked at reached nothing and may take their whole budget; "
                f"more than {_count(self.most)} evaluations are not possible"
            )
        if self.slowdown > _SLOWER:
            parts.append(
                f"the model became {self.slowdown:.1f} times slower while it was looked at, and may become slower still"
            )
        return "; ".join(parts)


@checked
def forecast(
    field: LatentField,
    starts: Starts | Tensor,
    protocol: Protocol | str | None = None,
    *,
    batch_size: int | None = None,
    seconds: float = 60.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Forecast:
    """Foretell what `find_attractors` will cost, from a small search of a few starts drawn at random and the time of full batches.

    It finds nothing that counts, and stores nothing. Intervals are for nine searches of ten, from the spread of the steps and the error that
    forecasts had in `benchmarks/plan.py`. Orbits that do not settle are given the whole budget of the protocol, which is what they take.

    Args:
        field: the latent field.
        starts: as for `find_attractors`; there may be more than the memory of this machine holds.
        protocol: the same rules as in the search.
        batch_size: most latents in one network pass; by a fixed rule if not given.
        seconds: about how long the look may take. With less, it looks at fewer and shorter orbits, and the interval is wider.
        clock: seconds are told by it.

    Raises:
        FieldError: the model is not a deterministic self-map.
        InputError: bad starts or options.

    Cost: a twentieth of the starts, but 16 at least and 1024 at most, are searched from: 5 to 15 % of a search of a thousand starts, less than
    1 % of one of a million. ``Forecast.cost`` says how much it was.

    >>> field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), dtype=torch.float64)
    >>> seen = forecast(field, torch.linspace(-1, 1, 400, dtype=torch.float64).reshape(200, 2))
    >>> seen.looked, seen.sampled, seen.open, seen.most
    (16, 0, 0.0, 4200210.0)
    >>> seen.evaluations.low < seen.evaluations.expected < seen.evaluations.high
    True
    """
    not_negative("seconds", seconds)
    field, rules, source = LatentField.of(field).with_batch_size(batch_size), Protocol.of(protocol), as_starts(starts)
    here = resident()
    few = source.rule.rows(field, source.first, source.first + min(4, len(source)))
    require_self_map(field, few)
    seen = trial(field, source, rules, seconds, clock)
    most = _NAMING * len(source) * (rules.max_steps + 1)
    evaluations, sets, sampled = _evaluations(seen, rules, len(source), seen.steps)
    if bool(seen.open.any()):
        # How long they would have gone on nobody knows: between what they made and all that they may.
        least, _, _ = _evaluations(seen, rules, len(source), seen.limits.orbits.steps.to(torch.float64) + 1)
        whole, _, _ = _evaluations(seen, rules, len(source), seen.steps.where(~seen.open, rules.max_steps + 1.0))
        evaluations = Estimate(evaluations.expected, least.low, whole.high)
    top = most + sets * seen.limits.cost.total  # no trial takes more for one set than for all of its own
    evaluations = Estimate(*(min(one, top) for one in (evaluations.expected, evaluations.low, evaluations.high)))
    spent, serial = _seconds(seen, rules, len(source), evaluations, sampled)
    return Forecast(
        starts=len(source),
        evaluations=evaluations,
        most=most,
        seconds=spent,
        serial=serial,
        sets=sets,
        sampled=sampled,
        **_bytes(field, few, len(source), sets, sampled, seen.limits, rules, here),
        looked=len(seen.steps),
        open=float(seen.open.double().mean()),
        slowdown=seen.slowdown,
        cost=seen.evaluations,
        spent=seen.spent,
    )


# -- evaluations -----------------------------------------------------------------------------------------------------------


def _evaluations(seen: Trial, rules: Protocol, count: int, steps: Tensor) -> tuple[Estimate, float, int]:
    """Return all evaluations, the number of sets, and of starts that are guessed. ``steps`` ``(n,)`` are evaluations per orbit of the trial."""
    followed = steps[seen.followed]
    extra = steps[seen.first].mean() - followed.mean() if len(seen.first) else followed.new_zeros(())
    statistics: Statistics = rules.statistics
    certain = count if not len(seen.guessed) else statistics.recorded + sample_size(rules.max_wrong, statistics)
    guessed = count - certain
    known, sets = len(seen.limits), _sets(seen.limits.labels, count)
    beside = max(seen.limits.cost.total - float((seen.limits.orbits.steps + 1).sum()), 0.0) / max(known, 1)
    parts = [(float(certain), followed)] + ([(float(guessed), steps[seen.guessed])] if guessed else [])
    means = [mean_with_tail(of, rules.max_steps + 1) for _, of in parts]
    orbits, at_most = (
        sum(many * mean[which] for (many, _), mean in zip(parts, means, strict=True)) for which in (0, 1)
    )
    error = math.sqrt(sum((many * float(of.std()) / math.sqrt(len(of))) ** 2 for many, of in parts if len(of) > 1))
    expected = orbits + min(rules.rounds.pilot, count) * max(float(extra), 0.0) + sets * beside
    factor = math.exp(_LEVEL * math.hypot(error / max(orbits, 1.0), _ERROR))
    return Estimate(expected, expected / factor, max(expected * factor, expected + at_most - orbits)), sets, guessed


def _sets(labels: Tensor, count: int) -> float:
    """Estimate how many limit sets so many starts reach, from the numbers of sets that the trial reached once and twice.

    Chao et al., Ecological Monographs 84 (2014), eq. 9: f₀ = f₁(f₁ − 1)/2(f₂ + 1) are unseen, and found at the rate of those seen once.

    >>> _sets(torch.tensor([0, 0, 0, 1, 1, 2]), 1000), _sets(torch.tensor([0, 1, 2, 3]), 40)
    (3.0, 9.9...)
    """
    hits = torch.bincount(labels[labels >= 0])
    once, twice, n = int((hits == 1).sum()), int((hits == 2).sum()), len(labels)
    unseen = once * (once - 1) / (2 * (twice + 1))
    if not unseen:
        return float(len(hits))
    return len(hits) + unseen * (1 - (1 - once / (n * unseen + once)) ** (count - n))


# -- seconds ---------------------------------------------------------------------------------------------------------------


def _seconds(seen: Trial, rules: Protocol, count: int, evaluations: Estimate, sampled: int) -> tuple[Estimate, float]:
    """Return the seconds, and those that cannot be shared out: what the trial took beside its evaluations in full batches, once per admission.

    Rounds of few rows, polishing and float64 are what a small search mostly is; a large one has them once per round of admissions.
    """
    row = max(seen.before.row, seen.after.row)
    beside = max(seen.seconds - row * seen.limits.cost.total, 0.0)
    serial = (
        beside
        * _admissions(rules, count, rules.rounds.pilot)
        / _admissions(rules, len(seen.limits.labels), len(seen.first))
    )
    looks = (
        seen.look * sampled * _looks(float(seen.limits.orbits.steps[seen.guessed].double().mean())) if sampled else 0.0
    )
    factor = math.exp(_LEVEL * _PACE_ERROR)
    parallel = evaluations * row + (looks + count * seen.draw)
    return Estimate(
        parallel.expected + serial,
        (parallel.low + serial) / factor,
        (parallel.high + serial) * factor * max(seen.slowdown, 1.0),
    ), serial


def _admissions(rules: Protocol, count: int, pilot: int) -> float:
    """Count how often starts join a search, each time ``growth`` times as many as are there."""
    return 1 + math.log(max(count / max(pilot, 1), 1.0)) / math.log(1 + rules.rounds.growth)


def _looks(steps: float, statistics: Statistics = DEFAULT.statistics) -> int:
    return sum(look <= steps for look in statistics.looks)


# -- bytes -----------------------------------------------------------------------------------------------------------------


def _bytes(
    field: LatentField,
    few: Tensor,
    count: int,
    sets: float,
    sampled: int,
    limits: LimitSets,
    rules: Protocol,
    here: int,
) -> dict[str, int]:
    """Return the memory of both kinds of processes, and of the disk."""
    wide = few[:1].to(torch.float64)
    ledger = _size(Ledger.blank(1, wide))
    row = _size(Rows.fresh(torch.zeros(1, dtype=torch.int64, device=wide.device), wide, rules))
    under_way = min(
        count, rules.rounds.most_under_way, max(rules.rounds.pilot, rules.rounds.numbers_under_way // field.latent_dim)
    )
    of_set = (_size(limits) - _size(limits.orbits) - _size(limits.labels)) / max(len(limits), 1)
    dense = (
        3 * 8 * field.latent_dim**2 if field.latent_dim <= rules.polishing.dense_limit else 0
    )  # Jacobian, norm, its root
    weights = sum(p.numel() * 8 for module in field.modules for p in module.parameters())  # the copy in float64
    single = (memory_per_orbit(field, few) or 0) * (8 // field.dtype.itemsize) if len(few) > 1 else 0
    batch = single * field.batches.size
    worker = here + weights + 2 * batch + int(sets * (of_set + dense))
    polished = min(sets * field.latent_dim**2, float(rules.polishing.numbers_together)) * 4 * 8 if dense else 0.0
    library = rules.statistics.points * 2048 * 8 if sampled else 0
    return {
        "coordinator": int(
            worker
            + (_WITH_GRADIENTS - 2) * batch
            + polished
            + count * (ledger + _FINISHING)
            + 2 * under_way * row
            + library
        ),
        "worker": int(worker),
        "result": int(count * (_size(limits.orbits) + _size(limits.labels)) / len(limits.labels) + sets * of_set),
        "checkpoint": int(count * ledger + under_way * row + sets * (of_set + dense)),
    }


def _size(value: Any) -> int:
    """Count the bytes of all tensors in a record."""
    if isinstance(value, Tensor):
        return value.nbytes
    if is_dataclass(value):
        return sum(_size(getattr(value, one.name)) for one in fields(value))
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return 0


# -- words -----------------------------------------------------------------------------------------------------------------


def _count(number: float) -> str:
    """Write a large number with two digits.

    >>> _count(1234.0), _count(35_479.0), _count(2.1e9)
    ('1,200', '35,000', '2,100,000,000')
    """
    digits = max(0, math.floor(math.log10(max(number, 1.0))) - 1)
    return f"{round(number / 10**digits) * 10**digits:,}"
