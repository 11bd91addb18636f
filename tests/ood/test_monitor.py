"""Budgets in human units, batches, and a monitor that may be looked at after every input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from separatrix.errors import InputError
from separatrix.ood import AlarmBudget, Decision, StreamMonitor
from separatrix.ood._decisions import decided
from separatrix.ood._monitor import StreamState


def test_budgets():
    assert AlarmBudget.parse("5 a day at 10 000 images a day").rate == 5e-4
    assert AlarmBudget.parse("5/10000").rate == 5e-4
    assert AlarmBudget.parse("2 per hour at 1,000 parts per hour") == AlarmBudget(2, 1000, "hour")
    for text in ("five a day", "5 a day at 100 a week", "0/10", "10/5"):
        with pytest.raises(InputError):
            AlarmBudget.parse(text)


def test_a_p_value_on_the_line_is_called_and_one_above_is_not():
    p = torch.tensor([0.01, 0.010001, torch.nan], dtype=torch.float64)
    decisions = decided(p, p, 0.01, calibration=99)
    assert decisions.decision.tolist() == [int(Decision.OOD), int(Decision.TYPICAL), int(Decision.UNSCORABLE)]
    assert decisions.between is not None
    assert decisions.between[0] < 0.01 < decisions.between[1]
    assert decisions[:1].is_ood.tolist() == [True]


def test_a_batch_is_decided_by_benjamini_hochberg():
    p = torch.tensor([0.01, 0.02, 0.03, 0.9], dtype=torch.float64)
    assert decided(p, p, 0.04, 999, batch=True).is_ood.tolist() == [True, True, True, False]
    assert decided(p, p, 0.03, 999, batch=True).is_ood.tolist() == [False, False, False, False]
    assert decided(p, p, 0.015, 999).is_ood.tolist() == [True, False, False, False]


def test_the_monitor_seldom_cries_on_id_streams_and_soon_on_others():
    generator = np.random.default_rng(0)
    cries = 0
    for _ in range(200):
        rate = generator.beta(50, 950)  # the law of the alarm rate at α = 0.05 with 999 calibration scores
        monitor = StreamMonitor(0.05, calibration=999)
        cries += any(monitor.count(alarms=int(generator.binomial(20, rate)), inputs=20).drifted for _ in range(50))
    assert cries <= 17  # δ = 0.05: 17 or fewer of 200 with a probability of 0.99
    drifting = StreamMonitor(0.05, calibration=999)
    looks = [drifting.count(alarms=4, inputs=20).drifted for _ in range(20)]
    assert not looks[0]
    assert looks[-1]


def test_the_evidence_of_one_alarm_is_that_of_the_mixture():
    monitor = StreamMonitor(0.05, calibration=999)
    bets = monitor._bets
    report = monitor.count(alarms=1, inputs=3)
    expected = np.mean(bets / monitor.bound * ((1 - bets) / (1 - monitor.bound)) ** 2)
    assert report.evidence == pytest.approx(expected, rel=1e-12)
    assert "compatible" in str(report.statement)
    assert report.statement.code is StreamState.AS_PROMISED


@pytest.mark.parametrize("delta", [0.05, 0.2])
def test_it_cries_at_its_threshold_and_not_before(delta):
    monitor = StreamMonitor(0.05, calibration=999, delta=delta)
    reports = [monitor.count(alarms=1, inputs=3) for _ in range(40)]
    assert {report.threshold for report in reports} == {2 / delta}
    assert [report.drifted for report in reports] == [report.evidence >= 2 / delta for report in reports]
    assert [report.drifted for report in reports[:: len(reports) - 1]] == [False, True]
    assert repr(reports[0]).endswith(f"of {2 / delta:g}: not drifted)")
    assert len(repr(reports[-1])) < 120


def test_a_stream_in_two_sittings_is_one_stream():
    monitor = StreamMonitor(0.05, calibration=99)
    monitor.count(alarms=2, inputs=30, unscorable=1)
    again = StreamMonitor.from_dict(json.loads(json.dumps(monitor.to_dict())))
    assert again.count(alarms=1, inputs=10) == monitor.count(alarms=1, inputs=10)
    with pytest.raises(InputError):
        monitor.count(alarms=3, inputs=2)


def test_batches_cannot_be_monitored():
    p = torch.tensor([0.5], dtype=torch.float64)
    with pytest.raises(InputError, match="batch=False"):
        StreamMonitor(0.05, 99).update(decided(p, p, 0.05, 99, batch=True))
    assert StreamMonitor(0.05, 99).update(decided(p, p, 0.05, 99)).inputs == 1
