"""The plane of a latent space in which a figure is drawn, and what the figure therefore does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.limitsets._grid_search import Extent
from separatrix.words import one_line
from separatrix.work import Progress

_STRIDE = 64  # latents between two moments of the progress
_ONE_POINT = 1e-4  # spreads: points no farther apart differ by rounding and by where their orbits were stopped


@dataclass(frozen=True, eq=False)
class Plane:
    """The points origin + a·axes[0] + b·axes[1] of a flattened latent space of k dimensions.

    Attributes:
        origin: ``(k,)`` float64.
        axes: ``(2, k)`` float64, orthonormal rows.
        latent_shape: shape of one latent.
        labels: what the two axes are.
        description: the sentence that tells a reader which plane this is; empty if it is the whole latent
            space.

    >>> plane = Plane.through(torch.zeros(3), torch.tensor([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0]]))
    >>> plane.coordinates(torch.tensor([[1.0, 2.0, 5.0]])).tolist()
    [[1.0, 2.0]]
    """

    origin: Tensor
    axes: Tensor
    latent_shape: tuple[int, ...]
    labels: tuple[str, str]
    description: str

    __repr__ = one_line

    @classmethod
    def through(cls, origin: Tensor, axes: Tensor, *, description: str = "the given plane") -> Plane:
        """The plane through ``origin`` ``(*latent)`` spanned by two directions ``(2, *latent)``.

        The directions are made orthonormal in their order.

        Raises:
            InputError: the two directions do not span a plane.
        """
        flat = axes.detach().to("cpu", torch.float64).reshape(len(axes), -1)
        if len(flat) != 2 or flat.shape[1] != origin.numel() or flat.shape[1] < 2:
            raise InputError(
                "A plane needs an origin of k numbers and two directions of the same k ≥ 2, not "
                f"{origin.numel()} and "
                f"{tuple(flat.shape)}; pass axes as a tensor (2, *latent_shape)."
            )
        first = flat[0] / flat[0].norm()
        second = flat[1] - (flat[1] @ first) * first
        if not float(second.norm()) > 1e-12 * float(flat[1].norm()):
            raise InputError("The two axes are parallel or zero and span no plane; pass two independent directions.")
        return cls(
            origin.detach().to("cpu", torch.float64).reshape(-1),
            torch.stack((first, second / second.norm())),
            tuple(origin.shape),
            ("first direction", "second direction"),
            description,
        )

    @classmethod
    def of(cls, limits: LimitSets, points: Tensor | None = None) -> Plane:
        """The plane that shows these limit sets best: for k = 2 the latent space, else a principal plane.

        The principal plane (PCA) is that of the attractors where there are at least three of them, otherwise
        that of the end points and the encoded data together. Where all of these are one point, its principal plane would be one of
        rounding errors: then it is the plane of the first two coordinates.

        Raises:
            InputError: the latent space has fewer than two dimensions.
        """
        shape = tuple(limits.points.shape[1:])
        width = limits.points[0:1].numel() if len(limits) else limits.orbits.points[0:1].numel()
        if width < 2:
            raise InputError("A latent space of one dimension has no plane to draw; use steps_histogram or spectrum.")
        if width == 2:
            identity = torch.eye(2, dtype=torch.float64)
            return cls(
                torch.zeros(2, dtype=torch.float64),
                identity,
                shape,
                ("latent coordinate 1", "latent coordinate 2"),
                "",
            )
        chosen = limits.attractors
        if len(chosen) >= 3:
            cloud, whose = chosen.points, f"the {len(chosen)} attractors"
        else:
            parts = [limits.orbits.points] if points is None else [limits.orbits.points, points]
            cloud = torch.cat([part.detach().to("cpu", torch.float64).flatten(1) for part in parts])
            whose = "the end points" if points is None else "the end points and the encoded data"
        cloud = cloud.detach().to("cpu", torch.float64).flatten(1)
        cloud = cloud[cloud.isfinite().all(dim=1)]
        centre = cloud.mean(dim=0) if len(cloud) else torch.zeros(width, dtype=torch.float64)
        if not bool(((cloud - centre).abs() > _ONE_POINT * limits.spread).any()):
            return cls(
                centre, torch.eye(width, dtype=torch.float64)[:2], shape, ("latent coordinate 1", "latent coordinate 2"),
                "the plane of the first two coordinates through the one point where all orbits end",
            )  # fmt: skip
        _, singular, directions = torch.linalg.svd(cloud - centre, full_matrices=False)
        axes = _completed(directions[:2], singular[:2], width)
        share = float(singular[:2].square().sum() / singular.square().sum().clamp_min(1e-300))
        axes = axes * torch.where(axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)) < 0, -1.0, 1.0)
        return cls(
            centre, axes, shape, ("principal direction 1", "principal direction 2"),
            f"the principal plane of {whose}, which holds {100 * share:.0f} % of their variance",
        )  # fmt: skip

    def coordinates(self, latents: Tensor) -> Tensor:
        """``(n, *latent)`` to ``(n, 2)`` float64: orthogonal projection onto the plane."""
        return (latents.detach().to("cpu", torch.float64).flatten(1) - self.origin) @ self.axes.T

    def lift(self, coordinates: Tensor) -> Tensor:
        """``(n, 2)`` to the latents ``(n, *latent)`` float64 on the plane."""
        flat = self.origin + coordinates.to(torch.float64) @ self.axes
        return flat.reshape(-1, *self.latent_shape)

    def off_plane(self, vectors: Tensor) -> Tensor:
        """``(n,)`` share of each vector's squared length that points out of the plane; 0 for zero vectors."""
        flat = vectors.to("cpu", torch.float64).flatten(1)
        total = flat.square().sum(dim=1)
        inside = (flat @ self.axes.T).square().sum(dim=1)
        return torch.where(total > 0, ((total - inside) / total.clamp_min(1e-300)).clamp(0, 1), torch.zeros_like(total))

    def extent(self, limits: LimitSets, points: Tensor | None = None) -> Extent:
        """A rectangle (left, right, bottom, top) around the limit sets and the bulk of ``points``; two spreads wide around a single point."""
        corners = [self.coordinates(limits.trace(index)) for index in range(len(limits))]
        bulk = limits.orbits.points if points is None and not corners else points
        if bulk is not None:
            flat = self.coordinates(bulk)
            flat = flat[flat.isfinite().all(dim=1)]
            if len(flat):
                corners.append(torch.quantile(flat, torch.tensor([0.01, 0.99], dtype=torch.float64), dim=0))
        everything = torch.cat(corners) if corners else torch.zeros(1, 2, dtype=torch.float64)
        low, high = everything.amin(dim=0), everything.amax(dim=0)
        size = (high - low).clamp_min(0.8 * float((high - low).max()))  # no slivers
        size = torch.where(size > _ONE_POINT * limits.spread, size, 2.0 * limits.spread)
        middle = (high + low) / 2
        low, high = middle - 0.6 * size, middle + 0.6 * size
        return float(low[0]), float(high[0]), float(low[1]), float(high[1])

    @checked
    def velocity(
        self,
        field: LatentField,
        extent: Extent,
        resolution: int,
        *,
        progress: bool | Progress = False,
    ) -> tuple[Tensor, Tensor]:
        """v on a grid: coordinates ``(resolution, resolution, 2)`` and velocities ``(resolution², k)``.

        Rows of the grid run along the second axis. Cost: resolution² map evaluations.
        """
        across = torch.linspace(extent[0], extent[1], resolution, dtype=torch.float64)
        along = torch.linspace(extent[2], extent[3], resolution, dtype=torch.float64)
        grid = torch.stack(torch.meshgrid(across, along, indexing="xy"), dim=-1)
        latents = self.lift(grid.reshape(-1, 2)).to(field.device, field.dtype)
        parts = []
        with field.guest(), Progress.of(progress).stage("evaluating the field", len(latents)) as line:
            for part in latents.split(_STRIDE):
                parts.append((field.bare(part) - part).to("cpu", torch.float64).flatten(1))
                line.advance(len(part))
        return grid, torch.cat(parts)


def cells(extent: Extent, shape: Sequence[int]) -> Extent:
    """The edges of an image of which every pixel has its point of a grid (h, w) over ``extent`` in its middle.

    >>> cells((0.0, 1.0, 0.0, 2.0), (3, 2))
    (-0.5, 1.5, -0.5, 2.5)
    """
    across, along = (extent[1] - extent[0]) / (shape[1] - 1) / 2, (extent[3] - extent[2]) / (shape[0] - 1) / 2
    return extent[0] - across, extent[1] + across, extent[2] - along, extent[3] + along


def _completed(directions: Tensor, singular: Tensor, width: int) -> Tensor:
    """Two orthonormal rows, also where the cloud spans fewer than two directions."""
    kept = [row for row, value in zip(directions, singular, strict=True) if float(value) > 1e-12 * float(singular[0])]
    for unit in torch.eye(width, dtype=torch.float64)[:3]:
        if len(kept) >= 2:
            break
        for row in kept:
            unit = unit - (unit @ row) * row
        if float(unit.norm()) > 0.3:
            kept.append(unit / unit.norm())
    return torch.stack(kept[:2])
