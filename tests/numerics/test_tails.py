"""The mean of a power law that ends somewhere, from its quantiles: exact by integration, whatever its exponent."""

from __future__ import annotations

import math

import pytest
import torch

from separatrix.numerics._tails import mean_with_tail


@pytest.mark.parametrize("power", [0.5, 0.8, 1.0, 1.25, 1.5])
def test_a_power_law_has_the_mean_of_what_is_cut_off_at_the_largest(power):
    """P(X > x) = x^-power from 1 on: the mean of min(X, L) is 1 + the integral of that up to L."""
    share = (torch.arange(3000, dtype=torch.float64) + 0.5) / 3000
    sample = share ** (-1 / power)
    largest = 10 * float(sample.max())
    exact = 1 + (math.log(largest) if power == 1 else (largest ** (1 - power) - 1) / (1 - power))
    mean, at_most = mean_with_tail(sample, largest)
    assert mean == pytest.approx(exact, rel=0.05)
    assert mean < at_most < largest


def test_an_exponent_of_exactly_one_is_a_logarithm():
    """Five of twelve are e times the next, so Hill's estimate is 1: 7/12 for the others, and 5/12 of 1 + log 100."""
    sample = torch.tensor([math.e] * 5 + [1.0] * 7, dtype=torch.float64)
    assert mean_with_tail(sample, 100.0)[0] == pytest.approx((7 + 5 * (1 + math.log(100))) / 12, rel=1e-12)


def test_without_a_heavy_tail_both_are_the_mean_of_the_sample():
    sample = torch.linspace(1, 2, 100, dtype=torch.float64)
    assert mean_with_tail(sample, 1e6) == (1.5, 1.5)
