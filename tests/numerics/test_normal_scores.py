"""Normal scores: exact at the quantiles of a normal sample, monotone, without steps, linear beyond the sample."""

from __future__ import annotations

import pytest
import torch

from separatrix.numerics._normal_scores import apply_normal_scale, fit_normal_scale


def exact_normal(count: int) -> torch.Tensor:
    """The count quantiles of N(0, 1) at (i + ½)/n."""
    return torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)


@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (-5.0, 3.0), (1e3, 0.2)])
def test_a_normal_sample_is_mapped_to_its_own_scale(shift, stretch):
    sample = (shift + stretch * exact_normal(2000))[:, None]
    x = torch.linspace(-2.5, 2.5, 41, dtype=torch.float64)
    scores = apply_normal_scale((shift + stretch * x)[:, None], fit_normal_scale(sample))[:, 0]
    assert ((scores - x).abs() <= 0.02).all()


def test_any_monotone_change_of_scale_gives_the_same_scores():
    sample = torch.randn(500, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = apply_normal_scale(sample, fit_normal_scale(sample, resolution=1e-12))
    bent = apply_normal_scale(sample.sinh(), fit_normal_scale(sample.sinh(), resolution=1e-12))
    # Between knots one is linear where the other is curved, which shows where knots are far apart.
    error = (plain - bent).abs()
    assert error[plain.abs() < 2.5].max() <= 0.05
    assert error.max() <= 0.2
    assert plain.std().item() == pytest.approx(1, abs=0.03)


def test_a_cluster_far_away_keeps_its_share_and_no_more():
    sample = torch.cat([exact_normal(970), torch.full((30,), -1000.0, dtype=torch.float64)])[:, None]
    scores = apply_normal_scale(sample, fit_normal_scale(sample))
    # Φ⁻¹ at the middle of the lowest 3 %, by the knots in it.
    assert -2.9 < scores[-1].item() < -1.9
    assert scores.abs().max() < 3.5


def test_monotone_and_without_steps():
    generator = torch.Generator().manual_seed(1)
    ties = torch.randint(0, 7, (300, 1), generator=generator).double()
    close = ties + 1e-5 * torch.rand(300, 1, generator=generator, dtype=torch.float64)
    for sample in (ties, close):
        scale = fit_normal_scale(sample)
        x = torch.linspace(-2, 9, 200001, dtype=torch.float64)[:, None]
        steps = apply_normal_scale(x, scale)[:, 0].diff()
        assert (steps >= -1e-12).all()
        assert steps.max() < 0.06  # 5.5e-5 of x at the steepest slope there can be, 0.6 per 1e-3


def test_beyond_the_sample_it_goes_on_by_the_samples_width():
    sample = 4 * exact_normal(1000)[:, None]
    scale = fit_normal_scale(sample)
    ends = apply_normal_scale(torch.tensor([[100.0], [500.0], [-100.0], [-500.0]]).double(), scale)[:, 0]
    assert (ends[1] - ends[0]).item() == pytest.approx(100, rel=0.03)
    assert (ends[2] - ends[3]).item() == pytest.approx(100, rel=0.03)
    assert torch.equal(ends[:2], -ends[2:]) or torch.allclose(ends[:2], -ends[2:], rtol=1e-9)


def test_a_column_that_never_changes_has_the_resolution_as_its_unit():
    scale = fit_normal_scale(torch.full((50, 1), 3.0, dtype=torch.float64))
    scores = apply_normal_scale(
        torch.tensor([[3.0], [3.0 + 9e-4], [3.0 + 6e-3], [3.0 - 6e-3]], dtype=torch.float64), scale
    )[:, 0]
    assert scores.tolist() == pytest.approx([0.0, 0.0, 5.0, -5.0], abs=1e-9)


def test_columns_are_independent_and_nan_stays_nan():
    sample = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    both, first = fit_normal_scale(sample), fit_normal_scale(sample[:, :1])
    x = torch.tensor([[0.3, torch.nan], [torch.nan, 0.1]], dtype=torch.float64)
    scores = apply_normal_scale(x, both)
    assert scores[0, 0].item() == pytest.approx(apply_normal_scale(x[:1, :1], first).item(), rel=1e-12)
    assert scores.isnan().tolist() == [[False, True], [True, False]]
