"""What a glance says, and that a snapshot which is only a glance claims nothing about attractors."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import separatrix as sx
from separatrix import DynamicsMonitor, LatentField
from separatrix.monitoring._loggers import scalars
from separatrix.orbits._glance import GLANCE_STEPS, glance

OF_A_SEARCH = (
    "attractors", "converged", "largest_basin", "spectral_radius", "residual", "trivial", "ids", "events",
)  # fmt: skip


def scaling(factor):
    return LatentField.from_map(lambda z: factor * z, (2,), dtype=torch.float64)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(factor=st.floats(0.55, 1.4).filter(lambda factor: abs(factor - 1) > 0.01), sign=st.sampled_from([1, -1]))
def test_a_linear_map_is_seen_exactly(factor, sign):
    """z ↦ az: steps shrink by |a|, and after t steps ‖f(z) − z‖ = |a − 1| |a|ᵗ ‖z₀‖."""
    starts = sx.starts.gaussian(20, seed=1)
    field = scaling(sign * factor)
    seen = glance(field, starts)
    first = starts.block(field, 0, 8)
    spread = float((first - first.mean(dim=0)).square().sum(dim=1).mean().sqrt())
    speeds = abs(sign * factor - 1) * factor**GLANCE_STEPS * first.norm(dim=1) / spread
    assert seen.settled == 0
    assert seen.contraction == pytest.approx(factor, rel=1e-9)
    assert seen.speed == pytest.approx(float(speeds.median()), rel=1e-9)
    assert (seen.evaluations, seen.passes) == (8 * 17, 17)
    if factor > 1:
        assert seen.steps_to_rest == math.inf
    else:  # the slowest orbit: 16 steps, and those until its step is below 1e-5 of the spread
        further = math.log(1e-5 / float(speeds.max())) / math.log(factor)
        assert seen.steps_to_rest == pytest.approx(16 + max(further, 0), abs=1e-6)


def test_orbits_that_rest_are_settled_and_those_that_are_lost_say_nothing():
    at_once = glance(scaling(0.0), sx.starts.gaussian(3, seed=1))
    assert at_once.settled == 1
    assert at_once.speed == 0
    assert at_once.steps_to_rest <= 3
    lost = glance(LatentField.from_map(lambda z: z * torch.nan, (2,)), sx.starts.gaussian(8, seed=1))
    assert (lost.settled, lost.speed, lost.contraction) == (0, None, None)
    half = LatentField.from_map(lambda z: torch.where(z > 0, 0.0, 0.9 * z), (1,), dtype=torch.float64)
    starts = torch.tensor([[1.0], [2.0], [-1.0], [-2.0]], dtype=torch.float64)
    assert glance(half, sx.starts.points(starts)).settled == 0.5


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def dear_training(monitor_options=None, gains=(0.99,) * 200, per_pass=0.02, per_step=0.25):
    """Searches need hundreds of passes near a pitchfork, glances 17."""
    clock, gain = Clock(), torch.zeros((), dtype=torch.float64)

    def function(z):
        clock.now += per_pass
        return torch.tanh(gain * z)

    field = LatentField.from_map(function, (1,), dtype=torch.float64)
    starts = sx.starts.box(32, -1, 1, seed=0)
    monitor = DynamicsMonitor(field, starts, 5, log=None, clock=clock, **(monitor_options or {}))
    for step, value in enumerate(gains):
        gain.fill_(value)
        monitor.step(step)
        clock.now += per_step
    monitor.finish()
    return monitor


def test_what_was_not_sought_is_none_and_not_a_number(tmp_path):
    path = tmp_path / "dynamics.jsonl"
    clock = Clock()

    def function(z):
        clock.now += 0.01
        return 0.9 * z

    field = LatentField.from_map(function, (2,), dtype=torch.float64)
    monitor = DynamicsMonitor(field, sx.starts.gaussian(32, seed=0), 1, log=path, clock=clock)
    monitor.step(0)
    clock.now += 4.0  # pays for a glance of 17 passes, not for a search
    usage = monitor.finish()
    (shot,) = monitor.history
    assert not shot.searched
    assert monitor.searches == []
    assert [getattr(shot, name) for name in OF_A_SEARCH] == [None] * len(OF_A_SEARCH)
    assert (shot.starts, shot.max_steps, shot.evaluations) == (8, 16, 8 * 17)
    assert shot.contraction == pytest.approx(0.9, abs=1e-9)
    assert (usage.snapshots, usage.glances, usage.cut) == (1, 1, 0)
    assert "1 snapshot, 1 of them only glances, took" in usage.sentence
    (record,) = (json.loads(line) for line in path.read_text().splitlines())
    assert record == shot.to_dict()
    assert (record["searched"], record["cut"]) == (False, False), "there was never time for a search"
    logged = scalars(record)
    assert not {f"separatrix/{name}" for name in OF_A_SEARCH} & set(logged)
    assert logged["separatrix/contraction"] == shot.contraction


def test_glances_lie_between_searches_and_a_continuation_leaves_them_out():
    monitor = dear_training(gains=[0.9] * 200 + [0.97] * 200 + [2.0] * 200)
    kinds = [shot.searched for shot in monitor.history]
    assert kinds.count(True) >= 2
    assert kinds.count(False) >= 2
    assert [shot.step for shot in monitor.history] == sorted({shot.step for shot in monitor.history})
    story = monitor.continuation()
    assert story.parameters == tuple(float(shot.step) for shot in monitor.history if shot.searched)
    named = [tuple(story.ids(time)[story.ids(time) >= 0].tolist()) for time in range(len(story.parameters))]
    assert named == [shot.ids for shot in monitor.history if shot.searched]
    for shot in monitor.history:
        assert shot.searched == (shot.events is not None)
        wanted = 0.9 if shot.step < 200 else 0.97 if shot.step < 400 else None
        if wanted:  # whether searched or not, by the same orbits
            assert shot.contraction == pytest.approx(wanted, abs=0.08)


def test_glances_leave_most_of_the_budget_to_searches():
    monitor = dear_training(gains=[0.999] * 1500, per_pass=0.01, per_step=0.1)
    allowed = 0.1 * monitor.usage.training_seconds
    glances = len(monitor.history) * 0.01 * 17  # one in every snapshot
    assert 0.05 * allowed < glances < 0.25 * allowed
    assert sum(shot.seconds for shot in monitor.history if shot.searched) > 0.6 * allowed
    assert monitor.usage.share <= 0.1


def test_a_glance_is_part_of_every_snapshot_and_costs_the_same():
    monitor = dear_training({"max_share": None}, gains=[0.9] * 11)
    assert [(shot.to_dict()["searched"], shot.cut) for shot in monitor.history] == [(True, False)] * 3
    assert monitor.usage.glances == 0
    assert "glances" not in monitor.usage.sentence
    seen = glance(monitor._given, monitor.starts)
    assert {(shot.settled, shot.speed, shot.contraction) for shot in monitor.history} == {
        (seen.settled, seen.speed, seen.contraction)
    }
    assert monitor.history[0].evaluations == monitor.searches[0].cost.total + seen.evaluations
