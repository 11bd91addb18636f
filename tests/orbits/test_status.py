"""The statuses are stored as integers in result files and shown to users as sentences."""

from __future__ import annotations

import pytest

from separatrix import Status


def test_stored_values_never_change():
    assert {status.name: int(status) for status in Status} == {
        "RUNNING": 0,
        "CONVERGED": 1,
        "CAPTURED": 2,
        "PERIODIC": 3,
        "QUASIPERIODIC": 4,
        "SLOW": 5,
        "WANDERING": 6,
        "BUDGET": 7,
        "DIVERGED": 8,
        "NONFINITE": 9,
        "SAMPLED": 10,
    }
    assert all(Status(int(status)) is status for status in Status)


@pytest.mark.parametrize("status", list(Status))
def test_each_explains_itself_and_failures_name_a_remedy(status):
    assert len(status.sentence.split()) >= 5
    assert not status.sentence.endswith(".")
    if not status.reached_limit_set:
        assert status.remedy


def test_what_counts_as_arrived():
    arrived = {status.name for status in Status if status.reached_limit_set}
    assert arrived == {"CONVERGED", "CAPTURED", "PERIODIC", "QUASIPERIODIC", "SAMPLED"}
