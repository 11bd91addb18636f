"""Orthogonal Procrustes: the rotation, scale and shift that bring one cloud of points onto another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.words import one_line


@dataclass(frozen=True, eq=False)
class Similarity:
    """z ↦ scale · (z − source_centre) R + target_centre.

    Attributes:
        rotation: ``(k, l)`` float64 with orthonormal rows or columns, whichever are fewer.
        scale: one positive number.
        source_centre: ``(k,)``.
        target_centre: ``(l,)``.
    """

    rotation: Tensor
    scale: float
    source_centre: Tensor
    target_centre: Tensor

    __repr__ = one_line

    def __call__(self, points: Tensor) -> Tensor:
        """``(n, …)`` to ``(n, l)`` float64."""
        flat = points.detach().flatten(1).to("cpu", torch.float64)
        return self.scale * (flat - self.source_centre) @ self.rotation + self.target_centre

    def r_squared(self, source: Tensor, target: Tensor) -> float:
        """1 − Σ‖image − target‖² / Σ‖target − mean target‖²: 1 for a perfect fit, below 0 for worse than none."""
        goal = target.detach().flatten(1).to("cpu", torch.float64)
        total = float((goal - goal.mean(dim=0)).square().sum())
        return 1 - float((self(source) - goal).square().sum()) / total if total > 0 else float("nan")


def procrustes(source: Tensor, target: Tensor) -> Similarity:
    """The least-squares similarity from paired points (Schönemann 1966): R = UVᵀ of the SVD of XᵀY, scale tr(S)/‖X‖².

    Args:
        source: ``(n, …)`` with k coordinates each.
        target: ``(n, …)`` with l coordinates each, paired with the source; l may differ from k.

    Raises:
        InputError: not paired, fewer than two points, or a source without extent.

    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> turned = procrustes(x, 3 * x @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]]) + 5)
    >>> round(turned.scale, 6), turned(torch.tensor([[1.0, 1.0]])).round(decimals=6).tolist()
    (3.0, [[2.0, 8.0]])
    """
    if len(source) != len(target) or len(source) < 2:
        raise InputError(
            f"Procrustes needs at least two pairs of points, not {len(source)} and {len(target)}; pass as many of each."
        )
    x, y = (points.detach().flatten(1).to("cpu", torch.float64) for points in (source, target))
    source_centre, target_centre = x.mean(dim=0), y.mean(dim=0)
    x, y = x - source_centre, y - target_centre
    size = float(x.square().sum())
    if not size > 0:
        raise InputError(
            "The source points all coincide, so nothing can be aligned with them; pass points that differ."
        )
    u, singular, v = torch.linalg.svd(x.T @ y, full_matrices=False)
    return Similarity(u @ v, float(singular.sum()) / size, source_centre, target_centre)


def relative(points: Tensor, anchors: Tensor) -> Tensor:
    """Relative representation (Moschella et al., ICLR 2023): cosines with the anchors, ``(n, a)`` float64.

    Points and anchors are centred on the mean anchor first. Rotations and scale of the latent space do not change it, so
    spaces of any dimension can be compared through shared anchors. A point at the centre has cosine 0 with everything.

    >>> relative(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist()
    [[1.0, -1.0]]
    """
    z, a = (each.detach().flatten(1).to("cpu", torch.float64) for each in (points, anchors))
    centre = a.mean(dim=0)
    return torch.nn.functional.normalize(z - centre, dim=1) @ torch.nn.functional.normalize(a - centre, dim=1).T
