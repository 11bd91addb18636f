"""Decisions with a false-alarm rate that holds: split-conformal p-values and the size of the calibration set they need.

The p-values are ranks among held-out calibration scores; `rank_p_values` and `benjamini_hochberg` of
`separatrix.numerics._ranks` are the one-sided case and the adjustment for many tests.
"""

from __future__ import annotations

import math
from typing import Literal

import scipy
import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.numerics._ranks import benjamini_hochberg
from separatrix.numerics.counter_random import uniform

Side = Literal["high", "low", "both"]


@checked
def conformal_p_values(
    scores: Tensor, calibration: Tensor, *, side: Side = "high", randomized: bool = False, seed: int = 0
) -> Tensor:
    """p(s) = (1 + #{cᵢ ≥ s})/(n + 1): how extreme a score is among n calibration scores (Vovk, Gammerman & Shafer 2005).

    If s and the c are exchangeable, P(p ≤ α) ≤ α for every α and every n; with continuous scores P(p ≤ α) =
    ⌊α(n + 1)⌋/(n + 1) exactly. This holds on average over calibration sets: for *one* set the false-alarm rate is a random
    variable, see `false_alarm_interval`. It promises nothing about inputs that are neither ID nor exchangeable with it.

    Ties count against s. Comparison is exact, at any scale of the scores. A NaN score has p = NaN (unscorable), +inf is the
    most extreme.

    Args:
        scores: ``(m,)``, higher = more unusual.
        calibration: ``(n,)`` scores of held-out ID inputs, not used for fitting.
        side: ``"high"`` calls large scores unusual, ``"low"`` small ones, ``"both"`` either: min(1, 2 min(p_high, p_low)).
        randomized: break ties at random, p = (#{c > s} + U(1 + #{c = s}))/(n + 1) with U uniform on (0, 1): exactly uniform
            also for discrete scores, at the price of a coin in the decision. Deterministic in ``seed`` and the position.

    Returns:
        ``(m,)`` float64.

    Raises:
        InputError: no calibration scores, or NaN among them.

    >>> calibration = torch.arange(9.0)
    >>> conformal_p_values(torch.tensor([9.0, 8.0, -1.0]), calibration).tolist()
    [0.1, 0.2, 1.0]
    >>> conformal_p_values(torch.tensor([9.0, 4.0, -1.0]), calibration, side="both").tolist()
    [0.2, 1.0, 0.2]
    """
    if calibration.ndim != 1 or scores.ndim != 1:
        raise InputError("Scores and calibration scores are one number per input; pass one-dimensional tensors.")
    if not len(calibration) or bool(calibration.isnan().any()):
        raise InputError("Calibration needs at least one score and no NaN; pass the scores of held-out ID inputs.")
    if side not in ("high", "low", "both"):
        raise InputError(f"A side is 'high', 'low' or 'both', not {side!r}.")
    values, ordered = scores.detach().to("cpu", torch.float64), calibration.detach().to("cpu", torch.float64)
    draws = torch.from_numpy(uniform(seed, 0, len(values), 1)[:, 0]) if randomized else None
    high = _upper_tail(values, ordered.sort().values, draws)
    if side == "high":
        return high
    low = _upper_tail(-values, (-ordered).sort().values, draws if draws is None else 1 - draws)
    return low if side == "low" else (2 * torch.minimum(high, low)).clamp(max=1.0)


@checked
def discoveries(p_values: Tensor, rate: float) -> Tensor:
    """Tell which of a batch to call, so that the expected share of false calls among the calls is at most ``rate``.

    Benjamini & Hochberg (1995): q ≤ rate. Conformal p-values that share a calibration set are positively dependent, under
    which this stays valid (Bates, Candès, Lei, Romano & Sesia 2023). NaN is never called and does not count as a test.

    >>> discoveries(torch.tensor([0.001, float("nan"), 0.04, 0.03], dtype=torch.float64), 0.05).tolist()
    [True, False, True, True]
    """
    _check_rate(rate)
    called = torch.zeros(len(p_values), dtype=torch.bool)
    scorable = ~p_values.isnan()
    # q = p·m/j is rounded: a p that sits on the line is called.
    called[scorable] = benjamini_hochberg(p_values[scorable].to(torch.float64)) <= rate * (1 + 1e-12)
    return called


@checked
def smallest_calibration(rate: float, *, tests: int = 1) -> int:
    """Smallest n for which a p-value can reach ``rate``/``tests`` at all: 1/(n + 1) ≤ α/m, n = ⌈m/α⌉ − 1.

    With fewer calibration scores nothing is ever called at that rate. ``tests`` is the size of a batch in which a single
    unusual input is still to be found by `discoveries`.

    >>> smallest_calibration(0.05), smallest_calibration(0.01), smallest_calibration(0.01, tests=100)
    (19, 99, 9999)
    """
    _check_rate(rate)
    if tests < 1:
        raise InputError(f"The number of tests is at least 1, not {tests}.")
    return max(1, math.ceil(tests / rate * (1 - 1e-12)) - 1)


@checked
def calibration_for_precision(rate: float, relative: float = 0.5, level: float = 0.95) -> int:
    """Smallest n for which the false-alarm rate of *one* calibration set lies within ``rate``·(1 ± ``relative``).

    "Lies within" with probability at least ``level`` over calibration sets, by the law of `false_alarm_interval`. Of the
    sizes at which α(n + 1) is whole, the only ones at which the mean rate is α itself.

    >>> 1300 < calibration_for_precision(0.01, 0.5) < 1700
    True
    """
    _check_rate(rate)
    if not relative > 0 or not 0 < level < 1:
        raise InputError(f"A relative precision above 0 and a level in (0, 1) are needed, not {relative} and {level}.")

    def kept(rank: int) -> bool:
        n = math.ceil(rank / rate * (1 - 1e-12)) - 1
        upper = scipy.special.betainc(rank, n + 1 - rank, min(rate * (1 + relative), 1.0))
        return bool(upper - scipy.special.betainc(rank, n + 1 - rank, max(rate * (1 - relative), 0.0)) >= level)

    low, high = 0, 1
    while not kept(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(middle) else (middle, high)
    return math.ceil(high / rate * (1 - 1e-12)) - 1


@checked
def calls(rate: float, calibration: int) -> int:
    """⌊α(n + 1)⌋: how many of n + 1 exchangeable inputs are called at most, where "p ≤ α" calls them.

    >>> calls(0.05, 99), calls(0.01, 99), calls(0.01, 98)
    (5, 1, 0)
    """
    _check_rate(rate)
    return math.floor(rate * (calibration + 1) * (1 + 1e-12))


@checked
def false_alarm_interval(rate: float, calibration: int, level: float = 0.95) -> tuple[float, float]:
    """Between which false-alarm rates "p ≤ rate" lies for a given calibration set of ``calibration`` scores.

    With k = ⌊α(n + 1)⌋ and continuous scores that rate is Beta(k, n + 1 − k) distributed over calibration sets (Vovk
    2012), with mean k/(n + 1) ≤ α; the ends are its quantiles. k = 0: nothing is ever called.

    >>> [round(x, 4) for x in false_alarm_interval(0.05, 999)]
    [0.0374, 0.0643]
    """
    if calibration < 1 or not 0 < level < 1:
        raise InputError(
            f"A calibration size of at least 1 and a level in (0, 1) are needed, not {calibration}, {level}."
        )
    rank = calls(rate, calibration)
    if rank == 0:
        return 0.0, 0.0
    ends = [
        float(scipy.special.betaincinv(rank, calibration + 1 - rank, q)) for q in (0.5 - level / 2, 0.5 + level / 2)
    ]
    return ends[0], ends[1]


def _upper_tail(values: Tensor, ordered: Tensor, draws: Tensor | None) -> Tensor:
    n = len(ordered)
    reached = (n - torch.searchsorted(ordered, values)).to(torch.float64)
    if draws is None:
        count = 1 + reached
    else:
        above = (n - torch.searchsorted(ordered, values, right=True)).to(torch.float64)
        count = above + draws * (1 + reached - above)
    return torch.where(values.isnan(), torch.nan, count / (n + 1))


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise InputError(f"A false-alarm rate lies between 0 and 1, not at {rate}.")
