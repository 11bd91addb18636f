"""This file tells how far two labellings of the same items agree, beyond what labels of these sizes agree by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from separatrix.arguments import checked, whole


@dataclass(frozen=True)
class Agreement:
    """Two labellings of ``counted`` items.

    Attributes:
        ami: adjusted mutual information (Vinh, Epps, Bailey 2010): 1 for the same partition, 0 on average for one that is
            shuffled among the items with its sizes kept. NaN if both have a single label: then there is nothing to agree on.
        ari: adjusted Rand index (Hubert & Arabie 1985), the same scale for pairs of items.
        null_high: the ami that 5 % of the shuffled labellings exceed; NaN where nothing can be shuffled.
        p_value: (1 + #{shuffled ≥ observed})/(1 + shuffles).
        counted: items with a label in both.
        items: all of them.
    """

    ami: float
    ari: float
    null_high: float
    p_value: float
    counted: int
    items: int


@checked
def agreement(a: NDArray[np.int64], b: NDArray[np.int64], *, shuffles: int = 199, seed: int = 0) -> Agreement:
    """Agreement of two labellings ``(n,)``; items that have −1 in either are left out, and counted.

    >>> same = agreement(np.array([0, 0, 1, 1, -1]), np.array([5, 5, 2, 2, 2]))
    >>> same.ami, same.ari, same.counted
    (1.0, 1.0, 4)
    """
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    whole("shuffles", shuffles, 1)
    both = (a >= 0) & (b >= 0)
    left, right = a[both], b[both]
    count = len(left)
    kinds = (len(np.unique(left)), len(np.unique(right)))
    if count < 2 or max(kinds) < 2:
        return Agreement(math.nan, math.nan, math.nan, math.nan, count, len(a))
    ami, ari = float(adjusted_mutual_info_score(left, right)), float(adjusted_rand_score(left, right))
    if min(kinds) < 2:  # everything in one basin: no shuffle changes anything
        return Agreement(ami, ari, math.nan, 1.0, count, len(a))
    generator = np.random.default_rng(seed)
    rows, columns = (np.unique(labels, return_inverse=True)[1] for labels in (left, right))
    observed = _shared(rows, columns)
    shuffled = [generator.permutation(columns) for _ in range(shuffles)]
    information = np.array([_shared(rows, other) for other in shuffled])
    high = shuffled[int(np.argsort(information)[math.ceil(0.95 * shuffles) - 1])]
    beaten = int((information >= observed - 1e-9 * abs(observed)).sum())
    return Agreement(
        ami, ari, float(adjusted_mutual_info_score(rows, high)), (1 + beaten) / (1 + shuffles), count, len(a)
    )


def _shared(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> float:
    """Σ c ln c over the cells of the contingency table: with the sizes kept, ami grows with it and with nothing else."""
    cells = np.bincount(rows * (int(columns.max()) + 1) + columns)
    return float(scipy.special.xlogy(cells, cells).sum())
