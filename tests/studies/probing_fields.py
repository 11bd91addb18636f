"""Fields of which it is known what iterating noise gives: the true atoms, one direction, nothing new."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import separatrix as sx


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def patterns(count: int, dimension: int, seed: int = 0) -> Tensor:
    """Unit vectors, far from a basis of the space (count < dimension)."""
    atoms = gaussian(count, dimension, seed=seed)
    return atoms / atoms.norm(dim=1, keepdim=True)


def memory(stored: Tensor, sharpness: float = 12.0) -> sx.LatentField:
    """Noise ends on ± the stored unit vectors: a softmax memory (Ramsauer et al. 2021) of a symmetric set."""
    both = torch.cat((stored, -stored))

    def step(z: Tensor) -> Tensor:
        # Slow, so that one step says little of where it ends.
        return 0.7 * z + 0.3 * torch.softmax(sharpness * z @ both.T, dim=1) @ both

    return sx.LatentField.from_map(step, stored.shape[1], dtype=torch.float64, name="memory")


def linear(matrix: Tensor) -> sx.LatentField:
    return sx.LatentField.from_map(lambda z: z @ matrix.T, len(matrix), dtype=torch.float64, name="linear")


def sparse_combinations(atoms: Tensor, count: int, used: int, seed: int = 0) -> Tensor:
    """Signals made of ``used`` atoms each."""
    coefficients = torch.zeros(count, len(atoms), dtype=torch.float64)
    values = gaussian(count, used, seed=seed)
    values = values.sign() * (0.5 + values.abs())
    for row in range(count):
        order = torch.randperm(len(atoms), generator=torch.Generator().manual_seed(1000 * seed + row))
        coefficients[row, order[:used]] = values[row]
    return coefficients @ atoms


class LearntNothing(nn.Module):
    """Every coordinate to ±1, by no weight that was learnt: its untrained copy does the same."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.unused = nn.Linear(dimension, dimension).double()

    def encode(self, x: Tensor) -> Tensor:
        return torch.tanh(1.5 * x)

    def decode(self, z: Tensor) -> Tensor:
        return z + 0 * self.unused(z)
