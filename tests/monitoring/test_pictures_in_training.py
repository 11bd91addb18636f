"""A monitor that is given pictures tells what a few round trips leave of them, along the training."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix.errors import InputError
from separatrix.monitoring._budget import TimeBudget

PICTURES = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def watched(gain: torch.nn.Parameter, **options: object) -> sx.DynamicsMonitor:
    """Of a model that multiplies the contrast of pictures."""
    field = sx.LatentField.from_map(lambda x: 0.5 + gain * (x - 0.5), (1, 16, 16), dtype=torch.float64)
    return sx.DynamicsMonitor(
        field,
        sx.starts.points(PICTURES),
        every=10,
        log=None,
        protocol=sx.Protocol(max_steps=64),
        **{"max_share": None, **options},
    )


def test_psnr_of_one_trip_and_of_the_last_is_in_every_snapshot():
    gain = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    monitor = watched(gain, pictures=PICTURES, trips=4)
    for step in range(21):
        gain.data.fill_(0.5 + step / 50)
        monitor.step(step)
    assert len(monitor.history) == 3
    for shot, value in zip(monitor.history, (0.5, 0.7, 0.9), strict=True):
        found = sx.drift(sx.LatentField.from_map(lambda x, g=value: 0.5 + g * (x - 0.5), (1, 16, 16), dtype=torch.float64),
                         PICTURES, trips=4)  # fmt: skip
        assert shot.psnr_first == pytest.approx(float(found.psnr[:, 0].mean()))
        assert shot.psnr_last == pytest.approx(float(found.psnr[:, -1].mean()))
    assert monitor.history[0].psnr_last < monitor.history[2].psnr_last
    assert monitor.to_dict()["rows"][0]["psnr_first"] == monitor.history[0].psnr_first


def test_without_pictures_or_without_time_there_is_none(monkeypatch):
    gain = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    plain = watched(gain)
    plain.step(0)
    assert plain.history[0].psnr_first is None
    hurried = watched(gain, pictures=PICTURES)
    monkeypatch.setattr(hurried._budget, "pictures_affordable", lambda: False)
    hurried.step(0)
    assert hurried.history[0].psnr_first is None
    assert hurried.usage.failed == 0


def test_pictures_that_cost_more_than_there_is_wait():
    budget = TimeBudget(starts=8, max_steps=64, max_share=0.1, clock=iter(range(0, 4000, 100)).__next__)
    budget.enter()
    budget.leave()
    assert budget.pictures_affordable() == (budget.available >= 0)
    budget.pictured(1e9, found=None)
    assert not budget.pictures_affordable()
    budget.pictured(0.0, found=object())
    assert TimeBudget(8, 64, None, lambda: 0.0).pictures_affordable()


def test_pictures_that_do_not_fit_are_said_and_never_end_a_training():
    monitor = watched(torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64)), pictures=torch.zeros(2, 7))
    with pytest.warns(sx.errors.SeparatrixWarning, match="pictures"):
        monitor.step(0)
    assert monitor.history[0].psnr_first is None
    assert monitor.usage.failures[0].where == "the pictures"
    with pytest.raises(InputError, match="trips must be a whole number, at least 1"):
        watched(torch.nn.Parameter(torch.ones(1)), pictures=PICTURES, trips=0)
