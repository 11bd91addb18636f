"""‖J‖₂ over a two-dimensional latent space, with the contour at 1: inside it, single steps contract."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, spectrum_of
from separatrix.plots._marks import mark_limit_sets
from separatrix.plots._naming import names_of
from separatrix.plots._plane import Plane, cells
from separatrix.plots._style import INK, new_figure, styled

_CHUNK = 1024
_RANGE = 1.0  # decades to each side of 1 that the colours tell apart


@styled
@checked
def contraction_map(
    limits: LimitSets,
    field: LatentField,
    latents: Tensor | None = None,
    *,
    resolution: int = 80,
    title: str | None = None,
) -> Figure:
    """A map of the spectral norm of J_f, blue below 1 and red above.

    Args:
        limits: its limit sets, which are marked and decide what is shown.
        field: with two latent dimensions.
        latents: ``(n, 2)`` encoded data, drawn as dots.
        resolution: grid points per side.
        title: above the figure.

    Raises:
        InputError: the latent space has not two dimensions.

    Cost: 5·resolution² map evaluations.
    """
    if field.latent_dim != 2:
        raise InputError(f"A map needs two latent dimensions, not {field.latent_dim}; see Contraction for others.")
    plane = Plane.of(limits)
    points = (
        limits.orbits.points if latents is None else torch.cat((limits.orbits.points, latents.to(limits.orbits.points)))
    )
    x0, x1, y0, y1 = plane.extent(limits, points)
    xs, ys = torch.linspace(x0, x1, resolution), torch.linspace(y0, y1, resolution)
    grid = torch.cartesian_prod(ys, xs).flip(1).reshape(-1, *field.latent_shape).to(field.device, field.dtype)
    norms = torch.cat([spectrum_of(field.jacobian(part)).norm for part in grid.split(_CHUNK)])
    # Where f is NaN its derivative may be 0, as of a constant: that is no contraction, and stays blank.
    lost = torch.cat([~field(part).flatten(1).isfinite().all(dim=1) for part in grid.split(_CHUNK)])
    values = norms.where(~lost, torch.nan).clamp_min(1e-12).log10().reshape(resolution, resolution).cpu().numpy()
    figure = new_figure(5.2, title or "Where single steps contract")
    axes = figure.subplots()
    shown = axes.imshow(
        values, origin="lower", extent=cells((x0, x1, y0, y1), values.shape), cmap="RdBu_r", vmin=-_RANGE, vmax=_RANGE, aspect="auto",
    )  # fmt: skip
    if (values < 0).any() and (values > 0).any():
        axes.contour(values, levels=[0.0], extent=(x0, x1, y0, y1), colors=[INK], linewidths=1.4)
    if latents is not None:
        dots = latents.detach().flatten(1).cpu().numpy()
        axes.plot(dots[:, 0], dots[:, 1], ".", color=INK, markersize=1.5, alpha=0.5, gid="data")
    mark_limit_sets(axes, limits, names_of(limits), plane)
    axes.set(xlabel=plane.labels[0], ylabel=plane.labels[1], xlim=(x0, x1), ylim=(y0, y1))
    bar = figure.colorbar(shown, ax=axes, extend="both")
    ticks = np.array([0.1, 0.3, 1.0, 3.0, 10.0])
    bar.set_ticks(np.log10(ticks).tolist(), labels=[f"{tick:g}" for tick in ticks])
    bar.set_label("‖J‖₂ (black line: 1)")
    return figure
