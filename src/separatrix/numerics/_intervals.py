"""Binomial confidence intervals."""

from __future__ import annotations

import math

import numpy as np
import scipy
import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError


@checked
def clopper_pearson(successes: Tensor, trials: int, level: float = 0.95) -> tuple[Tensor, Tensor]:
    """Return the exact interval for each of several binomial shares (Clopper & Pearson 1934).

    The lower end p solves P(X ≥ x | p) = (1 − level)/2 and the upper end P(X ≤ x | p) = (1 − level)/2. So whatever the true
    share is, each end misses it with at most that probability. Approximate intervals are narrower and do not keep this: the
    lower end of the Wilson interval misses a true share of 1 % up to four times as often as it says.

    Args:
        successes: counts from 0 to ``trials``.
        trials: of each; without any, the interval is [0, 1].
        level: probability of covering the true share, at least.

    >>> low, high = clopper_pearson(torch.tensor([0, 50, 100]), 100)
    >>> [round(x, 4) for x in low.tolist()], [round(x, 4) for x in high.tolist()]
    ([0.0, 0.3983, 0.9638], [0.0362, 0.6017, 1.0])
    """
    _check_level(level)
    x, tail = successes.to("cpu", torch.float64).numpy(), 0.5 - level / 2
    # The Beta quantiles do not exist at the two ends, where 0 and 1 cannot be excluded.
    low = np.where(x <= 0, 0.0, scipy.special.betaincinv(np.maximum(x, 1), trials - x + 1, tail))
    high = np.where(x >= trials, 1.0, scipy.special.betaincinv(x + 1, np.maximum(trials - x, 1), 1 - tail))
    return torch.from_numpy(low).to(successes.device), torch.from_numpy(high).to(successes.device)


@checked
def trials_without_success(share: float, level: float = 0.95) -> int:
    """Return the smallest n for which the interval of 0 of n lies below ``share``: ln((1 − level)/2)/ln(1 − share).

    >>> trials_without_success(0.01)
    368
    """
    _check_level(level)
    if not 0 < share < 1:
        raise InputError(f"A share that a sample can lie below is between 0 and 1, not {share}.")
    return math.ceil(math.log(0.5 - level / 2) / math.log1p(-share) * (1 - 1e-12))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"A confidence level lies between 0 and 1, not at {level}.")
