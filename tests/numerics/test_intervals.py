"""Exact binomial intervals hold at their level for every share: coverage by the binomial sum, end by end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from separatrix.errors import InputError
from separatrix.numerics._intervals import clopper_pearson, trials_without_success


def misses(n: int, share: float, level: float) -> tuple[float, float]:
    """P(the interval lies above the true share) and P(it lies below), summed over all outcomes."""
    x = torch.arange(n + 1)
    low, high = (end.numpy() for end in clopper_pearson(x, n, level))
    weights = stats.binom.pmf(x.numpy(), n, share)
    return float(weights[low > share].sum()), float(weights[high < share].sum())


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 5, 20, 100, 381, 1000])
def test_each_end_misses_no_more_often_than_it_says_whatever_the_share(n, level):
    shares = [*np.linspace(0.001, 0.999, 97), 0.01, 0.99]
    above, below = np.array([misses(n, share, level) for share in shares]).T
    tail = 0.5 - level / 2
    assert above.max() <= tail * (1 + 1e-9)
    assert below.max() <= tail * (1 + 1e-9)
    if n >= 100:  # and it is not simply wide: somewhere it misses nearly as often as it may
        assert above.max() > 0.8 * tail
        assert below.max() > 0.8 * tail


@pytest.mark.parametrize("n", [50, 100, 381, 1000])
def test_exceeded_is_false_at_a_true_share_of_one_percent_in_at_most_two_and_a_half_percent(n):
    """The Wilson interval lay above 1 % in up to 9.6 % of all samples."""
    assert misses(n, 0.01, 0.95)[0] <= 0.025


def test_known_values():
    """R: binom.test(x, 100)$conf.int."""
    low, high = clopper_pearson(torch.tensor([0, 1, 10, 50, 100]), 100, 0.95)
    assert low.tolist() == pytest.approx([0, 0.0002531460, 0.0490046885, 0.3983211294, 0.9637833073], abs=1e-9)
    assert high.tolist() == pytest.approx([0.0362166927, 0.0544594, 0.1762225525, 0.6016788706, 1], abs=1e-6)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(n=st.integers(1, 10_000), data=st.data(), level=st.floats(0.5, 0.999))
def test_an_interval_holds_its_share_stays_in_bounds_and_is_symmetric(n, data, level):
    hits = data.draw(st.integers(0, n))
    low, high = (float(bound) for bound in clopper_pearson(torch.tensor([hits]), n, level))
    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1
    mirrored_low, mirrored_high = (float(bound) for bound in clopper_pearson(torch.tensor([n - hits]), n, level))
    assert (low, high) == pytest.approx((1 - mirrored_high, 1 - mirrored_low), abs=1e-9)
    wider_low, wider_high = (float(bound) for bound in clopper_pearson(torch.tensor([hits]), n, 1 - (1 - level) / 2))
    assert wider_low <= low
    assert high <= wider_high
    tail = 0.5 - level / 2
    if hits:
        assert float(stats.binom.sf(hits - 1, n, low)) == pytest.approx(tail, rel=1e-6)
    if hits < n:
        assert float(stats.binom.cdf(hits, n, high)) == pytest.approx(tail, rel=1e-6)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(share=st.floats(1e-5, 0.99), level=st.floats(0.5, 0.999))
def test_so_many_trials_and_no_fewer_put_none_below_a_share(share, level):
    n = trials_without_success(share, level)
    upper = [float(clopper_pearson(torch.tensor([0]), count, level)[1]) for count in (n - 1, n)]
    assert upper[1] <= share * (1 + 1e-9)
    assert upper[0] > share * (1 - 1e-9)


def test_without_trials_everything_is_possible():
    low, high = clopper_pearson(torch.tensor([0]), 0)
    assert (low.item(), high.item()) == (0, 1)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95])
def test_levels_outside_are_refused(level):
    with pytest.raises(InputError, match="between 0 and 1"):
        clopper_pearson(torch.tensor([1]), 2, level)
    with pytest.raises(InputError, match="between 0 and 1"):
        trials_without_success(0.1, level)
    with pytest.raises(InputError, match="between 0 and 1"):
        trials_without_success(0.0)
