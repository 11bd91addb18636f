"""Binomial confidence intervals."""

from __future__ import annotations

import torch
from scipy.special import ndtri
from torch import Tensor

from separatrix.errors import InputError


def wilson(successes: Tensor, trials: int, level: float = 0.95) -> tuple[Tensor, Tensor]:
    """Wilson score interval for each of several binomial shares (Wilson 1927): never outside [0, 1], sane at 0 and n.

    >>> low, high = wilson(torch.tensor([0, 50, 100]), 100)
    >>> [round(x, 4) for x in low.tolist()], [round(x, 4) for x in high.tolist()]
    ([0.0, 0.4038, 0.963], [0.037, 0.5962, 1.0])
    """
    if not 0 < level < 1:
        raise InputError(f"A confidence level lies between 0 and 1, not at {level}.")
    z = float(ndtri(0.5 + level / 2))
    n = max(trials, 1)
    share = successes.to(torch.float64) / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)).sqrt()
    # At 0 and n the ends are 0 and 1 exactly; rounding must not exclude them.
    low = torch.where(successes <= 0, 0.0, (centre - half).clamp(min=0.0))
    high = torch.where(successes >= n, 1.0, (centre + half).clamp(max=1.0))
    return low, high
