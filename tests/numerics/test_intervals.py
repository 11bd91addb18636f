"""Wilson intervals hold at their level: exact coverage by the binomial sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from separatrix.errors import InputError
from separatrix.numerics.intervals import wilson


def coverage(n, share, level):
    """Σ_x P(X = x) [share inside the interval of x], X binomial(n, share)."""
    x = torch.arange(n + 1)
    low, high = wilson(x, n, level)
    inside = ((low <= share) & (share <= high)).numpy()
    return float(stats.binom.pmf(x.numpy(), n, share)[inside].sum())


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [20, 100, 1000])
def test_mean_coverage_is_the_level(n, level):
    """One share is covered by a jumping amount (the binomial is discrete); the mean over shares is close to the level."""
    covered = [coverage(n, share, level) for share in np.linspace(0.02, 0.98, 97)]
    assert level - 0.012 < np.mean(covered) < level + 0.02
    assert min(covered) > level - 0.12
    assert np.median(np.abs(np.array(covered) - level)) < 0.04


def test_known_values():
    """Brown, Cai and DasGupta (2001); also `statsmodels` proportion_confint(method='wilson')."""
    low, high = wilson(torch.tensor([0, 1, 10, 50, 100]), 100, 0.95)
    assert low.tolist() == pytest.approx([0, 0.001767, 0.055229, 0.403832, 0.963007], abs=1e-6)
    assert high.tolist() == pytest.approx([0.036993, 0.054487, 0.174366, 0.596168, 1], abs=1e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(n=st.integers(1, 10_000), data=st.data(), level=st.floats(0.5, 0.999))
def test_an_interval_holds_its_share_and_stays_in_bounds(n, data, level):
    hits = data.draw(st.integers(0, n))
    low, high = (float(bound) for bound in wilson(torch.tensor([hits]), n, level))
    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1
    mirrored_low, mirrored_high = (float(bound) for bound in wilson(torch.tensor([n - hits]), n, level))
    assert (low, high) == pytest.approx((1 - mirrored_high, 1 - mirrored_low), abs=1e-12)
    wider_low, wider_high = (float(bound) for bound in wilson(torch.tensor([hits]), n, 1 - (1 - level) / 2))
    assert wider_low <= low
    assert high <= wider_high


def test_without_trials_everything_is_possible():
    low, high = wilson(torch.tensor([0]), 0)
    assert low.item() == 0
    assert high.item() > 0.7


@pytest.mark.parametrize("level", [0, 1, -0.5, 95])
def test_levels_outside_are_refused(level):
    with pytest.raises(InputError, match="between 0 and 1"):
        wilson(torch.tensor([1]), 2, level)
