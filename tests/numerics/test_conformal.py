"""Conformal p-values: formula, ties, exact finite-sample law, Benjamini–Hochberg, sizes of calibration sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from separatrix.errors import InputError
from separatrix.numerics._conformal import (
    calibration_for_precision,
    conformal_p_values,
    discoveries,
    false_alarm_interval,
    smallest_calibration,
)
from separatrix.numerics._ranks import rank_p_values

scores_with_ties = st.lists(st.integers(-3, 3), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None)
@given(scores_with_ties, scores_with_ties)
def test_the_formula_on_either_side(scores, calibration):
    s, c = torch.tensor(scores, dtype=torch.float32), torch.tensor(calibration, dtype=torch.float32)
    n = len(calibration)
    high = [(1 + sum(x >= y for x in calibration)) / (n + 1) for y in scores]
    low = [(1 + sum(x <= y for x in calibration)) / (n + 1) for y in scores]
    assert conformal_p_values(s, c).tolist() == pytest.approx(high, abs=1e-15)
    assert conformal_p_values(s, c, side="low").tolist() == pytest.approx(low, abs=1e-15)
    both = [min(1.0, 2 * min(a, b)) for a, b in zip(high, low, strict=True)]
    assert conformal_p_values(s, c, side="both").tolist() == pytest.approx(both, abs=1e-15)
    assert torch.equal(conformal_p_values(s, c), rank_p_values(s, c))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=15), st.floats(0.01, 0.99))
def test_validity_in_every_finite_sample(pool, rate):
    """Any one of n + 1 exchangeable scores may be the test: at most a share α of the choices gives p ≤ α, ties or not."""
    values = torch.tensor(pool, dtype=torch.float64)
    for side in ("high", "low", "both"):
        p = [
            float(conformal_p_values(values[i : i + 1], torch.cat([values[:i], values[i + 1 :]]), side=side))
            for i in range(len(pool))
        ]
        assert np.mean(np.array(p) <= rate) <= rate + 1e-12


def test_without_ties_the_law_is_exact():
    values = torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = [float(conformal_p_values(values[i : i + 1], torch.cat([values[:i], values[i + 1 :]]))) for i in range(20)]
    assert sorted(p) == pytest.approx([k / 20 for k in range(1, 21)], abs=1e-15)


def test_scale_does_not_matter_and_small_differences_do():
    calibration = 1e-14 * torch.arange(9, dtype=torch.float64)
    assert conformal_p_values(calibration[-1:] + 1e-14, calibration).tolist() == [0.1]
    assert conformal_p_values(calibration[-1:], calibration).tolist() == [0.2]


def test_what_cannot_be_scored_has_no_p_value():
    p = conformal_p_values(torch.tensor([torch.nan, torch.inf, -torch.inf]), torch.arange(4.0))
    assert bool(p[0].isnan())
    assert p[1:].tolist() == [0.2, 1.0]


def test_random_ties_make_discrete_scores_uniform():
    generator = torch.Generator().manual_seed(0)
    p, plain = [], []
    for repeat in range(300):
        values = torch.randint(0, 3, (31,), generator=generator).double()
        p += conformal_p_values(values[:1], values[1:], randomized=True, seed=repeat).tolist()
        plain += conformal_p_values(values[:1], values[1:]).tolist()
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert stats.kstest(plain, "uniform").pvalue < 1e-6
    scores = torch.randn(50, generator=generator)
    first, second = (conformal_p_values(scores, torch.arange(3.0), randomized=True, seed=4) for _ in range(2))
    assert torch.equal(first, second)


def test_the_false_alarm_rate_of_one_calibration_set_follows_its_beta_law():
    generator = np.random.default_rng(0)
    n, rate = 199, 0.1
    calibration = np.sort(generator.uniform(size=(2000, n)), axis=1)
    realised = 1 - calibration[:, n - int(rate * (n + 1))]  # continuous uniform scores: the share above the threshold
    assert realised.mean() == pytest.approx(rate, abs=0.003)
    low, high = false_alarm_interval(rate, n, level=0.9)
    assert np.mean((low <= realised) & (realised <= high)) == pytest.approx(0.9, abs=0.03)
    threshold = torch.from_numpy(calibration[0])
    just_above, just_below = realised[0] * 0.999, realised[0] * 1.001
    p = conformal_p_values(torch.tensor([1 - just_above, 1 - just_below], dtype=torch.float64), threshold)
    assert p[0] <= rate < p[1]
    assert false_alarm_interval(0.01, 98) == (0.0, 0.0)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.05, 0.01, 0.003, 1 / 3])
@pytest.mark.parametrize("tests", [1, 7, 1000])
def test_the_smallest_calibration_is_the_smallest(rate, tests):
    n = smallest_calibration(rate, tests=tests)
    assert 1 / (n + 1) <= rate / tests * (1 + 1e-12)
    assert n == 1 or 1 / n > rate / tests
    if n < 5000:
        p = torch.cat([conformal_p_values(torch.tensor([1e9]), torch.arange(float(n))), torch.ones(tests - 1)])
        assert bool(discoveries(p, rate)[0])


@pytest.mark.parametrize(("rate", "relative"), [(0.01, 0.5), (0.05, 0.2), (0.1, 0.1)])
def test_the_calibration_for_a_precision_gives_it_and_one_rank_less_does_not(rate, relative):
    n = calibration_for_precision(rate, relative)
    for size, enough in ((n, True), (n - round(1 / rate), False), (4 * (n + 1) - 1, True)):
        rank = round(rate * (size + 1))
        law = stats.beta(rank, size + 1 - rank)
        assert (law.cdf(rate * (1 + relative)) - law.cdf(rate * (1 - relative)) >= 0.95) == enough


def test_discoveries_keep_the_false_discovery_rate():
    generator = torch.Generator().manual_seed(1)
    shares, found = [], []
    for _ in range(300):
        calibration = torch.randn(500, generator=generator, dtype=torch.float64)
        scores = torch.randn(100, generator=generator, dtype=torch.float64)
        scores[:20] += 4
        called = discoveries(conformal_p_values(scores, calibration), 0.1)
        shares.append(float(called[20:].sum()) / max(int(called.sum()), 1))
        found.append(float(called[:20].double().mean()))
    assert np.mean(shares) < 0.1
    assert np.mean(shares) > 0.05  # the procedure's level is 0.1 · 80/100
    assert np.mean(found) > 0.9


def test_unscorable_inputs_are_no_tests():
    p = torch.tensor([0.01, torch.nan, 0.2], dtype=torch.float64)
    assert discoveries(p, 0.02).tolist() == [True, False, False]
    assert discoveries(torch.full((3,), torch.nan), 0.5).tolist() == [False] * 3


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: conformal_p_values(torch.ones(2), torch.ones(0)), "held-out ID"),
        (lambda: conformal_p_values(torch.ones(2), torch.tensor([1.0, torch.nan])), "no NaN"),
        (lambda: conformal_p_values(torch.ones(2, 2), torch.ones(3)), "one-dimensional"),
        (lambda: conformal_p_values(torch.ones(2), torch.ones(3), side="left"), "'both'"),
        (lambda: discoveries(torch.ones(2), 0.0), "between 0 and 1"),
        (lambda: smallest_calibration(1.0), "between 0 and 1"),
        (lambda: smallest_calibration(0.1, tests=0), "at least 1"),
        (lambda: calibration_for_precision(0.1, 0.0), "above 0"),
        (lambda: false_alarm_interval(0.1, 0), "at least 1"),
    ],
)
def test_bad_input_is_named(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
