"""AUROC, AUPR, FPR95, bootstrap and DeLong: Gaussian oracles, scikit-learn, definitions by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from separatrix.errors import InputError
from separatrix.numerics._delong import delong_test
from separatrix.numerics._metrics import (
    aupr_id_positive,
    aupr_ood_positive,
    auroc,
    auroc_interval,
    bootstrap_interval,
    fpr95_id_kept,
    fpr95_ood_caught,
)

GRID = ndtri((np.arange(50_000) + 0.5) / 50_000)  # the quantiles of N(0, 1): a sample without sampling error
scores_with_ties = st.lists(st.integers(-4, 4), min_size=1, max_size=25)


@pytest.mark.parametrize("unit", [1.0, 1e6, 1e-6])
def test_gaussian_oracles_at_any_scale(unit):
    assert auroc(unit * GRID, unit * (GRID + 2)) == pytest.approx(0.92135, abs=5e-6)
    assert auroc(unit * GRID, unit * (2 + 3 * GRID)) == pytest.approx(0.73646, abs=5e-6)
    assert auroc(unit * GRID, unit * (2 + 3 * GRID)) == pytest.approx(float(ndtr(2 / math.sqrt(10))), abs=2e-7)


def test_both_conventions_of_fpr95_on_the_gaussians():
    z = float(ndtri(0.95))
    kept, caught = fpr95_id_kept(GRID, 2 + 3 * GRID), fpr95_ood_caught(GRID, 2 + 3 * GRID)
    assert kept == pytest.approx(0.453, abs=5e-4)
    assert caught == pytest.approx(0.998, abs=5e-4)
    assert kept == pytest.approx(float(ndtr((z - 2) / 3)), abs=1e-4)
    assert caught == pytest.approx(float(ndtr(3 * z - 2)), abs=1e-4)


def test_a_scale_of_a_million_changes_no_digit():
    generator = np.random.default_rng(0)
    inside, outside = generator.normal(size=501), generator.normal(2, 3, size=400)
    for metric in (auroc, aupr_ood_positive, aupr_id_positive, fpr95_id_kept, fpr95_ood_caught):
        assert metric(inside, outside) == metric(1e6 * inside, 1e6 * outside)
        assert metric(inside, outside) == metric(np.exp(inside), np.exp(outside))


def test_scores_that_differ_in_the_last_digit_of_float64_differ():
    assert auroc([1.0], [np.nextafter(1.0, 2.0)]) == 1.0
    assert auroc([1e300], [np.inf]) == 1.0
    assert auroc([np.inf], [np.inf]) == 0.5


@settings(max_examples=80, deadline=None)
@given(scores_with_ties, scores_with_ties)
def test_scikit_learn_agrees_ties_included(inside, outside):
    label = np.r_[np.zeros(len(inside)), np.ones(len(outside))]
    score = np.r_[inside, outside].astype(float)
    assert auroc(inside, outside) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert aupr_ood_positive(inside, outside) == pytest.approx(average_precision_score(label, score), abs=1e-12)
    assert aupr_id_positive(inside, outside) == pytest.approx(average_precision_score(1 - label, -score), abs=1e-12)
    for ours, positive, sign in ((fpr95_ood_caught, label, 1), (fpr95_id_kept, 1 - label, -1)):
        false, true, _ = roc_curve(positive, sign * score, drop_intermediate=False)
        assert ours(inside, outside) == pytest.approx(false[np.argmax(true >= 0.95 - 1e-12)], abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(scores_with_ties, scores_with_ties)
def test_the_area_is_the_share_of_ordered_pairs(inside, outside):
    pairs = [(o > i) + 0.5 * (o == i) for i in inside for o in outside]
    assert auroc(inside, outside) == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    assert auroc(inside, outside) + auroc(outside, inside) == pytest.approx(1.0, abs=1e-12)


def test_other_shares_than_95_percent():
    inside, outside = np.arange(10.0), np.arange(10.0)
    assert fpr95_id_kept(inside, outside, kept=0.5) == 0.5
    assert fpr95_ood_caught(inside, outside, caught=0.3) == 0.3
    assert fpr95_id_kept(np.arange(20.0), [18.0, 18.5, 19.0]) == pytest.approx(1 / 3)  # 19 of 20 are 95 %


def test_tensors_of_every_precision_are_read():
    inside, outside = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 3.0])
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.int64):
        assert auroc(inside.to(dtype), outside.to(dtype)) == 0.75


def brute_force_delong(inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs and their covariance by the definition: kernels of all pairs, detectors in columns."""
    kernel = (outside[:, None] > inside[None]) + 0.5 * (outside[:, None] == inside[None])
    of_outside, of_inside = kernel.mean(axis=1), kernel.mean(axis=0)
    covariance = np.cov(of_outside.T) / len(outside) + np.cov(of_inside.T) / len(inside)
    return kernel.mean(axis=(0, 1)), covariance


@pytest.mark.parametrize("digits", [15, 0])
def test_delong_follows_its_definition_ties_included(digits):
    generator = np.random.default_rng(1)
    inside = np.round(generator.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 80), digits)
    outside = np.round(generator.multivariate_normal([1, 0.7], [[1, 0.6], [0.6, 1]], 60), digits)
    areas, covariance = brute_force_delong(inside, outside)
    result = delong_test(inside[:, 0], outside[:, 0], inside[:, 1], outside[:, 1])
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert [result.first, result.second] == pytest.approx(areas.tolist(), abs=1e-12)
    assert result.z == pytest.approx((areas[0] - areas[1]) / error, rel=1e-9)
    assert result.p_value == pytest.approx(2 * (1 - ndtr(abs(result.z))), abs=1e-12)
    half = 1.959963984540054 * error
    assert result.difference == pytest.approx(
        (areas[0] - areas[1], areas[0] - areas[1] - half, areas[0] - areas[1] + half)
    )
    swapped = delong_test(inside[:, 1], outside[:, 1], inside[:, 0], outside[:, 0])
    assert swapped.z == -result.z


def test_delong_rejects_at_its_level_if_there_is_no_difference_and_notices_one():
    generator = np.random.default_rng(2)
    null, real = [], []
    for _ in range(400):
        inside = generator.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 60)
        outside = generator.multivariate_normal([1, 1], [[1, 0.5], [0.5, 1]], 60)
        null.append(delong_test(inside[:, 0], outside[:, 0], inside[:, 1], outside[:, 1]).p_value)
        real.append(delong_test(inside[:, 0], outside[:, 0] + 1, inside[:, 1], outside[:, 1]).p_value)
    assert np.mean(np.array(null) < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(np.array(real) < 0.05) > 0.9


def test_intervals_cover_as_often_as_they_say():
    generator = np.random.default_rng(3)
    truth = float(ndtr(1 / math.sqrt(2)))
    analytic = resampled = 0
    for repeat in range(200):
        inside, outside = generator.normal(size=60), generator.normal(1, 1, size=50)
        low, high = auroc_interval(inside, outside, level=0.9)[1:]
        analytic += low <= truth <= high
        interval = bootstrap_interval(auroc, inside, outside, level=0.9, repeats=120, seed=repeat)
        assert interval.value == auroc(inside, outside)
        resampled += interval.low <= truth <= interval.high
    assert analytic / 200 == pytest.approx(0.9, abs=0.06)
    assert resampled / 200 == pytest.approx(0.9, abs=0.06)


def test_the_analytic_interval_has_delongs_error_and_sane_ends():
    generator = np.random.default_rng(4)
    inside, outside = generator.normal(size=400), generator.normal(1, 1, size=300)
    _, covariance = brute_force_delong(np.c_[inside, inside], np.c_[outside, outside])
    value, low, high = auroc_interval(inside, outside)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(covariance[0, 0]), rel=0.01)
    assert low < value < high
    assert auroc_interval(np.arange(100.0), np.arange(100.0, 200.0)) == pytest.approx((1.0, 1 - 0.03622, 1.0), abs=1e-5)
    assert auroc_interval(np.arange(100.0, 200.0), np.arange(100.0)) == pytest.approx((0.0, 0.0, 0.03622), abs=1e-5)


def test_the_paired_interval_holds_its_level_where_the_unpaired_one_is_far_too_wide():
    """OOD score = ID score + a small shift + noise. Truth: the difference of two independent draws is N(shift, 2 + noise²)."""
    generator = np.random.default_rng(6)
    shift, noise, repeats, n = -0.15, 0.3, 400, 80
    truth = float(ndtr(shift / math.sqrt(2 + noise**2)))
    paired = unpaired = 0
    widths = []
    for _ in range(repeats):
        inside = generator.normal(size=n)
        outside = inside + generator.normal(shift, noise, size=n)
        value, low, high = auroc_interval(inside, outside, level=0.9, paired=True)
        apart = auroc_interval(inside, outside, level=0.9)
        assert value == apart.value == auroc(inside, outside)
        paired += low <= truth <= high
        unpaired += apart.low <= truth <= apart.high
        widths.append((high - low) / (apart.high - apart.low))
    assert paired / repeats == pytest.approx(0.9, abs=0.05)
    assert unpaired / repeats > 0.99
    assert np.median(widths) < 0.5


def test_the_paired_variance_by_brute_force():
    """The delete-one-pair jackknife of the AUROC, which needs no formula, tends to the same variance."""
    generator = np.random.default_rng(7)
    inside = np.round(generator.normal(size=150), 1)
    outside = np.round(0.7 * inside + generator.normal(0.4, 0.6, size=150), 1)  # with ties
    without = [auroc(np.delete(inside, i), np.delete(outside, i)) for i in range(150)]
    jackknife = math.sqrt(149 / 150 * np.square(np.array(without) - np.mean(without)).sum())
    _, low, high = auroc_interval(inside, outside, paired=True)
    assert high - low == pytest.approx(2 * 1.96 * jackknife, rel=0.02)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    pairs=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=20), seed=st.integers(0, 9)
)
def test_pairs_may_be_listed_in_any_order_and_turned_round(pairs, seed):
    inside, outside = np.array(pairs, dtype=float).T
    order = np.random.default_rng(seed).permutation(len(pairs))
    found = auroc_interval(inside, outside, paired=True)
    assert auroc_interval(inside[order], outside[order], paired=True) == pytest.approx(found, abs=1e-12)
    turned = auroc_interval(outside, inside, paired=True)
    assert turned == pytest.approx((1 - found.value, 1 - found.high, 1 - found.low), abs=1e-9)
    assert found.low - 1e-12 <= found.value <= found.high + 1e-12


def test_the_bootstrap_is_reproducible_and_keeps_pairs_together():
    generator = np.random.default_rng(5)
    inside, outside = generator.normal(size=(50, 1)), generator.normal(1, 1, size=(40, 1))
    both = np.hstack([inside, 2 * inside + 1]), np.hstack([outside, 2 * outside + 1])

    def difference(a, b):
        return auroc(a[:, 0], b[:, 0]) - auroc(a[:, 1], b[:, 1])

    assert bootstrap_interval(difference, *both, repeats=50) == (0.0, 0.0, 0.0)
    first = bootstrap_interval(auroc, inside[:, 0], outside[:, 0], repeats=50, seed=1)
    assert first == bootstrap_interval(auroc, inside[:, 0], outside[:, 0], repeats=50, seed=1)
    assert first != bootstrap_interval(auroc, inside[:, 0], outside[:, 0], repeats=50, seed=2)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: auroc([], [1.0]), "no ID scores"),
        (lambda: auroc([1.0], [np.nan, 2.0]), "1 OOD scores are NaN"),
        (lambda: auroc([[1.0]], [1.0]), "one number per input"),
        (lambda: fpr95_id_kept([1.0], [1.0], kept=0), "share to keep"),
        (lambda: delong_test([1, 2], [1, 2], [1, 2, 3], [1, 2]), "same inputs"),
        (lambda: delong_test([1], [1, 2], [1], [1, 2]), "at least two"),
        (lambda: auroc_interval([1, 2], [1, 2], level=1.0), "confidence level"),
        (lambda: auroc_interval([1, 2], [1, 2, 3], paired=True), "as many ID as OOD"),
        (lambda: bootstrap_interval(auroc, [1, 2], [1, 2], repeats=0), "at least one repeat"),
    ],
)
def test_bad_input_is_named(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
