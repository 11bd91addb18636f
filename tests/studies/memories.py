"""Softmax associative memories: data space is latent space, and each stored image attracts."""

from __future__ import annotations

import torch

from separatrix import LatentField


def images(count: int, seed: int, size: int = 4) -> torch.Tensor:
    """Independent uniform pixels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, size, size, generator=generator, dtype=torch.float64)


def memory(stored: torch.Tensor, sharpness: float = 200.0, rate: float = 0.1) -> LatentField:
    """z ← (1 − rate) z + rate Σ softmax(−sharpness ‖z − x‖²) x: slow enough not to be trivial."""

    def step(z: torch.Tensor) -> torch.Tensor:
        distance = (z[:, None] - stored.to(z)[None]).flatten(2).square().sum(dim=2)
        weights = torch.softmax(-sharpness * distance, dim=1)
        return (1 - rate) * z + rate * (weights @ stored.to(z).flatten(1)).reshape(z.shape)

    return LatentField.from_map(step, tuple(stored.shape[1:]), dtype=torch.float64, name="memory")
