"""This file tells where every point of a grid ends: the map of basins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import Basins, LimitSets, basins
from separatrix.limitsets._basins import shares_without_set
from separatrix.limitsets._grid_search import Extent
from separatrix.plots._marks import mark_limit_sets, picture_column
from separatrix.plots._naming import Name, in_order, names_of
from separatrix.plots._plane import Plane, cells
from separatrix.plots._style import PAPER, UNRESOLVED, colour, new_figure, styled
from separatrix.words import percent

_MOST_ENTRIES = 12
_PALEST = 0.55  # how far towards white the fastest starts are shaded


@styled
@checked
def basin_map(
    limits: LimitSets,
    *,
    shape: tuple[int, int],
    extent: Extent,
    field: LatentField | None = None,
    plane: Plane | None = None,
    like: LimitSets | None = None,
    title: str | None = None,
) -> Figure:
    """A grid of starts coloured by the attractor each ends on; the more steps it took, the deeper the colour.

    Colours deepen towards the basin boundaries, because orbits linger near the saddles on them. Starts that
    reached no limit set are grey. The legend gives shares of the area.

    Args:
        limits: the result of a search from ``starts.grid(low, high, shape=shape)``.
        shape: (h, w) of that grid.
        extent: (low x, high x, low y, high y) of that grid.
        field: if given, decoded attractors stand beside the map.
        plane: the plane of the grid where k > 2.
        like: another search of the same field whose names and colours are kept.
        title: above the figure.

    Raises:
        InputError: the result has not h·w starts.
    """
    height, width = shape
    if height * width != len(limits.labels):
        raise InputError(
            f"A grid of {height}×{width} has {height * width} starts and the result has "
            f"{len(limits.labels)}; "
            "pass the shape of the grid that was searched."
        )
    names = names_of(limits, like)
    shares = basins(limits)
    figure = new_figure(5.8, title or "Where every start ends")
    entries = _entries(limits, names, shares)
    axes = picture_column(figure, field, limits, names, [percent(share) for share in shares.fractions.tolist()])
    plane = plane or Plane.of(limits)
    edges = cells(extent, shape)
    axes.imshow(_painted(limits, names, shape), extent=edges, origin="lower", aspect="equal", gid="basins")
    labels = limits.labels.reshape(shape).cpu().numpy()
    _boundaries(axes, labels, edges)
    mark_limit_sets(axes, limits, names, plane)
    axes.set(xlim=edges[:2], ylim=edges[2:], xlabel=plane.labels[0], ylabel=plane.labels[1])
    if plane.description:
        axes.set_title(f"Starts on {plane.description}; the marks are projections onto it.")
    figure.legend(
        handles=entries, loc="outside lower left", ncols=3, handlelength=1.0, handleheight=1.0,
        title=f"share of the area shown, by {width} × {height} starts", alignment="left", title_fontsize=8.5,
    )  # fmt: skip
    return figure


def _painted(limits: LimitSets, names: Sequence[Name], shape: tuple[int, int]) -> NDArray[np.float64]:
    """``(h, w, 3)`` colours: the hue says where a start ends, its depth how many steps that took (the middle one where it was not followed)."""
    hues = np.array([to_rgb(colour(name.rank)) for name in names] + [to_rgb(UNRESOLVED)])
    labels = limits.labels.cpu().numpy()
    steps = np.log1p(limits.orbits.steps.cpu().numpy().astype(np.float64))
    followed = limits.orbits.followed.cpu().numpy()
    low, high = np.quantile(steps[followed], (0.02, 0.98))
    depth = np.clip((steps - low) / (high - low), 0, 1) if high > low else np.full(len(steps), 0.5)
    depth[~followed] = 0.5
    white = np.where(labels >= 0, _PALEST * (1 - depth), 0.0)[:, None]
    painted: NDArray[np.float64] = (hues[labels] * (1 - white) + white).reshape(*shape, 3)
    return painted


def _boundaries(axes: Axes, labels: NDArray[np.int64], edges: Extent) -> None:
    """A thin white line between neighbouring cells of different basins; where it runs inside a cell nobody knows."""
    height, width = labels.shape
    x, y = np.linspace(*edges[:2], width + 1), np.linspace(*edges[2:], height + 1)
    rows, columns = np.nonzero(labels[:, 1:] != labels[:, :-1])
    upright = [((x[c + 1], y[r]), (x[c + 1], y[r + 1])) for r, c in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(labels[1:] != labels[:-1])
    level = [((x[c], y[r + 1]), (x[c + 1], y[r + 1])) for r, c in zip(rows, columns, strict=True)]
    axes.add_collection(LineCollection(upright + level, colors=PAPER, linewidths=0.9, zorder=2))


def _entries(limits: LimitSets, names: Sequence[Name], shares: Basins) -> list[Patch]:
    """Legend: name and share per basin; the small ones together; what reached no set."""
    order = in_order(names)
    entries = []
    for index in order[:_MOST_ENTRIES]:
        share = percent(float(shares.fractions[index]))
        entries.append(Patch(color=colour(names[index].rank), label=f"{names[index].label}  {share}"))
    if len(order) > _MOST_ENTRIES:
        rest = float(shares.fractions[order[_MOST_ENTRIES:]].sum())
        entries.append(Patch(color=PAPER, label=f"{len(order) - _MOST_ENTRIES} more  {percent(rest)}"))
    if bool((limits.labels < 0).any()):
        words = (f"{word}  {percent(share)}" for word, share in shares_without_set(limits).items())
        entries += [Patch(color=UNRESOLVED, label=label) for label in words]
    return entries
