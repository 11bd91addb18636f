"""The portrait of a field: how fast and whereto it moves each point of a plane, and where motion ends."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.limitsets._grid_search import Extent
from separatrix.plots._marks import mark_limit_sets, picture_column, shares_of
from separatrix.plots._naming import names_of
from separatrix.plots._plane import Plane, cells
from separatrix.plots._style import SPEED, new_figure, styled
from separatrix.words import percent, without_folders
from separatrix.work import Progress

_MOST_DATA = 1500  # more dots hide the field
_FEW = 200  # so many dots or fewer are drawn larger: alone on the field they would be taken for dust
_SMALLEST_GRID = 8
_COARSE = 40  # grid points per side below which streamlines would be guessed; arrows stand where v was evaluated
_MARGIN = 0.1  # inches
_CUTS = 5


@styled
@checked
def field_portrait(
    limits: LimitSets,
    field: LatentField,
    *,
    points: Tensor | None = None,
    plane: Plane | None = None,
    extent: Extent | None = None,
    like: LimitSets | None = None,
    resolution: int = 100,
    title: str | None = None,
    progress: bool | Progress = False,
) -> Figure:
    """Speed ‖v(z)‖ (logarithmic), streamlines of v(z) = f(z) − z, limit sets, and encoded data as faint dots.

    Every evaluated point is one cell of the map, and nothing is drawn between them; how many there are stands beside the
    scale. On a grid of fewer than 40 points per side arrows take the place of streamlines, which would have to be guessed.

    For k = 2 this is the whole latent space. For larger k it is a plane, named above the figure together with
    what it
    hides: mean ‖v_out‖²/‖v‖² over the drawn grid, the share of the velocity that points out of the plane.
    Where the decoder returns images, the decoded attractors stand beside the field.

    Args:
        limits: its limit sets; attractors are lettered discs, closed curves are curves, unstable sets are
            crosses.
        field: the latent vector field.
        points: encoded data ``(n, *latent)``, drawn lightly.
        plane: where to draw; by default :meth:`Plane.of`.
        extent: (left, right, bottom, top) in the plane's coordinates; by default around the limit sets and
            the data.
        like: another search of the same field whose names and colours are kept.
        resolution: grid points per side.
        title: above the figure.
        progress: show progress.

    Cost: resolution² map evaluations, and one decoding per attractor.

    Raises:
        InputError: fewer than 8 grid points per side, or a latent space without a plane.
    """
    if resolution < _SMALLEST_GRID:
        raise InputError(
            f"A portrait needs at least {_SMALLEST_GRID} grid points per side; resolution is {resolution}."
        )
    plane = plane or Plane.of(limits, points)
    extent = extent or plane.extent(limits, points)
    grid, velocity = plane.velocity(field, extent, resolution, progress=progress)

    figure = new_figure(
        6.2 if plane.description else 5.8, title or f"The latent vector field of {without_folders(field.name)}"
    )
    names = names_of(limits, like)
    axes = picture_column(figure, field, limits, names, shares_of(limits))
    speed = velocity.norm(dim=1).reshape(resolution, resolution).numpy()
    edges = cells(extent, (resolution, resolution))
    image = axes.imshow(
        speed,
        extent=edges,
        origin="lower",
        cmap=SPEED,
        norm=_logarithmic(speed),
        aspect="equal",
        interpolation="nearest",
    )
    inside = (velocity @ plane.axes.T).reshape(resolution, resolution, 2).numpy()
    (_arrows if resolution < _COARSE else _streamlines)(axes, grid.numpy(), inside)
    if points is not None:
        dots = plane.coordinates(points[:: max(1, len(points) // _MOST_DATA)])
        axes.plot(
            dots[:, 0],
            dots[:, 1],
            ".",
            color="#ffe9b8",
            markersize=3 if len(dots) > _FEW else 6,
            alpha=0.5 if len(dots) > _FEW else 0.9,
            markeredgewidth=0,
            zorder=3,
            gid="data",
        )
    mark_limit_sets(axes, limits, names, plane)
    axes.set(xlim=edges[:2], ylim=edges[2:], xlabel=plane.labels[0], ylabel=plane.labels[1])
    if plane.description:
        hidden = float(plane.off_plane(velocity[velocity.isfinite().all(dim=1)]).mean())
        axes.set_title(
            f"Drawn: {plane.description}.\n"
            f"Hidden: {percent(hidden)} of the velocity (mean ‖v_out‖²/‖v‖²) points out of it."
        )
    # Anchored at the top: the room that equal units leave is below, not between the titles, and is cut off.
    bar = figure.colorbar(
        image, ax=axes, shrink=0.7, aspect=30, pad=0.02, anchor=(0.0, 1.0), panchor="N", format="{x:g}"
    )
    bar.set_label(f"speed ‖f(z) − z‖ of one round trip, at {resolution} × {resolution} points")
    slowest, fastest = bar.ax.get_ylim()
    decades = fastest > 10 * slowest  # all nine numbers between two powers of ten would overlap
    bar.ax.yaxis.set_minor_formatter(lambda speed, _: f"{speed:g}" if not decades or f"{speed:e}"[0] in "25" else "")
    bar.outline.set_visible(False)
    _cut_below(figure)
    return figure


def _cut_below(figure: Figure) -> None:
    """Take away the free room below everything that is drawn; more than once, since the colour bar gets lower with the figure."""
    for _ in range(_CUTS):
        figure.draw_without_rendering()
        free = float(figure.get_tightbbox().y0) - _MARGIN
        if free < _MARGIN:
            return
        figure.set_figheight(figure.get_figheight() - free)


def _logarithmic(speed: NDArray[np.float64]) -> LogNorm | None:
    """A scale over the bulk of the speeds; a field that stands still everywhere has none."""
    moving = speed[np.isfinite(speed) & (speed > 0)]
    if not moving.size:
        return None
    low, high = np.quantile(moving, (0.002, 0.998))
    return LogNorm(low, high) if high > low else LogNorm(low / 2, high * 2)


def _arrows(axes: Axes, grid: NDArray[np.float64], inside: NDArray[np.float64]) -> None:
    """The direction of the velocity in the plane, at every point where it was evaluated; its size is the colour below."""
    length = np.linalg.norm(inside, axis=2, keepdims=True)
    moving = np.isfinite(length[..., 0]) & (length[..., 0] > 0)
    if not moving.any():
        return
    direction = inside[moving] / length[moving]
    axes.quiver(
        *grid[moving].T, *direction.T, color=(1.0, 1.0, 1.0, 0.65), pivot="mid", zorder=2, gid="arrows",
        angles="xy", scale_units="width", scale=1.5 * len(grid), width=0.0022, headwidth=4, headlength=4.5,
    )  # fmt: skip


def _streamlines(axes: Axes, grid: NDArray[np.float64], inside: NDArray[np.float64]) -> None:
    if not np.nanmax(np.abs(inside), initial=0.0) > 0:
        return
    across, along = np.moveaxis(np.ma.masked_invalid(inside), 2, 0)
    axes.streamplot(
        grid[0, :, 0], grid[:, 0, 1], across, along,
        color=(1.0, 1.0, 1.0, 0.55), linewidth=0.7, arrowsize=0.8, density=1.1, zorder=2,
    )  # fmt: skip
