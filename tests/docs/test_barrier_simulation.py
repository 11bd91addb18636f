"""The simulation of barriers on orbits whose schedule can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from separatrix.protocol import DEFAULT

AT_ONCE = replace(DEFAULT.rounds, pilot=4096)
ALL_AT_ONCE = {"rules": AT_ONCE, "guessed": False}
Script = Callable[[str], ModuleType]


@pytest.fixture
def simulation(script: Script) -> ModuleType:
    return script("benchmarks/barrier_simulation")


@pytest.fixture
def times(simulation: ModuleType) -> object:
    """A millisecond for a step of a row, and nothing else takes time."""
    return simulation.Times(1e-3, 0, 0, 0, 0, 0, 0, 0, 0, 100)


def perfect(simulation: ModuleType, workers: int, **further: object) -> object:
    return simulation.Cluster(workers, jitter=0.0, slow=0.0, lost=0.0, **further)


def test_one_worker_without_overhead_never_waits(simulation, times):
    steps = np.arange(1, 1025)
    seen = simulation.simulated(steps, times, perfect(simulation, 1), **ALL_AT_ONCE)
    assert seen.seconds == pytest.approx(steps.sum() * 1e-3)
    assert seen.efficiency == pytest.approx(1)
    assert seen.waited == pytest.approx(0, abs=1e-9)


def test_parts_are_shared_and_the_longest_is_waited_for(simulation, times):
    """Four parts of 256 orbits, of which those of one part make 64 steps and the others one, within one round."""
    steps = np.ones(1024, dtype=int)
    steps[:256] = 64
    cluster = perfect(simulation, 2, reissue=0.0)
    seen = simulation.simulated(steps, times, cluster, rules=replace(AT_ONCE, least_in_a_part=256), guessed=False)
    assert seen.seconds == pytest.approx(256 * 64 * 1e-3)
    assert (seen.rounds, seen.parts) == (1, 4)
    assert seen.computed == pytest.approx(256 * 67e-3)
    assert seen.waited == pytest.approx(2 * seen.seconds - seen.computed)


def test_rounds_have_barriers(simulation, times):
    """Two orbits of 65 and 129 steps in parts of their own: rounds of 128 and 256 steps, and the first waits in the second."""
    seen = simulation.simulated(
        np.array([65, 129]), times, perfect(simulation, 2), rules=replace(AT_ONCE, least_in_a_part=1), guessed=False
    )
    assert seen.rounds == 2
    assert seen.seconds == pytest.approx(129e-3)


def test_no_more_workers_have_work_than_there_are_parts(simulation, times):
    steps = np.full(100_000, 10)
    few, many = (
        simulation.simulated(steps, times, perfect(simulation, workers), guessed=False) for workers in (16, 1000)
    )
    assert many.seconds == pytest.approx(few.seconds, rel=0.02)
    rules = replace(DEFAULT.rounds, most_under_way=2**20)
    wide = simulation.simulated(steps, times, perfect(simulation, 1000), rules=rules, guessed=False)
    assert wide.seconds < few.seconds / 1.5


def test_the_coordinator_works_alone_unless_it_overlaps(simulation, times):
    steps = np.full(50_000, 100)
    slow = replace(times, ended=1e-3)
    alone = simulation.simulated(steps, slow, perfect(simulation, 4), guessed=False)
    beside = simulation.simulated(steps, slow, perfect(simulation, 4, overlap=True), guessed=False)
    assert alone.alone / 4 == pytest.approx(50.0, rel=1e-6)
    assert beside.seconds < alone.seconds
    assert beside.seconds >= max(50.0, beside.computed / 4)


def test_slow_parts_given_again_cost_less_than_waited_for(simulation, times):
    steps = np.full(40_000, 20)
    unlucky = simulation.Cluster(8, jitter=0.0, slow=0.05, times=20.0, lost=0.0)
    given_again = simulation.simulated(steps, times, unlucky, guessed=False)
    waited_for = simulation.simulated(steps, times, replace(unlucky, reissue=0.0), guessed=False)
    luckier = simulation.simulated(steps, times, replace(unlucky, slow=0.0), guessed=False)
    assert luckier.seconds < given_again.seconds < waited_for.seconds


def test_a_worker_that_is_ended_is_missed_in_the_next_round(simulation, times):
    """Of eight parts of a round one takes twenty times as long and is given again; whoever has the other copy is ended with the round."""
    steps = np.full(40_000, 20)
    unlucky = simulation.Cluster(8, jitter=0.0, slow=0.05, times=20.0, lost=0.0, restart=0.0)
    kept = simulation.simulated(steps, times, unlucky, guessed=False)
    ended = simulation.simulated(steps, times, replace(unlucky, restart=1000.0), guessed=False)
    assert ended.seconds > kept.seconds


def test_lost_workers_cost_time_and_no_orbit(simulation, times):
    steps = np.full(20_000, 50)
    safe = simulation.simulated(steps, times, perfect(simulation, 4), guessed=False)
    lossy = simulation.simulated(steps, times, simulation.Cluster(4, jitter=0, slow=0, lost=20.0), guessed=False)
    assert lossy.seconds > safe.seconds
    assert lossy.work == safe.work


def test_times_are_found_again_in_rounds_that_were_made_from_them(simulation, script):
    rounds = script("benchmarks/rounds")
    made = [
        rounds.Round(fresh=rows, steps=64, passes=64 * -(-rows // DEFAULT.rounds.rows_in_a_part(rows)), evaluations=rows * mean, step_seconds=1e-4 * rows * mean + 1e-3 * 64 * -(-rows // DEFAULT.rounds.rows_in_a_part(rows)),
                     joining_seconds=2e-5 * rows, settle_seconds=0.01 + 3e-4 * ended, ended=ended)
        for rows, mean, ended in ((32, 40, 3), (128, 30, 60), (640, 20, 500), (3200, 25, 1000), (16_000, 12, 12_000))
    ]  # fmt: skip
    times = simulation.fitted(made, 0.0, 0.0, 0)
    assert (times.row, times.step) == pytest.approx((1e-4, 1e-3))
    assert (times.settled, times.ended, times.joined) == pytest.approx((0.01, 3e-4, 2e-5))
