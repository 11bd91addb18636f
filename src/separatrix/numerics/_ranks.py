"""p-values from ranks among a null sample, and what many of them at once allow one to say."""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.errors import InputError

_SAME = 1e-12  # scores that differ by rounding only are tied


def rank_p_values(scores: Tensor, null: Tensor) -> Tensor:
    """p(s) = (1 + #{null ≥ s})/(1 + n): how often a score of the null, or s itself, reaches s.

    Valid (never anti-conservative) if the null scores and s are exchangeable under the null hypothesis. A tie
    counts against s. The smallest value that n null scores can give is 1/(n + 1).

    Args:
        scores: ``(m,)``.
        null: ``(n,)``, n ≥ 1.

    Raises:
        InputError: the null is empty or not finite.

    >>> rank_p_values(torch.tensor([0.5, 2.0, 9.0]), torch.tensor([1.0, 2.0, 2.0, 3.0])).tolist()
    [1.0, 0.8, 0.2]
    """
    if not len(null) or not bool(null.isfinite().all()):
        raise InputError("A p-value needs a null of at least one finite score; pass held-out data.")
    ordered = null.to(torch.float64).sort().values
    below = torch.searchsorted(ordered, scores.to(torch.float64) - _SAME)
    return (1 + len(ordered) - below).to(torch.float64) / (1 + len(ordered))


def benjamini_hochberg(p_values: Tensor) -> Tensor:
    """Adjusted p-values q: calling every test with q ≤ α keeps the expected share of false calls below α.

    q of the i-th smallest of m is min over j ≥ i of p_(j)·m/j, at most 1 (Benjamini & Hochberg 1995; valid
    for independent and for positively dependent tests).

    >>> p_values = torch.tensor([0.04, 0.01, 0.03], dtype=torch.float64)
    >>> [round(q, 12) for q in benjamini_hochberg(p_values).tolist()]
    [0.04, 0.03, 0.04]
    """
    count = len(p_values)
    order = p_values.argsort()
    scaled = p_values[order].to(torch.float64) * count / torch.arange(1, count + 1, dtype=torch.float64)
    adjusted = scaled.flip(0).cummin(dim=0).values.flip(0).clamp(max=1.0) if count else scaled
    result = torch.empty_like(adjusted)
    result[order] = adjusted
    return result
