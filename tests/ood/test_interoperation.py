"""Libraries that calibrate classifiers, around our detectors: each is run for real where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import separatrix as sx
from separatrix.errors import CalibrationWarning, DataWarning, InputError
from separatrix.ood import KNNDetector, OODClassifier


def rows(count: int, seed: int, away: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 2)) + away


@pytest.fixture(scope="module")
def judge() -> OODClassifier:
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,))
    detector = KNNDetector(field).fit_features(torch.from_numpy(rows(600, 0)).float())
    return OODClassifier(detector, features=True)


def test_the_columns_are_the_detector_s_p_values(judge) -> None:
    found = rows(50, 1)
    scores = judge.detector.score_features(torch.from_numpy(found).float())
    np.testing.assert_array_equal(judge.predict_proba(found)[:, 0], judge.detector.p_values_of(scores).numpy())
    np.testing.assert_array_equal(judge.predict_proba(found).sum(axis=1), np.ones(50))
    assert judge.fit(found).predict(rows(50, 2, away=9.0)).tolist() == [1] * 50


def test_images_and_what_cannot_be_scored() -> None:
    def broken_far_out(z):
        return torch.where(z.norm(dim=1)[:, None] > 50, torch.nan, 0.5 * z)

    field = sx.LatentField.from_map(broken_far_out, latent_shape=(2,))
    detector = sx.ood.ResidualDetector(field).fit_features(torch.from_numpy(rows(100, 0)).float())
    probability = OODClassifier(detector, features=True).predict_proba([[0.1, 0.2], [100.0, 0.0]])
    assert probability[1].tolist() == [0.0, 1.0]
    images = sx.models.DenseAutoencoder((1, 4, 4), 2, hidden=(8,)).field()
    flat = np.random.default_rng(0).random((60, 16))
    fitted = KNNDetector(images).fit(torch.from_numpy(flat).float().reshape(-1, 1, 4, 4))
    assert OODClassifier(fitted, input_shape=(1, 4, 4)).predict_proba(flat).shape == (60, 2)


def test_mapie_finds_a_threshold_whose_precision_holds(judge) -> None:
    """500 inputs to calibrate on, a fifth of them OOD; the promise is checked on 2,000 fresh ones."""
    mapie = pytest.importorskip("mapie.risk_control")

    def mixed(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        unlike = count // 5
        x = np.concatenate([rows(count - unlike, seed), rows(unlike, seed + 1, away=3.0)])
        return x, np.repeat([0, 1], [count - unlike, unlike])

    controller = mapie.BinaryClassificationController(
        judge.predict_proba, "precision", target_level=0.75, confidence_level=0.9
    )
    controller.calibrate(*mixed(500, 10))
    assert controller.best_predict_param is not None
    x, y = mixed(2000, 20)
    called = np.asarray(controller.predict(x)) == 1
    assert y[called].mean() >= 0.75
    assert called[y == 1].mean() > 0.5


def test_bytes_are_read_as_everywhere_else() -> None:
    """Pictures of 0 to 255 went into a model of 0 to 1 as they were: everything was called, or nothing was."""
    images = sx.models.DenseAutoencoder((1, 4, 4), 2, hidden=(8,)).field()
    raw = np.random.default_rng(0).integers(0, 256, (60, 16), dtype=np.uint8)
    fitted = KNNDetector(images).fit(torch.from_numpy(raw).float().reshape(-1, 1, 4, 4) / 255)
    by_rows = OODClassifier(fitted, input_shape=(1, 4, 4))
    expected = by_rows.predict_proba(raw / 255)
    np.testing.assert_allclose(by_rows.predict_proba(raw), expected)
    np.testing.assert_allclose(OODClassifier(fitted).predict_proba(raw.reshape(-1, 1, 4, 4)), expected)
    encoder = sx.ood.LatentEncoder(images, input_shape=(1, 4, 4))
    np.testing.assert_allclose(encoder.fit_transform(raw), encoder.transform(raw / 255), rtol=1e-5)
    with pytest.warns(DataWarning, match="never scaled"):
        encoder.transform(raw.astype(np.float64))
    with pytest.raises(InputError, match="int64"):
        encoder.transform(raw.astype(np.int64))


def test_a_classifier_decides_as_its_detector_does() -> None:
    """Of 19 calibration scores the least p is 0.05, which a detector calls; of 9 nothing can be called, and that is said."""
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,), dtype=torch.float64)
    known = torch.from_numpy(rows(60, 0))
    far = rows(3, 1, away=50.0)
    for count, called in ((19, 1), (9, 0)):
        detector = KNNDetector(field).fit_features(known[:30], known[30 : 30 + count])
        judge = OODClassifier(detector, features=True)
        if called:
            assert judge.predict(far).tolist() == [1] * 3
        else:
            with pytest.warns(CalibrationWarning, match="no input can be called"):
                assert judge.predict(far).tolist() == [0] * 3


def test_latents_keep_the_precision_of_their_field() -> None:
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,), dtype=torch.float64)
    known = rows(60, 0) * 1e-6 + 1e6
    judge = OODClassifier(KNNDetector(field).fit_features(torch.from_numpy(known)), features=True)
    expected = judge.detector.p_values_of(judge.detector.score_features(torch.from_numpy(known)))
    np.testing.assert_array_equal(judge.predict_proba(known)[:, 0], expected.numpy())
    assert len(np.unique(expected)) > 3
