"""A closed curve with quasi-periodic motion is one limit set, not hundreds of points."""

from __future__ import annotations

import math

import pytest
import torch
from known_sets import CURVES, iterated, oracle_of, searched

import separatrix as sx
from separatrix import Status
from separatrix.limitsets import Kind
from separatrix.testing import oracles


@pytest.mark.parametrize("name", CURVES)
def test_one_attracting_curve(name):
    oracle, limits = oracle_of(name), searched(name)
    curve = oracle.attractors[0]
    assert [Kind(int(kind)) for kind in limits.kind] == [Kind.CLOSED_CURVE]
    assert limits.period.tolist() == [0]
    assert limits.stable.tolist() == [1]
    assert limits.hits.tolist() == [len(oracle.starts)]
    assert (limits.labels == 0).all()
    assert limits.residual.isnan().all()
    assert curve.defect(limits.points).max() < 1e-6
    assert float(limits.spectral_radius) == pytest.approx(curve.spectral_radius, abs=0.02)


@pytest.mark.parametrize("name", CURVES)
def test_the_search_calls_the_orbits_quasiperiodic(name):
    oracle, orbits = oracle_of(name), searched(name).orbits
    assert set(orbits.counts) <= oracle.statuses
    assert (orbits.period == 0).all()
    assert oracle.attractors[0].defect(orbits.points).max() < 1e-5


@pytest.mark.parametrize("name", CURVES)
def test_plain_iteration_only_says_that_they_keep_moving(name):
    """`iterate` does not look for curves; what it must not say is that anything was reached."""
    oracle, orbits = oracle_of(name), iterated(name)
    assert set(orbits.counts) == {Status.WANDERING}
    assert (orbits.period == 0).all()
    assert oracle.attractors[0].defect(orbits.points).max() < 1e-9


@pytest.mark.parametrize("name", CURVES)
def test_the_trace_goes_once_around(name):
    oracle, limits = oracle_of(name), searched(name)
    curve, trace = oracle.attractors[0], limits.trace(0)
    assert len(trace) >= 32
    assert curve.defect(trace).max() < 1e-6
    # The angle of a traced point is read from the nearest known sample; those are equally spaced in angle.
    nearest = (trace[:, None] - curve.points[None]).norm(dim=2).argmin(dim=1).double()
    turns = torch.cat([nearest, nearest[:1]]).diff() / len(curve.points)
    turns = turns - turns.round()
    assert turns.sum().abs().item() == pytest.approx(1, abs=1e-9), "the order along the curve closes after one turn"
    assert turns.abs().max() < 1 / 8, "no gap in the curve"
    direction = turns.sum().sign()
    assert (direction * turns).min() > -2 / len(curve.points), "the order along the curve does not turn back"


def test_a_start_on_the_curve_and_a_start_on_the_centre():
    oracle = oracles.invariant_curve()
    curve = oracle.attractors[0]
    starts = torch.cat([oracle.starts, curve.points[::100], torch.zeros(3, 2, dtype=torch.float64)])
    limits = sx.find_attractors(oracle.field, starts)
    assert sorted(Kind(int(kind)).name for kind in limits.kind) == ["CLOSED_CURVE", "FIXED_POINT"]
    centre = int((limits.kind == int(Kind.FIXED_POINT)).nonzero())
    assert (limits.labels[-3:] == centre).all()
    assert (limits.labels[:-3] == 1 - centre).all()
    assert int(limits.stable[centre]) == 0
    assert int(limits.unstable_directions[centre]) == 2
    assert limits.spectral_radius[centre].item() == pytest.approx(1.2, abs=1e-6)


@pytest.mark.parametrize("angle", [2 * math.pi / 7, 2 * math.pi * 3 / 10])
def test_a_resonant_curve_is_not_called_quasiperiodic(angle):
    """With a rational angle every point of the circle has period q: a continuum of neutral cycles."""
    oracle = oracles.invariant_curve(angle=angle)
    orbits = sx.iterate(oracle.field, oracle.starts)
    assert set(orbits.counts) == {Status.PERIODIC}
    assert (orbits.period == round(2 * math.pi / angle) if angle < 1 else orbits.period == 10).all()
