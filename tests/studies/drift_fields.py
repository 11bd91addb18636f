"""Maps of pictures whose loss is known, and pictures for them."""

from __future__ import annotations

from collections.abc import Callable

import scipy
import torch
from torch import Tensor

import separatrix as sx
from separatrix.studies._drift.loss import band_mask

SIDE = 32
DOUBLE = {"dtype": torch.float64}


def pictures(count: int = 6, channels: int = 3, side: int = SIDE, seed: int = 0) -> Tensor:
    """Smooth random pictures between .25 and .75, with something in every band."""
    draw = torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(seed), **DOUBLE)
    radius = torch.arange(side, **DOUBLE)
    falls = 1 / (1 + radius[:, None] + radius[None, :])
    image = torch.from_numpy(scipy.fft.idctn((draw * falls).numpy(), axes=(-2, -1), norm="ortho"))
    image = image - image.flatten(1).mean(dim=1).reshape(-1, 1, 1, 1)
    return 0.5 + 0.25 * image / image.abs().flatten(1).amax(dim=1).reshape(-1, 1, 1, 1)


def maps(
    function: Callable[[Tensor], Tensor], channels: int = 3, side: int = SIDE, name: str = "map"
) -> sx.LatentField:
    """An autoencoder whose latent is the picture."""
    return sx.LatentField.from_map(function, (channels, side, side), name=name, **DOUBLE)


def cosines(x: Tensor) -> Tensor:
    return torch.from_numpy(scipy.fft.dctn(x.detach().numpy(), axes=(-2, -1), norm="ortho"))


def from_cosines(x: Tensor) -> Tensor:
    return torch.from_numpy(scipy.fft.idctn(x.detach().numpy(), axes=(-2, -1), norm="ortho"))


def diagonal(gains: list[float], name: str = "diagonal") -> sx.LatentField:
    """Each band of the deviation from grey is multiplied by its gain; the mean stays."""
    table = torch.ones(SIDE, SIDE, **DOUBLE)
    for band, gain in enumerate(gains):
        table[band_mask(band, SIDE, SIDE)] = gain
    return maps(lambda x: from_cosines(table * cosines(x)), name=name)


def drifted(field: sx.LatentField, x: Tensor, trips: int = 5, **options: object) -> sx.studies.Drift:
    """Without edits, if none are named."""
    return sx.drift(field, x, trips=trips, **{"edits": (), **options})
