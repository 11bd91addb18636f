"""Do two detectors, scored on the same inputs, separate equally well? The test for many inputs, and the one for few."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.numerics._metrics import (
    ROUNDING,
    Interval,
    Scores,
    auroc_interval,
    delong_covariance,
    never_seen,
    normal_quantile,
    placements,
    scores_of,
)
from separatrix.numerics.counter_random import uniform

_FEW = 8  # inputs of either kind, below which the normal law of a difference is not relied on
_ENUMERATED, _DRAWN = 16, 4096  # inputs up to which all 2^n exchanges are looked at; how many are drawn above
_ELEMENTS_AT_ONCE = 2**20


class PairedTest(NamedTuple):
    """Two AUROCs on the same inputs: values, their difference (first − second) with interval, z and two-sided p."""

    first: float
    second: float
    difference: Interval
    z: float
    p_value: float


@checked
def delong_test(
    id_first: Scores, ood_first: Scores, id_second: Scores, ood_second: Scores, *, level: float = 0.95
) -> PairedTest:
    """Do two detectors, scored on the same inputs, have different AUROCs? (DeLong, DeLong & Clarke-Pearson 1988)

    With V₁₀(i) the share of ID scores below OOD score i and V₀₁(j) the share of OOD scores above ID score j, both with
    ties as ½, the covariance of the AUROCs is S₁₀/n_OOD + S₀₁/n_ID, S the sample covariances of the V over both detectors
    (by ranks: Sun & Xu 2014). z is the difference over its standard error; p two-sided normal. If both detectors order the
    inputs in the same way, the difference is exactly 0 and p = 1.

    That is a statement about many inputs. With fewer than 8 of either kind, and wherever the estimated error is 0 (two
    AUROCs of 1 and 0), p is instead that of the permutation test of Bandos, Rockette & Gur (2005): the two detectors' ranks
    are exchanged at every subset of the inputs, and p is the share of the exchanges with a difference at least as large. It
    is exact, and never below 2^(1 − n) for n inputs in all; above n = 16, 4096 exchanges are drawn (the same at every
    call). The interval then is that of the two AUROCs, each at level 1 − (1 − level)/2 by `auroc_interval`, one minus the
    other: wide, but right whatever their dependence. Where both order the inputs alike it is 0 ± w as there.

    Args:
        id_first, id_second: ``(n_ID,)``, entry i of both belongs to the same input; likewise the OOD scores.

    Raises:
        InputError: the two detectors were scored on different numbers of inputs, or fewer than two of either kind.

    >>> result = delong_test([0, 1, 2, 3], [2.5, 3.5, 4], [0, 1, 2, 3], [0.5, 3.5, 1.5])
    >>> round(result.first, 4), round(result.second, 4), result.p_value
    (0.9167, 0.5833, 0.125)
    """
    inside_first, outside_first = scores_of(id_first, ood_first)
    inside_second, outside_second = scores_of(id_second, ood_second)
    if len(inside_first) != len(inside_second) or len(outside_first) != len(outside_second):
        raise InputError("A paired test compares two scores of the same inputs; pass as many of one as of the other.")
    z_level = normal_quantile(level)
    covariance = delong_covariance(
        np.stack([inside_first, inside_second], axis=1), np.stack([outside_first, outside_second], axis=1)
    )
    first = float(placements(outside_first, inside_first).mean())
    second = float(placements(outside_second, inside_second).mean())
    difference = first - second
    error = float(np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0)))
    if abs(difference) <= ROUNDING:
        z = 0.0
    else:
        z = difference / error if error > ROUNDING else float(np.copysign(np.inf, difference))
    counts = len(inside_first), len(outside_first)
    if error > ROUNDING and min(counts) >= _FEW:
        interval = Interval(difference, difference - z_level * error, difference + z_level * error)
        return PairedTest(first, second, interval, z, float(2 * scipy.special.ndtr(-abs(z))))
    if _same_order(inside_first, outside_first, inside_second, outside_second):
        width = never_seen(*counts, level)
        return PairedTest(first, second, Interval(difference, -width, width), z, 1.0)
    each = 0.5 + level / 2  # Bonferroni: both hold at once with probability ``level``
    ours = auroc_interval(inside_first, outside_first, level=each)
    theirs = auroc_interval(inside_second, outside_second, level=each)
    interval = Interval(difference, ours.low - theirs.high, ours.high - theirs.low)
    p_value = _exchanged(inside_first, outside_first, inside_second, outside_second)
    return PairedTest(first, second, interval, z, p_value)


def _same_order(*scores: NDArray[np.float64]) -> bool:
    """Do both detectors place every input alike? Then they order all pairs alike."""
    inside_first, outside_first, inside_second, outside_second = scores
    return np.array_equal(
        placements(outside_first, inside_first), placements(outside_second, inside_second)
    ) and np.array_equal(placements(inside_first, outside_first), placements(inside_second, outside_second))


def _exchanged(*scores: NDArray[np.float64]) -> float:
    """The permutation p-value: how often exchanging the detectors' ranks makes a difference at least as large."""
    inside_first, outside_first, inside_second, outside_second = scores
    n, total = len(inside_first), len(inside_first) + len(outside_first)
    first = scipy.stats.rankdata(np.concatenate([inside_first, outside_first]))
    second = scipy.stats.rankdata(np.concatenate([inside_second, outside_second]))
    every = total <= _ENUMERATED
    exchanges = 2**total if every else _DRAWN
    at_once = max(1, _ELEMENTS_AT_ONCE // total)
    reached, observed = 0, abs(_difference(first[None], second[None], n)[0]) - ROUNDING
    for begin in range(0, exchanges, at_once):
        count = min(at_once, exchanges - begin)
        if every:
            swapped = ((np.arange(begin, begin + count)[:, None] >> np.arange(total)) & 1).astype(bool)
        else:
            swapped = uniform(0, begin, count, total) < 0.5
        ours, theirs = np.where(swapped, second, first), np.where(swapped, first, second)
        reached += int((np.abs(_difference(ours, theirs, n)) >= observed).sum())
    # The order as it was observed is one of all exchanges; among drawn ones it is added.
    return reached / exchanges if every else (1 + reached) / (1 + exchanges)


def _difference(ours: NDArray[np.float64], theirs: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """AUROC of each row of ``ours`` minus that of ``theirs``; the first n columns are the ID inputs."""
    m = ours.shape[1] - n
    # The rank sum of the OOD inputs is n·m·AUROC plus a constant that both share.
    sums: NDArray[np.float64] = scipy.stats.rankdata(ours, axis=1)[:, n:].sum(axis=1) - scipy.stats.rankdata(
        theirs, axis=1
    )[:, n:].sum(axis=1)
    return sums / (n * m)
