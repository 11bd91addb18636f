"""Bootstrap means: exact where nothing varies, the normal interval where much does, nominal coverage, same seed same ends."""

from __future__ import annotations

import math

import pytest
import torch

from separatrix.errors import InputError
from separatrix.numerics._bootstrap import bootstrap_means, interval_of


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_constant_has_an_interval_of_no_width():
    means = bootstrap_means(torch.full((7, 3), 2.5), repeats=50, seed=0)
    assert means.shape == (50, 3)
    assert float((means - 2.5).abs().max()) < 1e-14


def test_two_values_give_the_three_possible_means_with_binomial_frequencies():
    means = bootstrap_means(torch.tensor([[0.0], [1.0]]), repeats=20_000, seed=1)[:, 0]
    for value, probability in ((0.0, 0.25), (0.5, 0.5), (1.0, 0.25)):
        assert float((means == value).double().mean()) == pytest.approx(probability, abs=0.015)


def test_the_interval_of_many_values_is_the_normal_one():
    values = gaussian(400, 1)
    low, high = interval_of(bootstrap_means(values, repeats=4000, seed=2))
    half = 1.96 * float(values.std(unbiased=False)) / math.sqrt(400)
    assert float(low) == pytest.approx(float(values.mean()) - half, abs=0.1 * half)
    assert float(high) == pytest.approx(float(values.mean()) + half, abs=0.1 * half)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    held = 0
    for trial in range(200):
        low, high = interval_of(bootstrap_means(gaussian(60, 1, seed=trial), repeats=300, seed=trial))
        held += bool((low <= 0) & (high >= 0))
    assert 0.90 <= held / 200 <= 0.98


def test_columns_are_drawn_together():
    """The same items in every column: a paired difference is the difference of the means."""
    values = gaussian(30, 2)
    both = bootstrap_means(values, repeats=100, seed=3)
    difference = bootstrap_means(values[:, :1] - values[:, 1:], repeats=100, seed=3)
    assert torch.allclose(both[:, :1] - both[:, 1:], difference, atol=1e-14)
    assert torch.equal(both, bootstrap_means(values, repeats=100, seed=3))
    assert not torch.equal(both, bootstrap_means(values, repeats=100, seed=4))


def test_layers_add_their_own_variance():
    """Values aᵢ + bⱼ: the variance of the mean is that of a over m plus that of b over n."""
    a, b = gaussian(12, seed=1), gaussian(50, seed=2)
    means = bootstrap_means((a[:, None] + b)[:, :, None], repeats=20_000, seed=3)
    expected = float(a.var(unbiased=False)) / 12 + float(b.var(unbiased=False)) / 50
    assert float(means.var()) == pytest.approx(expected, rel=0.04)
    assert float(means.mean()) == pytest.approx(float(a.mean() + b.mean()), abs=0.01)


def test_one_layer_is_none():
    values = gaussian(30, 2)
    assert torch.equal(bootstrap_means(values[None], repeats=50, seed=4), bootstrap_means(values, repeats=50, seed=4))


def test_one_value_has_no_interval():
    with pytest.raises(InputError, match="at least 2"):
        bootstrap_means(torch.zeros(1, 3), repeats=10, seed=0)
    with pytest.raises(InputError, match="repeat"):
        bootstrap_means(torch.zeros(5, 3), repeats=0, seed=0)
