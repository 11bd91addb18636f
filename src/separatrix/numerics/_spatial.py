"""Do neighbouring pixels agree? The least that an image has and independent noise has not."""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError

_SAME = 1e-12  # values of I that differ by rounding only are tied


def morans_i(images: Tensor) -> Tensor:
    """Moran's I of each image, with rook neighbours (Moran 1950): (N/W) Σ_{i~j} (xᵢ − x̄)(xⱼ − x̄) / Σ (xᵢ − x̄)².

    Sums run over all channels, each about its own mean. 1: neighbours are equal; −1: a checkerboard; about 0: noise; an
    image without variance is 0.

    Args:
        images: ``(n, c, h, w)``, at least 2×2 pixels.

    Returns:
        ``(n,)`` float64.

    >>> morans_i(torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])).item()
    -1.0
    """
    if images.ndim != 4:
        raise InputError(f"Images have the shape (n, c, h, w), not {tuple(images.shape)}.")
    height, width = images.shape[2:]
    if min(height, width) < 2:
        raise InputError(f"Neighbours need images of at least 2×2 pixels, not {height}×{width}.")
    x = images.detach().to("cpu", torch.float64)
    x = x - x.mean(dim=(2, 3), keepdim=True)
    pairs = (x[..., 1:, :] * x[..., :-1, :]).sum(dim=(1, 2, 3)) + (x[..., 1:] * x[..., :-1]).sum(dim=(1, 2, 3))
    variance = x.square().sum(dim=(1, 2, 3))
    # Each pair counts once here and in their number, so N/W is pixels over pairs.
    factor = height * width / ((height - 1) * width + height * (width - 1))
    floor = 1e-24 * images.detach().to("cpu", torch.float64).square().sum(dim=(1, 2, 3))
    return torch.where(variance > floor, factor * pairs / torch.where(variance > floor, variance, 1.0), 0.0)


@checked
def shuffled_p_values(images: Tensor, *, shuffles: int = 199, seed: int = 0) -> Tensor:
    """Tell how often an image's own pixels, shuffled, agree with their neighbours as well: (1 + #{I_shuffled ≥ I})/(1 + shuffles).

    Exact for exchangeable pixels, whatever their distribution. Channels are shuffled together.

    Args:
        images: ``(n, c, h, w)``.
        shuffles: permutations, the same for all images.
        seed: of the permutations.

    Returns:
        ``(n,)`` float64.

    >>> slope = torch.linspace(0, 1, 8).expand(1, 1, 8, 8)
    >>> shuffled_p_values(slope, shuffles=99).tolist()
    [0.01]
    """
    if shuffles < 1:
        raise InputError(f"The null needs at least one shuffle, not {shuffles}.")
    observed = morans_i(images)
    flat = images.detach().flatten(2).to("cpu")
    generator = torch.Generator().manual_seed(seed)
    reached = torch.zeros(len(images), dtype=torch.float64)
    for _ in range(shuffles):
        order = torch.randperm(flat.shape[2], generator=generator)
        reached += morans_i(flat[:, :, order].reshape(images.shape)) >= observed - _SAME
    return (1 + reached) / (1 + shuffles)
