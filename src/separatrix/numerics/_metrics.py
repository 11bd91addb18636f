"""This file tells how well a score separates: AUROC, AUPR, false positives at 95 %, and their uncertainty.

Every function takes the scores of in-distribution (ID) and of out-of-distribution (OOD) inputs, **higher = more OOD**.
Scores are used through their ranks in float64 only, never through a sigmoid or a grid of thresholds: a strictly increasing
map of the scores (a factor of 1e6, a logarithm) changes nothing. ±inf are legal scores; NaN is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.numerics.counter_random import uniform

ROUNDING = 1e-14  # placements are ratios of integers: what is below is not a difference

Scores = Tensor | ArrayLike
Metric = Callable[[Scores, Scores], float]


class Interval(NamedTuple):
    """A value with the ends of its confidence interval."""

    value: float
    low: float
    high: float


def auroc(id_scores: Scores, ood_scores: Scores) -> float:
    """P(s_OOD > s_ID) + ½ P(s_OOD = s_ID): the Mann–Whitney statistic, which is the area under the ROC curve.

    Symmetric in what is called positive: swapping ID and OOD *and* the sign of the scores changes nothing. 0.5 is chance,
    below it the score is inverted. Cost O(n log n).

    Raises:
        InputError: one of the two is empty, not one-dimensional, or contains NaN.

    >>> auroc([0.0, 1.0, 2.0], [1.0, 3.0])
    0.75
    """
    inside, outside = scores_of(id_scores, ood_scores)
    return float(placements(outside, inside).mean())


def aupr_ood_positive(id_scores: Scores, ood_scores: Scores) -> float:
    """Average precision with OOD as the positive class: Σ (R_t − R_{t−1}) P_t over the distinct thresholds t from above.

    The step-wise sum (scikit-learn's ``average_precision_score``), not the trapezoid, which is too optimistic (Davis &
    Goadrich 2006). Tied scores enter at once. Chance level is the share of OOD inputs, n_OOD/(n_ID + n_OOD).

    >>> round(aupr_ood_positive([0.0, 1.0, 2.0], [1.0, 3.0]), 12)
    0.75
    """
    inside, outside = scores_of(id_scores, ood_scores)
    return _average_precision(outside, inside)


def aupr_id_positive(id_scores: Scores, ood_scores: Scores) -> float:
    """Average precision with ID as the positive class and −score as its score; chance level n_ID/(n_ID + n_OOD).

    >>> round(aupr_id_positive([0.0, 1.0, 2.0], [1.0, 3.0]), 12)
    0.805555555556
    """
    inside, outside = scores_of(id_scores, ood_scores)
    return _average_precision(-inside, -outside)


@checked
def fpr95_id_kept(id_scores: Scores, ood_scores: Scores, kept: float = 0.95) -> float:
    """Share of OOD inputs accepted when 95 % of the **ID** inputs are kept: the convention of the paper (METHOD, section 6).

    ID is the positive class: the threshold is the smallest ID score s with #{ID ≤ s} ≥ 0.95 n_ID, an input is accepted if
    its score is ≤ s. For ID N(0, 1), OOD N(2, 3²) it is Φ((z₀.₉₅ − 2)/3) = 0.453.

    >>> fpr95_id_kept(list(range(100)), [50.0, 94.0, 94.5, 200.0])
    0.5
    """
    inside, outside = scores_of(id_scores, ood_scores)
    return float((outside <= _order_statistic(inside, kept)).mean())


@checked
def fpr95_ood_caught(id_scores: Scores, ood_scores: Scores, caught: float = 0.95) -> float:
    """Share of ID inputs rejected when 95 % of the **OOD** inputs are caught: the convention of OpenOOD and pytorch-ood.

    OOD is the positive class: the threshold is the largest OOD score s with #{OOD ≥ s} ≥ 0.95 n_OOD, an input is rejected
    if its score is ≥ s. For ID N(0, 1), OOD N(2, 3²) it is Φ(3 z₀.₉₅ − 2) = 0.998.

    >>> fpr95_ood_caught([4.0, 5.0, 5.5, 90.0], list(range(100)))
    0.75
    """
    inside, outside = scores_of(id_scores, ood_scores)
    return float((-inside <= _order_statistic(-outside, caught)).mean())


@checked
def bootstrap_interval(
    metric: Metric,
    id_scores: Scores,
    ood_scores: Scores,
    *,
    level: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap (Efron 1979): ID and OOD inputs are drawn anew with replacement, each within its group.

    For a *difference* of two detectors on the same inputs pass two-column scores ``(n, 2)`` and a metric of them: rows are
    drawn, so pairs stay together. Deterministic in ``seed``; the i-th draw does not depend on ``repeats``. The interval
    expresses the uncertainty from the finite test set only, not from training. Where the metric is the same for every draw
    (perfect separation) the interval has no width, which is no certainty: resampling then cannot say. Cost: ``repeats`` evaluations of the metric.

    >>> interval = bootstrap_interval(auroc, np.arange(50.0), np.arange(25.0, 75.0), repeats=200)
    >>> interval.low < interval.value < interval.high
    True
    """
    inside, outside = _array(id_scores, "ID"), _array(ood_scores, "OOD")
    if not 0 < level < 1 or repeats < 1:
        raise InputError(
            f"A bootstrap needs a level between 0 and 1 and at least one repeat, not {level} and {repeats}."
        )
    n, m = len(inside), len(outside)
    values = np.empty(repeats)
    for repeat in range(repeats):
        draws = uniform(seed, repeat, 1, n + m)[0]
        values[repeat] = metric(inside[(draws[:n] * n).astype(np.int64)], outside[(draws[n:] * m).astype(np.int64)])
    low, high = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(metric(inside, outside), float(low), float(high))


@checked
def auroc_interval(id_scores: Scores, ood_scores: Scores, *, level: float = 0.95, paired: bool = False) -> Interval:
    """AUROC A with DeLong's standard error, on the logit scale, so that the interval stays in [0, 1].

    With V₁₀(i) the share of ID scores below OOD score i and V₀₁(i) the share of OOD scores above ID score i, ties as ½,
    the variance is var(V₁₀)/n_OOD + var(V₀₁)/n_ID (DeLong et al. 1988). If OOD input i was made *from* ID input i (its
    blurred copy, say), the two shares are not independent; with ``paired`` the variance is var(V₁₀ + V₀₁)/n, the same
    expansion with one draw per pair, and the interval is right for pairs: much narrower, if a score follows its original.

    Where the estimated variance is 0 (perfect separation, nothing but ties, copies that keep every order) it says nothing
    about the true one. All of min(n_ID, n_OOD) independent pairs then agreed, so with confidence γ no more than a share
    w = 1 − ((1 − γ)/2)^(1/min) of all pairs does otherwise (the "rule of three"), and the interval is A ± w within [0, 1].

    Raises:
        InputError: fewer than two of either kind, or ``paired`` and not as many of one as of the other.

    >>> interval = auroc_interval(np.arange(50.0), np.arange(25.0, 75.0))
    >>> interval.low < interval.value < interval.high
    True
    >>> round(auroc_interval(np.arange(50.0), np.arange(50.0), paired=True).low, 3)  # no input differs from its original
    0.429
    """
    inside, outside = scores_of(id_scores, ood_scores)
    if paired and len(inside) != len(outside):
        raise InputError(f"Pairs need as many ID as OOD scores, not {len(inside)} and {len(outside)}.")
    z = normal_quantile(level)
    value = float(placements(outside, inside).mean())
    error = float(np.sqrt(_paired_variance(inside, outside) if paired else _delong_variance(inside, outside)))
    if error <= ROUNDING or value in (0.0, 1.0):
        width = never_seen(len(inside), len(outside), level)
        return Interval(value, max(value - width, 0.0), min(value + width, 1.0))
    logit, spread = np.log(value / (1 - value)), z * error / (value * (1 - value))
    return Interval(value, float(1 / (1 + np.exp(spread - logit))), float(1 / (1 + np.exp(-spread - logit))))


def never_seen(n: int, m: int, level: float) -> float:
    """The largest share of pairs that min(n, m) independent ones can all have missed, at that confidence."""
    return float(1 - (0.5 - level / 2) ** (1 / min(n, m)))


def _delong_variance(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    return float(delong_covariance(inside[:, None], outside[:, None])[0, 0])


def _paired_variance(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """Estimate the variance of one AUROC from pairs: var(V₁₀(i) + V₀₁(i))/n."""
    if len(inside) < 2:
        raise InputError("A variance needs at least two ID and two OOD inputs.")
    return float(np.var(placements(outside, inside) - placements(inside, outside), ddof=1) / len(inside))


def delong_covariance(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance matrix of the AUROCs of several scores, one per column."""
    if len(inside) < 2 or len(outside) < 2:
        raise InputError("A variance needs at least two ID and two OOD inputs.")
    of_outside = np.stack([placements(o, i) for i, o in zip(inside.T, outside.T, strict=True)])
    of_inside = np.stack([1 - placements(i, o) for i, o in zip(inside.T, outside.T, strict=True)])
    spread: NDArray[np.float64] = np.atleast_2d(np.cov(of_outside)) / len(outside)
    return spread + np.atleast_2d(np.cov(of_inside)) / len(inside)


def placements(values: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each value the share of ``among`` below it, ties as ½."""
    ordered = np.sort(among)
    twice = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    share: NDArray[np.float64] = twice / (2 * len(ordered))
    return share


def _average_precision(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    thresholds = np.unique(positive)  # a threshold at which no positive enters adds no recall
    at_least = len(positive) - np.searchsorted(np.sort(positive), thresholds, side="left")
    false = len(negative) - np.searchsorted(np.sort(negative), thresholds, side="left")
    entering = at_least - np.append(at_least[1:], 0)
    return float((entering * at_least / (at_least + false)).sum() / len(positive))


def _order_statistic(values: NDArray[np.float64], share: float) -> float:
    """The smallest value v with #{values ≤ v} ≥ share · n."""
    if not 0 < share <= 1:
        raise InputError(f"The share to keep lies above 0 and at most at 1, not at {share}.")
    needed = int(np.ceil(share * len(values) * (1 - 1e-12)))  # 0.95 · 20 must not round up to 20
    return float(np.sort(values)[max(needed, 1) - 1])


def normal_quantile(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"A confidence level lies between 0 and 1, not at {level}.")
    return float(scipy.special.ndtri(0.5 + level / 2))


def scores_of(id_scores: Scores, ood_scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    inside, outside = _array(id_scores, "ID"), _array(ood_scores, "OOD")
    if inside.ndim != 1 or outside.ndim != 1:
        raise InputError(
            f"Scores are one number per input, not of shapes {inside.shape} (ID) and {outside.shape} (OOD)."
        )
    return inside, outside


def _array(scores: Scores, kind: str) -> NDArray[np.float64]:
    plain = scores.detach().cpu() if isinstance(scores, Tensor) else scores
    if isinstance(plain, Tensor) and plain.dtype == torch.bfloat16:  # NumPy has no such type
        plain = plain.to(torch.float64)
    values: NDArray[np.float64] = np.asarray(plain, dtype=np.float64)
    if not values.size:
        raise InputError(f"There are no {kind} scores; a metric needs at least one of each kind.")
    if np.isnan(values).any():
        raise InputError(f"{int(np.isnan(values).sum())} {kind} scores are NaN; drop or count them before ranking.")
    return values
