"""The self-check warns where simple inputs score as more typical than the data, and only there."""

from __future__ import annotations

import warnings

import pytest
import torch

import separatrix as sx
from separatrix import ood
from separatrix.errors import DetectorWarning, InputError, SeparatrixWarning


def ring(count: int = 300, radius: float = 3.0) -> torch.Tensor:
    """Rows far from the origin; a constant row is near it or not, by what it is made of."""
    angle = 6.283 * torch.rand(count, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return radius * torch.cat([angle.cos(), angle.sin(), (angle + 2).cos(), (angle + 2).sin()], dim=1)


def test_an_attractor_in_the_middle_of_a_ring_is_inverted():
    """f = z/2 has its attractor at 0, where no data are: everything inside the ring is nearer to it than the data."""
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(4,), dtype=torch.float64)
    detector = ood.TrajectoryDetector(field, steps=5)
    with pytest.warns(DetectorWarning, match="inverted"):
        detector.fit(ring())
    check = detector.self_check
    assert not check.ok
    assert check.inverted
    assert all(check.auroc["trajectory"][name].high < 0.5 for name in check.inverted)
    assert abs(check.coverage) < 0.05
    assert check.recommended != "trajectory"
    assert check.findings[0] in detector.notes


def test_attractors_on_the_data_are_not_complained_about():
    """f maps to the nearest corner, and the data sit at the corners: simple inputs lie between them."""
    field = sx.LatentField.from_map(lambda z: (8 * z).tanh(), latent_shape=(4,), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    signs = torch.tensor([[1.0, -1, 1, -1], [-1, 1, -1, 1], [1, 1, -1, -1], [-1, -1, 1, 1]], dtype=torch.float64)
    data = signs[torch.randint(0, 4, (300,), generator=generator)]
    data = data + 0.02 * torch.randn(300, 4, generator=generator, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SeparatrixWarning)
        detector = ood.TrajectoryDetector(field, steps=5).fit(data)
    assert detector.self_check.ok
    assert detector.self_check.inverted == ()
    assert detector.self_check.coverage > 0.99


def test_too_few_inputs():
    field = sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(4,), dtype=torch.float64)
    with pytest.raises(InputError, match="at least 30"):
        sx.self_check(field, ring(20))
