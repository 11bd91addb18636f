"""Paired comparison of two dictionaries on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import torch
from torch import Tensor

from separatrix.numerics import bootstrap_means, interval_of
from separatrix.storage import storable

Space = Literal["latent", "image"]
SPACES: tuple[Space, ...] = ("latent", "image")
NEGLIGIBLE = 0.01  # share of the control's error below which two dictionaries are level, however sure the sign is
_ROUNDING = 1e-10  # of the error of no atom at all; differences below are rounding


@storable
class Standing(StrEnum):
    """A dictionary against a control."""

    BETTER = "better"
    LEVEL = "level"
    WORSE = "worse"


@storable
@dataclass(frozen=True)
class DictionaryComparison:
    """Error of a control minus error of a dictionary: positive where the dictionary pays. 95 % bootstrap intervals.

    The intervals are over images, for these very dictionaries: another draw of the noise is another dictionary. Where
    probes of several draws were pooled they are over images and draws.

    Attributes:
        name: the dictionary, in most comparisons the iterated noise.
        control: name of the other dictionary.
        space: "latent" or "image".
        gain: ``(l,)`` float64, mean paired difference of squared errors at each sparsity.
        low, high: ``(l,)`` its interval.
        area: the area between the two curves, over ln k, divided by the length of the axis: the mean gain.
        area_low, area_high: its interval.
        share: that area as a share of the area under the control's curve: 0.2 is 20 % less error; −∞ if the control
            leaves nothing.
        share_low, share_high: its interval.
        standing: LEVEL if the interval of the share holds 0 or the share is below 1 %.
    """

    name: str
    control: str
    space: Space
    gain: Tensor
    low: Tensor
    high: Tensor
    area: float
    area_low: float
    area_high: float
    share: float
    share_low: float
    share_high: float
    standing: Standing

    def at(self, level: int) -> Standing:
        """The standing at one sparsity alone: its interval excludes 0."""
        low, high = float(self.low[level]), float(self.high[level])
        return Standing.BETTER if low > 0 else Standing.WORSE if high < 0 else Standing.LEVEL


def weights_over_log(sparsities: Sequence[int]) -> Tensor:
    """Weights of the trapezoidal rule over ln k, summing to 1; a single sparsity has all of it.

    >>> weights_over_log([1, 2, 4]).tolist()
    [0.25, 0.5, 0.25]
    """
    if len(sparsities) == 1:
        return torch.ones(1, dtype=torch.float64)
    place = torch.tensor(sparsities, dtype=torch.float64).log()
    widths = place.diff()
    weights = torch.zeros_like(place)
    weights[:-1] += widths / 2
    weights[1:] += widths / 2
    return weights / (place[-1] - place[0])


def compared(
    errors: Tensor,
    control: Tensor,
    sparsities: Sequence[int],
    *,
    names: tuple[str, str],
    space: Space,
    repeats: int,
    seed: int,
    scale: float,
) -> DictionaryComparison:
    """Compare errors ``(s, l)`` of the same signals; ``scale`` is an error below whose rounding all are equal.

    Errors may also be ``(m, s, l)``, of m draws of the dictionaries: then the intervals are over draws too.
    """
    difference = (control - errors).to(torch.float64)
    difference = torch.where(difference.abs() <= _ROUNDING * scale, 0.0, difference)
    weights = weights_over_log(sparsities)
    area, under = difference @ weights, control.to(torch.float64) @ weights
    under = torch.where(under <= _ROUNDING * scale, 0.0, under)
    means = bootstrap_means(
        torch.cat([difference, area[..., None], under[..., None]], dim=-1), repeats=repeats, seed=seed
    )
    ratios = _ratio(means[:, -2], means[:, -1])
    low, high = interval_of(torch.cat([means[:, :-1], ratios[:, None]], dim=1))
    share = float(_ratio(area.mean(), under.mean()))
    return DictionaryComparison(
        name=names[0],
        control=names[1],
        space=space,
        gain=difference.flatten(0, -2).mean(dim=0),
        low=low[:-2],
        high=high[:-2],
        area=float(area.mean()),
        area_low=float(low[-2]),
        area_high=float(high[-2]),
        share=share,
        share_low=float(low[-1]),
        share_high=float(high[-1]),
        standing=_judged(share, float(low[-1]), float(high[-1])),
    )


def _judged(share: float, low: float, high: float) -> Standing:
    if abs(share) < NEGLIGIBLE or low <= 0 <= high:
        return Standing.LEVEL
    return Standing.BETTER if share > 0 else Standing.WORSE


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part/whole; 0/0 is 0: two dictionaries that leave nothing are level."""
    return torch.where(whole > 0, part / torch.where(whole > 0, whole, 1.0), torch.where(part == 0, 0.0, -torch.inf))
