"""This file tells how limit sets are drawn on a plane, and the column of decoded attractors beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from separatrix.field import LatentField
from separatrix.limitsets import Kind, LimitSets
from separatrix.plots._naming import Name, in_order
from separatrix.plots._pictures import decoded_pictures, to_rgb, value_range
from separatrix.plots._plane import Plane
from separatrix.plots._style import INK, MUTED, PAPER, colour, readable_on
from separatrix.words import percent

_MOST_PICTURES = 10
_PITCH = 1.55  # from one picture to the next below it, with room for a share between them
_LEAST_ROWS = 6  # so that two pictures are not larger than ten


def mark_limit_sets(axes: Axes, limits: LimitSets, names: Sequence[Name], plane: Plane) -> None:
    """Attractors as lettered discs, cycles and closed curves as lines, unstable sets as crosses."""
    for index in reversed(range(len(limits))):  # most hits last, on top
        trace = plane.coordinates(limits.trace(index))
        kind = Kind(int(limits.kind[index]))
        if kind in (Kind.CLOSED_CURVE, Kind.CYCLE) and len(trace) > 1:
            _closed_line(axes, trace, names[index], kind)
        x, y = trace[0].tolist()
        if names[index].unstable:
            _cross(axes, x, y, names[index])
        else:
            disc(axes, x, y, names[index], known=int(limits.stable[index]) == 1)


def disc(axes: Axes, x: float, y: float, name: Name, *, known: bool = True, size: float = 15) -> None:
    """A lettered disc in the attractor's colour; hollow where stability is unknown."""
    face, edge = (colour(name.rank), PAPER) if known else (PAPER, colour(name.rank))
    axes.plot(
        [x], [y], "o", markersize=size, markerfacecolor=face, markeredgecolor=edge, markeredgewidth=1.6,
        zorder=6, clip_on=False, gid=f"attractor:{name.label}",
    )  # fmt: skip
    axes.text(
        x, y, name.label, color=readable_on(face) if known else edge, ha="center", va="center_baseline",
        fontsize=max(8.5, size * (0.62 if len(name.label) == 1 else 0.46)), fontweight="bold", zorder=7,
    )  # fmt: skip


def picture_column(
    figure: Figure, field: LatentField | None, limits: LimitSets, names: Sequence[Name], shares: Sequence[str]
) -> Axes:
    """The main axes of ``figure``; beside them the decoded attractors with ``shares``, where they are images.

    Cost: one decoding per drawn attractor.
    """
    shown = [index for index in in_order(names) if not names[index].unstable][:_MOST_PICTURES]
    images = decoded_pictures(field, limits.points[shown]) if shown and field is not None else None
    if images is None:
        return figure.subplots()
    layout = figure.add_gridspec(1, 2, width_ratios=(8.5, 1.15))
    main, side = figure.add_subplot(layout[0]), figure.add_subplot(layout[1])
    rows = max(len(shown), _LEAST_ROWS)
    mosaic(side, left=-0.75, right=1.06, bottom=_PITCH * rows, top=-0.1)
    pixels = to_rgb(images, value_range(images))
    for row, index in enumerate(shown):
        hue = colour(names[index].rank)
        place_picture(side, pixels[row], 0.0, _PITCH * row, hue, gid=f"picture:{names[index].label}")
        side.text(
            -0.22,
            _PITCH * row + 0.5,
            names[index].label,
            ha="right",
            va="center",
            fontweight="bold",
            color=hue,
            fontsize=11,
        )
        side.text(0.5, _PITCH * row + 1.1, shares[index], ha="center", va="top", fontsize=8.5, color=MUTED)
    return main


def mosaic(axes: Axes, *, left: float, right: float, bottom: float, top: float) -> None:
    """Bare axes of square units, rows downwards, for many pictures (one pair draws faster than fifty)."""
    axes.set_axis_off()
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def place_picture(
    axes: Axes,
    pixels: NDArray[np.uint8],
    x: float,
    y: float,
    edge: str,
    *,
    width: float = 2.0,
    gid: str | None = None,
) -> None:
    """A picture in the unit square with upper left corner (x, y), as large as fits, in a coloured frame."""
    height, across = pixels.shape[0] / max(pixels.shape[:2]), pixels.shape[1] / max(pixels.shape[:2])
    left, top = x + (1 - across) / 2, y + (1 - height) / 2
    axes.add_image(_image(axes, pixels, (left, left + across, top + height, top), gid))
    axes.add_patch(
        Rectangle(
            (left, top),
            across,
            height,
            facecolor="none",
            edgecolor=edge,
            linewidth=width,
            zorder=3,
            clip_on=False,
        )
    )


def _image(
    axes: Axes, pixels: NDArray[np.uint8], extent: tuple[float, float, float, float], gid: str | None
) -> AxesImage:
    # Not axes.imshow, which would reset the limits and the aspect of the axes with every picture.
    image = AxesImage(axes, extent=extent, origin="upper", interpolation="nearest")
    image.set_data(pixels)
    image.set_gid(gid)
    image.set_clip_path(axes.patch)
    return image


def shares_of(limits: LimitSets) -> list[str]:
    """The share of starts that ended on each set, in words."""
    return [percent(share) for share in limits.fractions.tolist()]


def _closed_line(axes: Axes, trace: torch.Tensor, name: Name, kind: Kind) -> None:
    closed = torch.cat((trace, trace[:1]))
    hue = colour(name.rank)
    axes.plot(closed[:, 0], closed[:, 1], "-", color=PAPER, linewidth=4.2, zorder=4)
    line = {"linestyle": "-"} if kind is Kind.CLOSED_CURVE else {"linestyle": ":", "marker": "o", "markersize": 6}
    axes.plot(
        closed[:, 0], closed[:, 1], color=hue, linewidth=2.4, markeredgecolor=PAPER, zorder=4.5,
        gid=f"{kind.words}:{name.label}", **line,
    )  # fmt: skip


def _cross(axes: Axes, x: float, y: float, name: Name) -> None:
    axes.plot(
        [x], [y], "X", markersize=8.5, markerfacecolor=PAPER, markeredgecolor=INK, markeredgewidth=0.9,
        zorder=5, clip_on=False, gid=f"unstable:{name.label}",
    )  # fmt: skip
