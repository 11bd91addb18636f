"""Random numbers addressed by (seed, index): the i-th row is the same in every batch, shard and order.

Philox is a counter-based generator (Salmon et al., SC 2011): its output is a function of a key and a counter. Each row
owns a fixed block of counters and uses a fixed number of draws, which is why normals come from the inverse distribution
function and not from a rejection method.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

SELECTION = 16 << 64
"""Seeds from here on choose among orbits. Nobody's starts are drawn with them: a choice made with the numbers that the starts are made of
would not be random (sorted by those of seed 0, Gaussian starts of seed 0 are sorted by their first coordinate)."""

_DRAWS_PER_COUNTER = 4  # Philox4x64 yields four 64-bit words per counter value


def uniform(seed: int, first: int, count: int, width: int) -> NDArray[np.float64]:
    """Rows ``first … first + count − 1`` of the infinite table of U(0, 1) rows with ``width`` columns.

    >>> bool((uniform(7, 0, 5, 3)[2:4] == uniform(7, 2, 2, 3)).all())
    True
    """
    blocks = -(-width // _DRAWS_PER_COUNTER)
    generator = np.random.Philox(key=seed, counter=first * blocks)
    drawn = blocks * _DRAWS_PER_COUNTER
    words = generator.random_raw(count * drawn).reshape(count, drawn)[:, :width]
    # The top 53 bits, centred in their cell: never 0 or 1, so the inverse normal is finite.
    return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def gaussian(seed: int, first: int, count: int, width: int) -> NDArray[np.float64]:
    """The same rows as N(0, 1) variables, by the inverse distribution function.

    >>> float(abs(gaussian(0, 0, 20000, 1).std() - 1)) < 0.02
    True
    """
    normal: NDArray[np.float64] = scipy.special.ndtri(uniform(seed, first, count, width))
    return normal
