"""This file tells what the attractors look like, beside the training images they come closest to."""

from __future__ import annotations

import math
from typing import Protocol as Interface
from typing import runtime_checkable

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import most_similar
from separatrix.plots._marks import mosaic, place_picture
from separatrix.plots._naming import names_of
from separatrix.plots._pictures import decoded_pictures, to_rgb, value_range
from separatrix.plots._style import FAINT, MUTED, WIDTH, colour, new_figure, styled
from separatrix.words import percent

_COLUMNS = 4
_MOST = 24


@runtime_checkable
class Images(Interface):
    """Images by their row numbers: a tensor, or whatever keeps some of many."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of all of them together."""

    def __getitem__(self, rows: Tensor, /) -> Tensor:
        """The images in these rows."""


@styled
def attractor_gallery(
    limits: LimitSets,
    field: LatentField,
    train: Images,
    *,
    nearest: Tensor | None = None,
    like: LimitSets | None = None,
    title: str | None = None,
    noun: str = "training image",
) -> Figure:
    """Each attractor decoded, D(z*), beside its nearest training image by cosine, with its share of starts.

    A cosine means nothing by itself: unseen images of the same kind score high too. The null levels are in
    :mod:`separatrix.studies._resemblance`. Data that are no images are not drawn; the figure then says so.

    Args:
        limits: its limit sets; those that attract are shown, most hits first.
        field: the latent vector field.
        train: training data ``(n, …)`` in the decoder's value range.
        nearest: ``(m,)`` int64, the row of ``train`` that stands beside each limit set; the most similar one if not given.
        like: another search of the same field whose names and colours are kept.
        title: above the figure.
        noun: what the images of ``train`` are called, such as "suspected image".

    Cost: one decoding per attractor shown.

    Raises:
        InputError: the training data have another shape than what the decoder returns.
    """
    heading = title or "What the attractors look like"
    shown = [index for index, stable in enumerate((limits.stable == 1).tolist()) if stable][:_MOST]
    images = decoded_pictures(field, limits.points[shown]) if shown else None
    if images is None:
        reason = (
            "No attractor was found." if not shown else "The decoder returns no images, so there is nothing to look at."
        )
        return _sentence(heading, reason)
    if train.shape[1:] != images.shape[1:]:
        raise InputError(
            f"The training data have shape {tuple(train.shape[1:])} and the decoder returns "
            f"{tuple(images.shape[1:])}; "
            "pass the images in the decoder's shape."
        )
    if nearest is None:
        assert isinstance(train, Tensor)
        beside = most_similar(images, train).index
    else:
        beside = nearest[shown]
    partners = train[beside].detach().to("cpu", torch.float64)
    cosines = torch.nn.functional.cosine_similarity(images.flatten(1), partners.flatten(1))
    shades = value_range(images, partners)
    pairs = zip(to_rgb(images, shades), to_rgb(partners, shades), strict=True)
    names = names_of(limits, like)

    rows = math.ceil(len(shown) / _COLUMNS)
    across, down = 2.62, 1.72  # room for one pair, in picture sizes
    figure = new_figure(0.75 + WIDTH / (across * _COLUMNS) * down * rows, heading)
    axes = figure.subplots()
    mosaic(axes, left=-0.05, right=across * _COLUMNS - 0.5, bottom=down * rows - 0.2, top=-0.36)
    for place, (index, pair) in enumerate(zip(shown, pairs, strict=True)):
        x, y = across * (place % _COLUMNS), down * (place // _COLUMNS)
        label, hue = names[index].label, colour(names[index].rank)
        place_picture(axes, pair[0], x, y, hue, gid=f"attractor:{label}")
        place_picture(axes, pair[1], x + 1.07, y, FAINT, gid=f"nearest:{label}:{int(beside[place])}")
        axes.text(x, y - 0.08, label, color=hue, fontweight="bold", fontsize=12, va="bottom")
        axes.text(
            x + 2.07,
            y - 0.08,
            f"{percent(float(limits.fractions[index]))} of starts",
            fontsize=8.5,
            color=MUTED,
            ha="right",
            va="bottom",
        )
        axes.text(
            x + 2.07,
            y + 1.06,
            f"cosine {float(cosines[place]):.3f}",
            fontsize=8.5,
            ha="right",
            va="top",
            gid=f"cosine:{label}",
        )
    total = int((limits.stable == 1).sum())
    more = f"   ({len(shown)} of {total} shown)" if total > len(shown) else ""
    figure.supxlabel(
        f"left: decoded attractor, right: its nearest {noun}{more}",
        x=0.012,
        ha="left",
        fontsize=8.5,
        color=MUTED,
    )
    return figure


def _sentence(title: str, sentence: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = new_figure(1.4, title)
    axes: Axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.0, 0.5, sentence, transform=axes.transAxes, va="center", color=MUTED)
    return figure
