"""scikit-learn's own checks of estimators, and its sign."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

import separatrix as sx
from separatrix.ood import LatentOutlierDetector


# One of scikit-learn's own data sets holds an input twice, and the detector says so.
@pytest.mark.filterwarnings("ignore::separatrix.errors.CalibrationWarning")
@parametrize_with_checks([LatentOutlierDetector()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("detector", ["typicality", "trajectory", "knn", "mahalanobis", "residual"])
def test_lower_is_more_unusual_with_every_detector(detector):
    rows = np.random.default_rng(0).normal(size=(300, 2))
    estimator = LatentOutlierDetector(detector=detector, contamination=0.1).fit(rows)
    assert (estimator.predict(rows) == -1).sum() == 30
    far = np.array([[9.0, 9.0], [-9.0, 4.0]])
    assert (estimator.score_samples(far) < np.quantile(estimator.score_samples(rows), 0.02)).all()
    assert estimator.p_values(far).max() <= 2 / (len(estimator.detector_.calibration) + 1)


def test_a_row_without_a_score_has_no_p_value():
    def broken_far_out(z):
        return torch.where(z.flatten(1).norm(dim=1)[:, None] > 50, torch.nan, 0.5 * z)

    field = sx.LatentField.from_map(broken_far_out, latent_shape=(2,), dtype=torch.float64)
    estimator = LatentOutlierDetector(field, detector="residual").fit(np.random.default_rng(0).normal(size=(100, 2)))
    rows = np.array([[0.1, 0.2], [100.0, 0.0], [9.0, 9.0]])
    expected = estimator.detector_.p_values_of(estimator.detector_.score_features(torch.from_numpy(rows)))
    np.testing.assert_array_equal(estimator.p_values(rows), expected.numpy())
    assert np.isnan(estimator.p_values(rows)).tolist() == [False, True, False]
    assert estimator.score_samples(rows)[1] == -np.inf
    assert estimator.predict(rows)[1] == -1


def test_a_field_of_ones_own():
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(1, 2), dtype=torch.float64)
    rows = np.random.default_rng(0).normal(size=(100, 2))
    estimator = LatentOutlierDetector(field, detector="residual").fit(rows)
    assert estimator.score_samples([[3.0, 4.0]])[0] == pytest.approx(-2.5, rel=1e-14)
    with pytest.raises(ValueError, match="no latents"):
        LatentOutlierDetector(field).fit(np.random.default_rng(0).normal(size=(100, 3)))
