"""This file tells how close the attractors come to training images, on the scale set by images the model has never seen."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from separatrix.limitsets import LimitSets
from separatrix.plots._marks import disc
from separatrix.plots._naming import names_of
from separatrix.plots._style import MUTED, new_figure, styled
from separatrix.studies import Resemblance

_BINS = 64
_ROW = 0.15  # height of one row of discs, where a hill is 1 high
_WIDTH = 0.028  # width of a disc, as a share of the axes
_CLOSEST = 1e-4  # a cosine above 1 − 1e-4 is drawn at the right edge
_PIXEL_NOISE = "uniform noise"
_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)


@styled
def null_levels(
    result: Resemblance,
    limits: LimitSets,
    *,
    like: LimitSets | None = None,
    title: str | None = None,
    noun: str = "training image",
) -> Figure:
    """Best cosine to any training image: attractors as discs above what unseen images and noise reach.

    The axis is logarithmic in 1 − cosine, because what tells a copy from a likeness happens close to 1. A
    disc above the middle of the stronger hill is no closer than many unseen images are; one above its right tail or to
    the right of it is closer than most of them.

    Args:
        result: of :func:`separatrix.studies._resemblance.resemblance`.
        limits: the limit sets it was made from.
        like: another search of the same field whose names and colours are kept.
        title: above the figure.
        noun: what the images that they come close to are called, such as "suspected image".
    """
    names = names_of(limits, like)
    everything = axis_position(torch.cat((result.held_out, result.noise, result.coefficient)))
    low, high = float(everything.min()) - 0.05, max(float(everything.max()) + 0.05, 2.0)
    places = axis_position(result.coefficient)
    rows = _rows((places - low) / (high - low))
    top = max(rows, default=0)
    figure = new_figure(2.7 + 0.26 * top, title or f"Closer to the {noun}s than unseen images are?")
    axes = figure.subplots()
    bins = np.linspace(low, high, _BINS + 1)
    _hill(axes, result.noise, bins, 0.18, _PIXEL_NOISE)
    if len(result.held_out):
        _hill(axes, result.held_out, bins, 0.45, "unseen images")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, reverse=True)  # above the discs
    for index, place, row in zip(result.sets.tolist(), places, rows, strict=True):
        disc(axes, float(place), 1.14 + _ROW * row, names[index], size=13)
    axes.set(xlim=(low, high), ylim=(0, 1.24 + _ROW * top), yticks=[])
    ticks = [tick for tick in _TICKS if low <= -np.log10(1 - tick) <= high]
    axes.set_xticks([-np.log10(1 - tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.set_xlabel(f"cosine to the nearest {noun} (logarithmic in 1 − cosine)")
    axes.spines["left"].set_visible(False)
    return figure


def axis_position(cosine: Tensor) -> NDArray[np.float64]:
    """−log₁₀(1 − cosine), at most 4: the position on the axis.

    >>> axis_position(torch.tensor([0.0, 0.9, 0.99, 1.0], dtype=torch.float64)).round(6).tolist()
    [-0.0, 1.0, 2.0, 4.0]
    """
    position: NDArray[np.float64] = -np.log10(np.maximum(1 - cosine.numpy(), _CLOSEST))
    return position


def _hill(axes: Axes, scores: Tensor, bins: NDArray[np.float64], strength: float, word: str) -> None:
    """A histogram scaled to height 1, whose median is in the legend."""
    counts, _ = np.histogram(axis_position(scores), bins)
    axes.stairs(
        counts / max(counts.max(), 1), bins, fill=True, color=MUTED, alpha=strength, linewidth=0, gid=f"null:{word}",
        label=f"{word}, median {float(scores.quantile(0.5)):.3f}",
    )  # fmt: skip


def _rows(places: NDArray[np.float64]) -> list[int]:
    """The lowest row in which each disc overlaps none already there; places are shares of the width."""
    taken: list[list[float]] = []
    rows = []
    for place in places.tolist():
        row = next((r for r, others in enumerate(taken) if all(abs(place - o) > _WIDTH for o in others)), len(taken))
        if row == len(taken):
            taken.append([])
        taken[row].append(place)
        rows.append(row)
    return rows
