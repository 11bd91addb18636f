"""A model with four attractors in two latent coordinates, and 4×4 images around them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TanhAutoencoder(nn.Module):
    """x = Az with orthonormal columns; E(x) = tanh(2Aᵀx): the latent map is tanh(2z) in two coordinates."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.randn(16, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        self.basis = nn.Parameter(torch.linalg.qr(draws).Q)

    def encode(self, x: Tensor) -> Tensor:
        return torch.tanh(2 * x.flatten(1) @ self.basis)

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.basis.T).reshape(-1, 1, 4, 4)


def images(count: int, seed: int = 0, noise: float = 0.3) -> Tensor:
    """Four blobs around the decoded attractors, with pixel noise."""
    generator = torch.Generator().manual_seed(seed)
    basis = TanhAutoencoder().basis.detach()
    signs = torch.randint(0, 2, (count, 2), generator=generator).double() * 2 - 1
    latents = 0.6 * signs + noise * torch.randn(count, 2, generator=generator, dtype=torch.float64)
    pixels = 0.02 * torch.randn(count, 16, generator=generator, dtype=torch.float64)
    return (latents @ basis.T + pixels).reshape(count, 1, 4, 4)
