"""Directions of the Jacobian of D∘E and what it predicts, on maps whose derivative is known."""

from __future__ import annotations

import math

import pytest
import torch
from drift_fields import DOUBLE, diagonal, drifted, maps, pictures

from separatrix import LatentField
from separatrix.errors import InputError
from separatrix.studies import drift_patterns, linearised

SMALL = 8


def grown(pattern: torch.Tensor, rate: float, rest: float = 0.5) -> LatentField:
    """Everything is multiplied by ``rest`` about grey, and one pattern by ``rate``."""
    unit = pattern / pattern.norm()

    def step(x: torch.Tensor) -> torch.Tensor:
        away = x - 0.5
        along = (away * unit).flatten(1).sum(dim=1).reshape(-1, 1, 1, 1)
        return 0.5 + rest * away + (rate - rest) * along * unit

    return maps(step, 1, SMALL)


def test_the_pattern_that_grows_is_found_with_its_rate():
    checks = (torch.arange(SMALL)[:, None] + torch.arange(SMALL)) % 2 * 2.0 - 1
    found = drift_patterns(grown(checks[None].to(torch.float64), 1.3), pictures(2, 1, SMALL), count=1)
    assert found.rates.flatten().tolist() == pytest.approx([1.3, 1.3], rel=1e-3)
    assert found.gains.flatten().tolist() == pytest.approx([1.3, 1.3], rel=1e-3)
    assert found.turns.abs().flatten().tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    for pattern in (*found.growing[:, 0, 0], *found.asked[:, 0, 0]):
        assert float((pattern * checks).mean().abs()) > 0.97
    assert "multiplied by 1.30 per trip" in found.sentence


def test_a_pattern_that_changes_sign_turns_by_half_a_circle():
    rows = (torch.arange(SMALL) % 2 * 2.0 - 1).repeat(SMALL, 1)
    found = drift_patterns(grown(rows[None].to(torch.float64), -1.2), pictures(1, 1, SMALL), count=1)
    assert float(found.rates) == pytest.approx(1.2, rel=1e-3)
    assert abs(float(found.turns)) == pytest.approx(math.pi)


def test_a_non_normal_map_enlarges_once_what_it_never_lets_grow():
    matrix = torch.eye(SMALL**2, **DOUBLE) * 0.5
    matrix[0, 1] = 10.0
    field = maps(lambda x: (x.flatten(1) @ matrix.T).reshape(x.shape), 1, SMALL)
    found = drift_patterns(field, pictures(1, 1, SMALL) * 0, count=1)
    assert float(found.gains) == pytest.approx(10.025, rel=1e-3)
    assert float(found.rates) < 1 or math.isnan(float(found.rates))


def test_bands_die_as_they_are_told_to():
    found = drift_patterns(diagonal_with_gradient([0.9, 0.8, 0.6, 0.2]), pictures(1), count=1)
    assert found.kept[0, :, 0].tolist() == pytest.approx([0.9, 0.8, 0.6, 0.2], abs=1e-6)
    assert found.kept[0, :, 1].tolist() == pytest.approx([0.9, 0.8, 0.6, 0.2], abs=1e-6)
    assert "detail under 4 px: 20 % of it is left" in found.sentence


def diagonal_with_gradient(gains: list[float]) -> LatentField:
    """As `diagonal`, by a matrix that autograd sees through."""
    import scipy

    basis = torch.from_numpy(scipy.fft.dct(torch.eye(32, **DOUBLE).numpy(), axis=0, norm="ortho"))
    table = torch.ones(32, 32, **DOUBLE)
    from separatrix.studies._drift.loss import band_mask

    for band, gain in enumerate(gains):
        table[band_mask(band, 32, 32)] = gain
    return maps(lambda x: basis.T @ (table * (basis @ x @ basis.T)) @ basis)


def test_of_large_pictures_the_middle_is_looked_at():
    blur = LatentField.from_map(lambda x: torch.nn.functional.avg_pool2d(x, 3, 1, 1), (1, 24, 24), dtype=torch.float64)
    whole = pictures(1, 1, 24)
    found = drift_patterns(blur, whole, count=1, side=SMALL)
    assert found.growing.shape == (1, 1, 1, SMALL, SMALL)
    fixed = maps(lambda x: torch.ones(1, 24, 24, **DOUBLE) * x, 1, 24)
    assert drift_patterns(fixed, whole, count=1, side=SMALL).growing.shape[-1] == 24


def test_the_prediction_is_exact_where_the_map_is_linear():
    matrix = diagonal_with_gradient([0.98, 0.9, 0.8, 0.7])
    x = pictures(3)
    found = linearised(matrix, x, trips=6)
    assert torch.allclose(found.predicted, found.measured, atol=1e-9)
    assert found.ratio == pytest.approx(1.0)
    assert torch.allclose(found.measured, drifted(diagonal([0.98, 0.9, 0.8, 0.7]), x, trips=6).psnr, atol=1e-9)
    assert found.cost.jvp == 3 * 5
    assert "within 1 dB for 6 of 6 trips" in found.sentence


def test_the_prediction_fails_where_the_map_saturates():
    found = linearised(maps(lambda x: 0.5 + torch.tanh(3 * (x - 0.5)) / 3.5, 1, SMALL), pictures(4, 1, SMALL), trips=8)
    assert float((found.predicted - found.measured).abs().max()) > 1
    assert found.to_dict()["rows"][0]["predicted"] == pytest.approx(found.to_dict()["rows"][0]["measured"])


def test_what_cannot_be_asked_is_one_sentence():
    field, x = maps(lambda z: 0.5 * z, 1, SMALL), pictures(1, 1, SMALL)
    with pytest.raises(InputError, match="1 to 62 such directions"):
        drift_patterns(field, x, count=63)
    with pytest.raises(InputError, match="at least 2 trips"):
        linearised(field, x, trips=1)
