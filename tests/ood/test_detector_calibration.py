"""What is fitted on cannot calibrate: it scores lower than anything fresh, and every later input would be an alarm."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from separatrix import LatentField
from separatrix.errors import CalibrationWarning, DetectorWarning, InputError
from separatrix.ood._baselines import KNNDetector


def vectors(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def detector():
    return KNNDetector(LatentField.from_map(lambda z: 0.5 * z, (3,), dtype=torch.float64))


def test_the_same_file_for_both_is_refused(detector):
    with pytest.raises(InputError, match=r"200 of 200 calibration inputs are among those .* give other inputs"):
        detector.fit(vectors(200, 0), vectors(200, 0).flip(0))


def test_shared_inputs_are_left_out_and_fresh_ones_keep_the_rate(detector):
    train = vectors(400, 0)
    with pytest.warns(CalibrationWarning, match="150 of 350 calibration inputs are among those"):
        mixed = detector.fit(train, torch.cat([train[:150], vectors(200, 1)])).calibration
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clean = detector.fit(train, vectors(200, 1)).calibration
    assert torch.equal(mixed, clean)


def test_a_split_of_data_that_repeat_themselves_keeps_the_halves_apart(detector):
    with pytest.warns(CalibrationWarning, match="are left out"):
        detector.fit(vectors(300, 2).repeat(2, 1))
    alarms = float((detector.p_values(vectors(2000, 3)) <= 0.1).double().mean())
    assert 0.03 < alarms < 0.2  # before: the repeated half scored 0, and far more were called


def test_which_rows_were_held_out_is_known(detector):
    train = vectors(40, 4)
    detector.fit(train)
    assert torch.equal(detector.score(train[detector.held_out]), detector.calibration)
    others = torch.cat([train[:10], vectors(30, 5)])
    with pytest.warns(CalibrationWarning, match="10 of 40"):
        detector.fit(train, others)
    assert sorted(detector.held_out.tolist()) == list(range(10, 40))
    assert torch.equal(detector.score(others[detector.held_out]), detector.calibration)
    detector.fit_features(train, vectors(30, 5))
    assert torch.equal(detector.score_features(vectors(30, 5)[detector.held_out]), detector.calibration)


def test_what_cannot_be_fitted_on_is_told_and_left_out(detector):
    train, others = vectors(40, 6), vectors(30, 7)
    spoilt = torch.cat([train, torch.full((2, 3), torch.nan, dtype=torch.float64), torch.full((1, 3), torch.inf)])
    for fit in (detector.fit, detector.fit_features):
        clean = fit(train, others).calibration
        with pytest.warns(DetectorWarning, match="3 of the 43 inputs to fit on have a latent with NaN or infinity"):
            assert torch.equal(fit(spoilt, others).calibration, clean)
    with pytest.raises(InputError, match="at least 2 usable inputs, not 1"):
        detector.fit(spoilt[39:], others)


@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0]), min_size=1, max_size=60),
    rate=st.sampled_from([0.02, 0.05, 0.1, 1 / 3, 0.5, 0.9]),
)
def test_the_threshold_is_where_decisions_change(scores, rate):
    one = KNNDetector(LatentField.from_map(lambda z: 0.5 * z, (3,), dtype=torch.float64))
    one.calibration = torch.tensor(sorted(scores), dtype=torch.float64)
    tried = torch.arange(-0.25, 3, 0.25, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        assert torch.equal(one.decide_scores(tried, rate).is_ood, tried > one.threshold(rate))
