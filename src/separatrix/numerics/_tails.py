"""A sample of numbers that may have a heavy tail says less of their mean than its own scatter shows."""

from __future__ import annotations

import math

from torch import Tensor

_LEVEL = 1.645  # normal quantile: nine of ten lie within
_LEAST, _LONGEST = 5, 30  # numbers that tell how a tail falls: one of so many, but at least so many


def mean_with_tail(values: Tensor, largest: float) -> tuple[float, float]:
    """Return the mean of what ``values`` ``(n,)`` were drawn from, and what it may be at most, if nothing is above ``largest``.

    The largest thirtieth tells how the tail falls: Hill's estimate of α in P(X > x) ~ x^−α (Hill, Annals of Statistics 3 (1975)), whose relative
    error is 1/√(their number). With α < 2 the variance is infinite, up to ``largest``, and numbers that a sample does not have are much of the mean;
    then the tail is taken to be that power law, cut off there. Otherwise both are the mean of the sample.

    >>> import torch
    >>> mean_with_tail(torch.full((50,), 30.0), 20_000)
    (30.0, 30.0)
    >>> share = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    >>> [round(mean) for mean in mean_with_tail(share**-1.0, 10_000)]  # P(X > x) = 1/x: 1 + log 10,000 in all
    [10, 19]
    """
    ordered = values.sort(descending=True).values.to("cpu").double()
    count, many = len(ordered), max(_LEAST, len(ordered) // _LONGEST)
    mean = float(ordered.mean())
    if count <= 2 * many or not float(ordered[many]) > 0:
        return mean, mean
    least = float(ordered[many])
    power = many / max(float((ordered[:many] / least).log().sum()), 1e-9)
    if power >= 2:
        return mean, mean

    def with_tail(power: float) -> float:
        beyond = max(largest / least, 1.0)
        grown = math.log(beyond) if abs(power - 1) < 1e-6 else (beyond ** (1 - power) - 1) / (1 - power)
        return float(ordered[many:].sum()) / count + many / count * least * (1 + grown)

    return max(mean, with_tail(power)), max(mean, with_tail(power * (1 - _LEVEL / math.sqrt(many))))
