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
    """It tells what n atoms in d dimensions are, whatever their lengths.

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


def distinct_atoms(atoms: Tensor) -> Tensor:
    """Indices of the rows that are neither zero nor, up to sign, parallel to an earlier row that is kept.

    Rows count as parallel from |cosine| = 1 − 1e-6 on: what a float32 network tells apart below that is its rounding. A
    pursuit must not see such rows as two atoms, or it codes with their tiny difference.

    >>> distinct_atoms(torch.tensor([[0.0, 0.0], [1.0, 2.0], [-2.0, -4.0], [1.0, 0.0]])).tolist()
    [1, 3]
    """
    units = _units(atoms)
    same = (units @ units.T).abs() >= 1 - _SAME
    kept = units.abs().amax(dim=1) > 0 if units.numel() else torch.zeros(len(units), dtype=torch.bool)
    for row in range(len(units)):
        if kept[row]:
            kept[row + 1 :] &= ~same[row, row + 1 :]
    return kept.nonzero().flatten()


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
    units = _units(atoms)[distinct_atoms(atoms)]
    distinct = len(units)
    if not distinct:
        return FrameGeometry(count, dimension, 0, 0.0, 0.0, math.nan)
    between = (units @ units.T).abs().fill_diagonal_(0.0)
    energy = torch.linalg.svdvals(units).square()
    share = energy / energy.sum()
    rank = math.exp(float(-torch.special.xlogy(share, share).sum()))
    return FrameGeometry(count, dimension, distinct, min(float(between.max()), 1.0), rank, distinct / rank)


def _units(atoms: Tensor) -> Tensor:
    """Rows of unit length in float64; zero rows stay zero."""
    flat = atoms.detach().to(torch.float64)
    largest = flat.abs().amax(dim=1, keepdim=True) if flat.numel() else flat.new_zeros((len(flat), 1))
    units = flat / torch.where(largest > 0, largest, 1.0)
    return units / units.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
