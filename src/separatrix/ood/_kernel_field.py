"""A latent field for plain tables: the optimal denoiser of the training rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from separatrix.field import LatentField
from separatrix.numerics import spread

_SMALLEST = 1e-3  # share of the spread: a bandwidth below it makes every row an attractor of its own, at any k


class KernelDenoiser(nn.Module):
    """f(z) = Σ wᵢ(z) xᵢ with wᵢ ∝ exp(−‖z − xᵢ‖²/2σ²): E[x | x + σε = z] for the rows x, which are the memory.

    It is what an autoencoder trained to remove Gaussian noise σ tends to (Alain & Bengio 2014), and one step of mean shift
    (Comaniciu & Meer 2002): f(z) − z = σ² ∇ log of the kernel density, so its attractors are that density's modes.

    Args:
        rows: ``(n, k)``.
        bandwidth: σ; by default the median distance to the √n-th nearest row.

    >>> denoiser = KernelDenoiser(torch.tensor([[0.0], [1.0]], dtype=torch.float64), bandwidth=0.1)
    >>> denoiser(torch.tensor([[0.4]], dtype=torch.float64)).round(decimals=4).tolist()
    [[0.0]]
    """

    rows: Tensor

    def __init__(self, rows: Tensor, bandwidth: float | None = None) -> None:
        super().__init__()
        self.register_buffer("rows", rows)
        self.bandwidth = _bandwidth(rows) if bandwidth is None else bandwidth

    def forward(self, z: Tensor) -> Tensor:
        """One step, ``(n, k)`` to ``(n, k)``; far from all rows it is the nearest row, without underflow."""
        squared = torch.cdist(z, self.rows, compute_mode="donot_use_mm_for_euclid_dist").square()
        return torch.softmax(-squared / (2 * self.bandwidth**2), dim=1) @ self.rows

    def field(self) -> LatentField:
        """The denoiser as a latent field: the encoder is the identity."""
        return LatentField(
            nn.Identity(), self, latent_shape=self.rows.shape[1], dtype=self.rows.dtype, name="kernel denoiser"
        )


def _bandwidth(rows: Tensor) -> float:
    order = min(max(2, round(len(rows) ** 0.5)), len(rows))
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    typical = float(distances.kthvalue(order, dim=1).values.median())
    return max(typical, _SMALLEST * spread(rows))
