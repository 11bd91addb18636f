"""Forecasts: right on maps whose cost is known, honest where nothing settles, and not deceived by inputs that lie."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import separatrix as sx
from separatrix.errors import ConvergenceWarning, FieldError, InputError
from separatrix.limitsets import Forecast, forecast
from separatrix.limitsets._forecast import _sets
from separatrix.limitsets._statistical import sample_size
from separatrix.limitsets._trial import trial
from separatrix.protocol import DEFAULT
from separatrix.studies import diagnose
from separatrix.testing import oracles

DTYPE = torch.float64


class Clock:
    """Seconds that the test decides: every evaluation of the map takes ``pace`` of them, and whoever asks moves nothing."""

    def __init__(self, pace: float = 1e-3) -> None:
        self.now, self.pace = 0.0, pace

    def __call__(self) -> float:
        return self.now

    def field(self, function, dim, slower=1.0):
        """A map each row of which takes its time, every call ``slower`` times as long as the one before."""

        def step(z):
            self.now += self.pace * len(z)
            self.pace *= slower
            return function(z)

        return sx.LatentField.from_map(step, (dim,), dtype=DTYPE)


def slow_passage(count):
    """z ↦ z + z³(1 − z): P(T > t) ~ t^−1/2, up to the budget."""
    field = sx.LatentField.from_map(lambda z: z + z.pow(3) * (1 - z), (1,), dtype=DTYPE)
    return SimpleNamespace(field=field, starts=sx.starts.box(count, 0, 1, seed=0).block(field, 0, count))


def measured(field, starts, protocol=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return sx.find_attractors(field, starts, protocol)


@pytest.mark.parametrize(
    "oracle",
    [
        pytest.param(lambda: oracles.hopfield(count=1000), id="attractors"),
        pytest.param(lambda: oracles.late_fork(count=400), id="late fork"),
        pytest.param(lambda: oracles.newton_cube_roots(count=2000), id="fractal basins"),
        pytest.param(lambda: slow_passage(600), id="heavy tail", marks=pytest.mark.slow),
        pytest.param(lambda: oracles.invariant_curve(count=160), id="closed curve"),
    ],
)
def test_the_interval_holds_what_the_search_then_takes(oracle):
    known = oracle()
    seen = forecast(known.field, known.starts)
    found = measured(known.field, known.starts)
    assert seen.evaluations.low <= found.cost.total <= seen.evaluations.high
    assert found.cost.total <= seen.most
    assert seen.open == 0


def test_where_nothing_settles_every_orbit_has_its_whole_budget_and_it_is_said():
    known, rules = oracles.henon(count=100), sx.Protocol(max_steps=400)
    seen = forecast(known.field, known.starts, rules)
    found = measured(known.field, known.starts, rules)
    assert seen.open == 1.0
    assert "100 % of 16 orbits looked at reached nothing and may take their whole budget" in seen.sentence
    assert seen.evaluations.expected == pytest.approx(found.cost.total, rel=0.06)
    assert found.cost.total <= seen.evaluations.high <= seen.most * 1.2


def test_a_trial_that_must_stop_early_does_not_take_chaos_for_rest():
    """With no time the trial makes 256 steps; what it saw moving is counted with 20,000 each."""
    known = oracles.henon(count=100)
    seen = forecast(known.field, known.starts, seconds=0.0)
    assert seen.cost < 100 * 400
    assert seen.evaluations.expected == pytest.approx(100 * 20_001, rel=0.06)
    assert seen.evaluations.high >= 100 * 20_001


def test_what_never_settles_is_counted_with_every_evaluation_of_its_budget_and_no_more():
    """A budget of 500 steps is 501 evaluations: the last one tells where the last step leads."""
    known = oracles.henon(count=100)
    seen = trial(known.field, sx.starts.as_starts(known.starts), sx.Protocol(max_steps=500), 0.0, lambda: 0.0)
    assert bool(seen.open.all())
    assert seen.steps.unique().tolist() == [501.0]


def test_algebraic_decay_is_not_extrapolated_as_if_it_were_geometric():
    known, rules = oracles.neutral_tanh(count=40), sx.Protocol(max_steps=1000)
    seen = forecast(known.field, known.starts, rules, seconds=0.0)
    assert seen.evaluations.expected >= measured(known.field, known.starts, rules).cost.total / 1.1


def test_slow_geometric_rest_is_extrapolated_from_its_rate():
    """At ρ = 0.98 an orbit needs some 500 steps; the trial, cut at 256, says so without making them."""
    field = sx.LatentField.from_map(lambda z: 0.98 * z, (1,), dtype=DTYPE)
    starts = sx.starts.box(200, 1.0, 2.0, seed=0)
    seen, found = forecast(field, starts, seconds=0.0), measured(field, starts)
    assert seen.open == 1.0
    assert seen.evaluations.low <= found.cost.total <= seen.evaluations.high
    # residual .02·1.5·.98²⁵⁶, tolerance 1e-5 of the spread 1/√12: 256 + 394 steps
    assert seen.evaluations.expected / 200 == pytest.approx(650, rel=0.05)


def test_a_few_slow_orbits_are_searched_for_longer_while_there_is_time():
    """A tenth of the starts creeps at ρ = 0.99 for some 1200 steps: longer than all orbits of the trial may, but not than these few may."""
    clock = Clock(1e-4)

    def step(z):
        return torch.cat([z[:, :1], torch.where(z[:, :1] > 0.9, 0.99, 0.1) * z[:, 1:]], dim=1)

    field = clock.field(step, 2)
    starts = torch.cat([torch.linspace(0, 1, 400, dtype=DTYPE)[:, None], torch.ones(400, 1, dtype=DTYPE)], dim=1)
    rules = sx.Protocol(capture=False, max_steps=5000)
    seen, found = forecast(field, starts, rules, seconds=6.0, clock=clock), measured(field, starts, rules)
    assert seen.open == 0
    assert seen.evaluations.low <= found.cost.total <= seen.evaluations.high


def test_starts_sorted_by_difficulty_deceive_nobody():
    """The first nine tenths end at once, the last take hundreds of steps: whoever looked at the first would see none of those."""

    def step(z):
        hard = z[:, :1] > 0.5
        return torch.cat([z[:, :1], torch.where(hard, 0.95, 0.1) * z[:, 1:]], dim=1)

    field = sx.LatentField.from_map(step, (2,), dtype=DTYPE)
    easy, hard = torch.tensor([[0.0, 1.0]], dtype=DTYPE), torch.tensor([[1.0, 1.0]], dtype=DTYPE)
    jitter = sx.starts.box(400, [0.0, 0.0], [0.0, 0.5], seed=0).block(field, 0, 400)
    starts = torch.cat([easy.expand(360, 2), hard.expand(40, 2)]) + jitter
    seen, found = forecast(field, starts), measured(field, starts)
    assert seen.evaluations.low <= found.cost.total <= seen.evaluations.high
    assert forecast(field, starts[:360]).evaluations.high < seen.evaluations.expected


def test_seconds_are_those_of_full_batches_after_the_first():
    """The first call takes a minute, as if it had to compile; every other row a millisecond."""
    clock = Clock()
    calls = []

    def step(z):
        clock.now += 0.0 if calls else 60.0
        calls.append(len(z))
        return torch.tanh(2 * z)

    field = clock.field(step, 1)
    starts = sx.starts.box(1000, -1, 1, seed=0)
    seen = forecast(field, starts, clock=clock)
    begin = clock.now
    measured(field, starts)
    assert seen.seconds.low <= clock.now - begin <= seen.seconds.high
    assert seen.seconds.expected < 60
    assert seen.slowdown == pytest.approx(1)


def test_a_model_that_slows_down_is_noticed():
    clock = Clock()
    steady = forecast(clock.field(lambda z: torch.tanh(2 * z), 1), sx.starts.box(400, -1, 1, seed=0), clock=clock)
    tired = Clock()
    slower = tired.field(lambda z: torch.tanh(2 * z), 1, slower=1.02)
    seen = forecast(slower, sx.starts.box(400, -1, 1, seed=0), clock=tired)
    assert seen.slowdown > 1.5
    assert "times slower while it was looked at" in seen.sentence
    assert "slower" not in steady.sentence
    assert seen.seconds.high / seen.seconds.expected > 1.4 * steady.seconds.high / steady.seconds.expected
    for slowdown, said in ((1.4, False), (1.6, True)):
        assert ("slower while it was looked at" in replace(steady, slowdown=slowdown).sentence) == said


def test_seconds_have_the_interval_of_their_evaluations_and_of_the_pace_and_nothing_is_taken_off():
    """Seconds are a·evaluations + b, and b is in both ends: either end gives the same a. Every call costs ten rows, so that small rounds are serial."""
    clock = Clock()

    def step(z):
        clock.now += 10 * clock.pace
        return torch.tanh(2 * z)

    seen = forecast(clock.field(step, 1), sx.starts.box(1000, -1, 1, seed=0), clock=clock)
    work, time, factor = seen.evaluations, seen.seconds, math.exp(1.645 * 0.25)
    assert seen.serial > 0.1 * time.expected
    below = (time.expected - factor * time.low) / (work.expected - work.low)
    above = (time.high / (factor * max(seen.slowdown, 1.0)) - time.expected) / (work.high - work.expected)
    assert below == pytest.approx(above, rel=1e-9)
    assert 1e-3 <= below < 1.1e-3


def test_the_sets_that_the_trial_did_not_see_are_estimated_from_those_it_saw_once():
    """Chao's estimate by hand: 4 sets once each, so 4·3/2 are unseen, each found at 1 in 7 by the other 36."""
    assert _sets(torch.tensor([0, 1, 2, 3]), 40) == pytest.approx(4 + 6 * (1 - (6 / 7) ** 36), rel=1e-12)
    assert _sets(torch.tensor([0, 0, 0, 1, 1, 2, -1]), 1000) == 3.0  # a single one seen once tells of none
    assert _sets(torch.tensor([0, 0, 1, 1, 2, 3]), 6) == 4.0  # no further starts, no further sets


def test_more_workers_share_all_but_the_serial_part():
    seen = forecast(sx.LatentField.from_map(lambda z: 0.5 * z, (2,)), sx.starts.gaussian(400))
    assert seen.seconds_with(1).expected == pytest.approx(seen.seconds.expected)
    assert seen.seconds_with(10**9).expected == pytest.approx(seen.serial, rel=1e-6)
    assert list(seen.seconds_by_workers) == ["1", "2", "10", "100", "1000"]
    assert seen.to_dict()["seconds_by_workers"]["2"]["expected"] == pytest.approx(seen.seconds_with(2).expected)


def test_more_starts_than_any_memory_holds_are_foretold():
    """A search of them is refused; its forecast says what it would take."""
    field = sx.LatentField.from_map(lambda z: 0.5 * z, (64,))
    seen = forecast(field, sx.starts.gaussian(10**12), clock=lambda: 0.0)
    assert seen.starts == 10**12
    assert seen.looked == 1024
    assert seen.sampled == 10**12 - DEFAULT.statistics.recorded - sample_size(DEFAULT.max_wrong, DEFAULT.statistics)
    assert seen.coordinator > 10**12 * 64 * 8
    assert seen.result > 10**12 * 64 * 4


def test_bytes_of_the_result_are_those_that_are_stored(tmp_path):
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), (8,))
    starts = sx.starts.gaussian(5000)
    seen = forecast(field, starts)
    sx.save_result(measured(field, starts), tmp_path / "limits")
    stored = sum(path.stat().st_size for path in (tmp_path / "limits").iterdir())
    assert seen.result == pytest.approx(stored, rel=0.1)
    assert seen.checkpoint > seen.result


def test_no_more_rows_are_under_way_than_the_numbers_of_a_round_allow():
    """With 256 and 512 numbers in rows of 8 there are 32 and 64 rows in the state that is stored, of 1000 starts."""
    field, stored = sx.LatentField.from_map(lambda z: 0.5 * z, (8,), dtype=DTYPE), []
    for numbers in (256, 512, 1024, 10**9):
        rules = replace(DEFAULT, rounds=replace(DEFAULT.rounds, pilot=4, numbers_under_way=numbers))
        stored.append(forecast(field, sx.starts.gaussian(1000), rules).checkpoint)
    once, twice, rest = (after - before for before, after in itertools.pairwise(stored))
    assert 32 * 8 * 8 < once < 32 * 8 * 100
    assert twice == 2 * once
    assert rest == (1000 - 128) / 32 * once


@pytest.mark.parametrize("seconds", [-1.0, math.inf])
def test_a_time_that_never_ends_or_has_ended_is_refused(seconds):
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,))
    for look in (forecast, diagnose):
        with pytest.raises(InputError, match=r"^seconds must be at least 0 and finite, not "):
            look(field, torch.zeros(4, 2), seconds=seconds)


def test_few_starts_and_bad_models():
    field = sx.LatentField.from_map(lambda z: 0.5 * z, (2,))
    one = forecast(field, sx.starts.gaussian(1))
    assert (one.starts, one.looked) == (1, 1)
    assert isinstance(one, Forecast)
    assert math.isfinite(one.seconds.high)
    noisy = sx.LatentField.from_map(lambda z: z + torch.rand_like(z), (2,))
    with pytest.raises(FieldError):
        forecast(noisy, sx.starts.gaussian(100))
