"""The protocol: refuses what makes no sense, in words; survives storage; presets are the paper's."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix import Protocol
from separatrix.cost import Cost
from separatrix.errors import InputError
from separatrix.protocol import GROUPS

NUMBERS = ["tolerance", "merge_tolerance", "divergence"]
COUNTS = ["max_steps", "probe_steps", "max_period"]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.5, 10.0, "10", None, True])
def test_counts_are_whole_and_positive(name, value):
    with pytest.raises(InputError, match=rf"Protocol\.{name} must be a whole number, .*not "):
        Protocol(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1e-5, float("nan"), float("-inf"), "small", None])
def test_tolerances_are_positive_numbers(name, value):
    with pytest.raises(InputError, match=rf"Protocol\.{name} must be a (positive )?number, not "):
        Protocol(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("stop", "step", "'error', 'squared_step'"),
        ("merge", "euclid", "'distance', 'cosine'"),
        ("precision", "float16", "'native', 'float64'"),
        ("stop", None, "'error'"),
    ],
)
def test_choices_are_listed(name, value, allowed):
    with pytest.raises(InputError, match=rf"Protocol\.{name} must be one of .*{allowed}"):
        Protocol(**{name: value})


@pytest.mark.parametrize("name", ["polish", "spectrum", "capture"])
@pytest.mark.parametrize("value", ["no", 2, None])
def test_switches_are_on_or_off(name, value):
    with pytest.raises(InputError, match=rf"Protocol\.{name} must be True or False, not "):
        Protocol(**{name: value})


def test_the_presets_are_the_papers():
    paper = Protocol.paper()
    assert (paper.stop, paper.tolerance, paper.max_steps) == ("squared_step", 1e-6, 3000)
    assert (paper.merge, paper.merge_tolerance, paper.polish) == ("cosine", 0.99, False)
    foundation = Protocol.paper_foundation()
    assert (foundation.tolerance, foundation.max_steps, foundation.merge_tolerance) == (1e-5, 500, 0.99)


def test_frozen_and_comparable():
    with pytest.raises(FrozenInstanceError):
        Protocol().tolerance = 1
    assert Protocol() == Protocol()
    assert Protocol() != Protocol(max_period=65)
    assert len({Protocol(), Protocol(), Protocol.paper()}) == 2


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    tolerance=st.floats(1e-300, 1e300),
    merge_tolerance=st.floats(1e-12, 1),
    max_steps=st.integers(1, 10**12),
    preset=st.sampled_from([Protocol(), Protocol.paper(), Protocol.paper_foundation()]),
)
def test_storage_round_trip(tolerance, merge_tolerance, max_steps, preset):
    values = {**preset.to_dict(), "tolerance": tolerance, "merge_tolerance": merge_tolerance, "max_steps": max_steps}
    protocol = Protocol.from_dict(values)
    assert Protocol.from_dict(json.loads(json.dumps(protocol.to_dict()))) == protocol
    assert set(protocol.to_dict()) == {field.name for field in fields(Protocol)} - set(GROUPS)


@pytest.mark.parametrize("trails", [True, False])
def test_a_protocol_saved_when_there_were_trails_still_loads(trails):
    assert Protocol.from_dict({**Protocol().to_dict(), "trails": trails}) == Protocol()


def test_an_unknown_option_is_an_error_that_lists_the_known():
    with pytest.raises(InputError, match=r"no option 'tolerence'; it has stop, tolerance"):
        Protocol.from_dict({"tolerence": 1e-3})
    with pytest.raises(TypeError):
        Protocol(tolerence=1e-3)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(factor=st.floats(0.1, 100))
def test_tightening(factor):
    tight = Protocol().tightened(factor)
    assert tight.tolerance == pytest.approx(1e-5 / factor)
    assert tight.merge_tolerance == pytest.approx(1e-6 / factor)
    assert 1 - Protocol.paper().tightened(factor).merge_tolerance == pytest.approx(0.01 / factor)
    assert tight.tightened(1 / factor).tolerance == pytest.approx(1e-5)
    assert (tight.max_steps, tight.stop) == (Protocol().max_steps, "error")


@pytest.mark.parametrize("factor", [0, -2, float("nan")])
def test_tightening_by_nothing_is_refused(factor):
    with pytest.raises(InputError, match=r"\S"):
        Protocol().tightened(factor)


def test_costs_add_and_weigh():
    assert Cost(1, 2, 3) + Cost(10, 20, 30) == Cost(11, 22, 33)
    assert Cost(map=1, vjp=1, jvp=1).total == 7
    assert sum((Cost(map=i) for i in range(4)), Cost()) == Cost(map=6)
