"""Numbers of any law to the scale of a standard normal, by their ranks in a sample: tails and clusters keep their place."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.words import one_line

_KNOTS = 65
_CENTRAL = 0.98  # of the sample: its width in normal units is the unit beyond the sample's ends


class NormalScale(NamedTuple):
    """A monotone map per column, linear between knots and beyond them.

    Attributes:
        knots: ``(67, p)`` float64 quantiles of the sample, non-decreasing.
        levels: ``(67, p)`` their normal scores.
        reach: ``(p,)`` how far beyond the sample's ends one normal unit goes.
    """

    knots: Tensor
    levels: Tensor
    reach: Tensor

    def __repr__(self) -> str:
        return one_line(self)


@checked
def fit_normal_scale(sample: Tensor, resolution: float = 1e-3) -> NormalScale:
    """Quantiles of the columns of ``sample`` ``(n, p)`` at the levels Φ(u), u evenly spaced between Φ⁻¹(1/2n) and its negative.

    These are van der Waerden's normal scores, interpolated. Values that differ by less than ``resolution`` are the same
    and have the mean of their levels, so the map has no steps: rounding moves a score by little.

    >>> scale = fit_normal_scale(torch.arange(1000.0)[:, None] ** 3)
    >>> apply_normal_scale(torch.tensor([[499.5**3]]), scale).abs().item() < 0.01
    True
    """
    values = sample.to(torch.float64)
    end = torch.special.ndtri(torch.tensor(0.5 / len(values), dtype=torch.float64))
    level = torch.linspace(float(end), -float(end), _KNOTS, dtype=torch.float64)
    ordered = values.sort(dim=0).values
    # Not torch.quantile, which refuses large samples.
    place = torch.special.ndtr(level) * (len(values) - 1)
    below = place.floor().to(torch.int64)
    above = (below + 1).clamp(max=len(values) - 1)
    knots = torch.lerp(ordered[below], ordered[above], (place - below)[:, None])
    levels = level[:, None].repeat(1, values.shape[1])
    for column in range(values.shape[1]):
        first = 0
        while first < _KNOTS:
            group = slice(first, first + int((knots[first:, column] - knots[first, column] <= resolution).sum()))
            knots[group, column], levels[group, column] = knots[group, column].mean(), levels[group, column].mean()
            first = group.stop
    # Nor do values count as beyond the sample before they differ from its ends.
    knots = torch.cat([knots[:1] - resolution, knots, knots[-1:] + resolution])
    levels = torch.cat([levels[:1], levels, levels[-1:]])
    tail = torch.tensor((1 - _CENTRAL) / 2, dtype=torch.float64)
    edge = round(float(tail) * (len(values) - 1))
    width = ordered[len(values) - 1 - edge] - ordered[edge]
    reach = (width / (-2 * float(torch.special.ndtri(tail)))).clamp(min=resolution)
    return NormalScale(knots, levels, reach)


def apply_normal_scale(x: Tensor, scale: NormalScale) -> Tensor:
    """Normal scores of ``x`` ``(n, p)``; NaN stays NaN. Sums and clamps only, so that it can be exported as a graph."""
    knots, levels, reach = scale
    width = knots[1:] - knots[:-1]
    slope = torch.where(width > 0, (levels[1:] - levels[:-1]) / torch.where(width > 0, width, 1.0), 0.0)
    inside = torch.minimum((x[:, None] - knots[:-1]).clamp(min=0.0), width)
    beyond = ((x - knots[-1]).clamp(min=0.0) - (knots[0] - x).clamp(min=0.0)) / reach
    return levels[0] + (slope * inside).sum(dim=1) + beyond
