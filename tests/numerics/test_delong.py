"""Two detectors on few inputs: the exact test, and intervals that are as wide as few inputs make them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import rankdata

from separatrix.numerics._delong import delong_test
from separatrix.numerics._metrics import auroc, auroc_interval

few_pairs = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=4)


def by_definition(id_first, ood_first, id_second, ood_second):
    """The share of all exchanges of the two detectors' ranks with a difference of AUROCs at least as large."""
    n = len(id_first)
    first, second = rankdata([*id_first, *ood_first]), rankdata([*id_second, *ood_second])

    def difference(a, b):
        return auroc(a[:n], a[n:]) - auroc(b[:n], b[n:])

    observed = abs(difference(first, second))
    found = [
        abs(difference(np.where(swapped, second, first), np.where(swapped, first, second)))
        for swapped in itertools.product([False, True], repeat=len(first))
    ]
    return float(np.mean(np.array(found) >= observed - 1e-12))


def test_seven_inputs_never_prove_anything_beyond_their_number():
    """A perfect detector against an inverted one at 4 + 3: no estimated variance, yet p was 0 and the interval had no width."""
    result = delong_test([0, 1, 2, 3], [4, 5, 6], [4, 5, 6, 7], [1, 2, 3])
    assert (result.first, result.second) == (1.0, 0.0)
    assert result.p_value == by_definition([0, 1, 2, 3], [4, 5, 6], [4, 5, 6, 7], [1, 2, 3])
    assert 2**-6 <= result.p_value < 0.05
    assert result.difference.value == 1.0
    # Of three independent pairs all agreed: at 97.5 % each no more than 1 − .0125^(1/3) of all pairs do otherwise.
    width = 1 - 0.0125 ** (1 / 3)
    assert result.difference.low == pytest.approx(1 - 2 * width, abs=1e-12)
    assert result.difference.high == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(inside=few_pairs, outside=few_pairs)
def test_few_inputs_have_the_permutation_p_value_and_an_interval_with_a_width(inside, outside):
    (id_first, id_second), (ood_first, ood_second) = np.array(inside, float).T, np.array(outside, float).T
    result = delong_test(id_first, ood_first, id_second, ood_second)
    expected = by_definition(id_first, ood_first, id_second, ood_second)
    assert result.p_value == pytest.approx(expected, abs=1e-12)
    assert result.p_value >= 2.0 ** (1 - len(inside) - len(outside))
    low, high = result.difference.low, result.difference.high
    assert low <= result.difference.value + 1e-12
    assert result.difference.value <= high + 1e-12
    assert high - low > 0.3
    swapped = delong_test(id_second, ood_second, id_first, ood_first)
    assert swapped.p_value == result.p_value
    assert (swapped.difference.low, swapped.difference.high) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize("separation", [0.0, 1.0, 3.0])
def test_at_four_and_three_inputs_neither_test_nor_interval_promises_too_much(separation):
    """Exchangeable detectors: equal AUROCs are rejected, and left out of the interval, no more often than stated."""
    generator = np.random.default_rng(1)
    rejected = missed = 0
    for _ in range(400):
        inside = generator.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 4)
        outside = generator.multivariate_normal([separation, separation], [[1, 0.5], [0.5, 1]], 3)
        result = delong_test(inside[:, 0], outside[:, 0], inside[:, 1], outside[:, 1])
        rejected += result.p_value <= 0.05
        missed += not result.difference.low <= 0 <= result.difference.high
    assert rejected / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert missed / 400 <= 0.05


def test_many_inputs_without_any_variance():
    ordered = np.arange(30.0)
    result = delong_test(ordered, ordered + 40, ordered + 40, ordered)
    assert result.p_value == pytest.approx(
        1 / 4097, abs=1e-15
    )  # the largest difference there is, of 4096 drawn and itself
    assert 0.6 < result.difference.low < result.difference.high == pytest.approx(1.0, abs=1e-12)
    assert result == delong_test(ordered, ordered + 40, ordered + 40, ordered)


def test_the_same_ranking_twice_is_no_difference_that_these_inputs_show():
    inside, outside = np.arange(10.0), np.arange(5.0, 15.0)
    result = delong_test(inside, outside, np.exp(inside), np.exp(outside))
    assert (result.difference.value, result.z, result.p_value) == (0.0, 0.0, 1.0)
    width = 1 - 0.025 ** (1 / 10)
    assert (result.difference.low, result.difference.high) == pytest.approx((-width, width), abs=1e-12)


@pytest.mark.parametrize("paired", [False, True])
def test_no_auroc_has_an_interval_without_width(paired):
    width = 1 - 0.025 ** (1 / 4)
    tied, ordered = np.zeros(4), np.arange(4.0)
    for inside, outside, value in (
        (tied, tied, 0.5),
        (ordered, ordered + 9, 1.0),
        (ordered + 9, ordered, 0.0),
        *(((ordered, ordered, 0.5),) if paired else ()),
    ):
        found = auroc_interval(inside, outside, paired=paired)
        assert found == pytest.approx((value, max(0, value - width), min(1, value + width)), abs=1e-12)


@pytest.mark.parametrize(("separation", "count"), [(0, 4), (1, 4), (3, 4), (2, 12)])
def test_intervals_of_few_inputs_cover(separation, count):
    generator = np.random.default_rng(3)
    truth = float(ndtr(separation / np.sqrt(2)))
    found = [auroc_interval(generator.normal(size=count), generator.normal(separation, 1, 3)) for _ in range(600)]
    assert np.mean([low <= truth <= high for _, low, high in found]) >= 0.95
