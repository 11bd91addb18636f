"""The geometry of a dictionary: how alike its atoms are, and how many directions they fill."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.errors import InputError

_SAME = 1e-6  # 1 − |cosine| of two atoms that count as one: rounding of a float32 network, and an angle of 0.08°


@dataclass(frozen=True)
class FrameGeometry:
    """What n atoms in d dimensions are, whatever their lengths.

    Attributes:
        atoms: n.
        dimension: d.
        distinct: atoms that are neither zero nor, up to sign, parallel to an earlier one. All that follows is of these.
        coherence: μ = max over i ≠ j of |cos(aᵢ, aⱼ)|; 0 for one atom.
        effective_rank: exp(−Σ p ln p), p the squared singular values of the unit atoms as shares of their sum (Roy &
            Vetterli 2007, there of the values themselves). d for an orthonormal basis, n/√e for n Gaussian atoms in n
            dimensions, 1 where all atoms are nearly parallel.
        redundancy: distinct / effective_rank, how many atoms there are for each direction they fill; NaN without atoms.
    """

    atoms: int
    dimension: int
    distinct: int
    coherence: float
    effective_rank: float
    redundancy: float


def frame_geometry(atoms: Tensor) -> FrameGeometry:
    """Measure the rows of ``atoms`` ``(n, d)``. Memory: n² + n·d float64 numbers; time: O(n² d).

    Raises:
        InputError: no matrix, or atoms that are not finite.

    >>> frame_geometry(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, -1.0]]))
    FrameGeometry(atoms=3, dimension=2, distinct=2, coherence=0.0, effective_rank=2.0, redundancy=1.0)
    """
    if atoms.ndim != 2:
        raise InputError(
            f"Atoms are the rows of a matrix (n, d), not of shape {tuple(atoms.shape)}; flatten them first."
        )
    if not bool(atoms.isfinite().all()):
        raise InputError("There are NaN or infinite entries in the atoms; drop the atoms that are not finite.")
    count, dimension = atoms.shape
    flat = atoms.detach().to(torch.float64)
    largest = flat.abs().amax(dim=1, keepdim=True) if flat.numel() else flat.new_zeros((len(flat), 1))
    units = flat / torch.where(largest > 0, largest, 1.0)
    units = units / units.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    units = units[largest[:, 0] > 0]
    cosines = (units @ units.T).abs()
    units = units[~(cosines >= 1 - _SAME).tril(-1).any(dim=1)]
    distinct = len(units)
    if not distinct:
        return FrameGeometry(count, dimension, 0, 0.0, 0.0, math.nan)
    between = (units @ units.T).abs().fill_diagonal_(0.0)
    energy = torch.linalg.svdvals(units).square()
    share = energy / energy.sum()
    rank = math.exp(float(-torch.special.xlogy(share, share).sum()))
    return FrameGeometry(count, dimension, distinct, min(float(between.max()), 1.0), rank, distinct / rank)
