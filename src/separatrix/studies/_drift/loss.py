"""This file tells what a picture has lost, taken apart into parts that are orthogonal, so that they add up to its squared error.

The error e = y − x is split by colour first: into L, the mean of the channels (times √c), and the colour that is left. Of L the
mean over the picture is *brightness*. The rest of L is looked at in the orthonormal cosine basis (DCT-II), in bands b of spatial
frequency, where g_b = ⟨y_b, x_b⟩/‖x_b‖² says how much of the picture's own band is still there:

    ‖e‖² = brightness + colour + (a − 1)² Σ‖x_b‖² + Σ (g_b − a)² ‖x_b‖² + Σ ‖y_b − g_b x_b‖²

with a = Σ g_b‖x_b‖²/Σ‖x_b‖², the *contrast*: the third term is what a change of contrast explains, the fourth what each band was
dulled or sharpened beyond that, and the last is *new*: in the picture now and never in the original (texture, noise, moved edges).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy
import torch
from torch import Tensor

BANDS = ("over 16 px", "8 to 16 px", "4 to 8 px", "under 4 px")
"""Bands of spatial frequency by the length of one wave, coarse to fine."""

DETAIL = tuple(f"detail {band}" for band in BANDS)
PARTS = ("brightness", "contrast", "colour", *DETAIL, "new structure")
"""What the squared error is made of."""

_EDGES = (1 / 8, 1 / 4, 1 / 2)  # of the bands, as shares of the highest frequency along an axis
_NOTHING = 1e-14  # of white's square: a band with less than this is empty


@dataclass(frozen=True, kw_only=True)
class Loss:
    """It tells what n pictures have lost against their originals.

    Attributes:
        parts: ``(n, 8)`` float64, mean squared error per value, by `PARTS`; they add up to the whole.
        new: ``(n, 4)`` the last part by band.
        gains: ``(n, 4)`` g_b; NaN where the original has nothing in that band.
        brightness: ``(n,)`` mean of the picture less that of the original.
        contrast: ``(n,)`` standard deviation of L over that of the original; NaN where that has none.
    """

    parts: Tensor
    new: Tensor
    gains: Tensor
    brightness: Tensor
    contrast: Tensor


class Originals:
    """Pictures ``(n, c, h, w)`` against which others are measured."""

    def __init__(self, pictures: Tensor) -> None:
        self.pictures = pictures.to("cpu", torch.float64)
        self._values = self.pictures[0].numel()
        self._cosines = _cosines(_luminance(self.pictures))
        self._energy = self._by_band(self._cosines.square())
        self._live = self._energy > _NOTHING * self._values

    def loss(self, pictures: Tensor) -> Loss:
        """Return what these pictures have lost."""
        now = pictures.detach().to("cpu", torch.float64)
        error = now - self.pictures
        luminance = _luminance(now)
        colour = (error - error.mean(dim=1, keepdim=True)).square().flatten(1).sum(dim=1)
        cosines = _cosines(luminance)
        brightness = error.mean(dim=1).flatten(1).mean(dim=1)
        energy = torch.where(self._live, self._energy, 0.0)
        gains = torch.where(self._live, self._by_band(cosines * self._cosines) / self._energy, torch.nan)
        known = torch.where(self._live, gains, 0.0)
        whole = energy.sum(dim=1)
        common = torch.where(whole > 0, (known * energy).sum(dim=1) / whole, 1.0)
        foreign = cosines - self._spread(torch.where(self._live, known, 1.0)) * self._cosines
        new = self._by_band(foreign.square())
        parts = torch.cat(
            [
                (brightness.square() * self._values)[:, None],
                ((common - 1).square() * whole)[:, None],
                colour[:, None],
                (known - common[:, None]).square() * energy,
                new.sum(dim=1, keepdim=True),
            ],
            dim=1,
        )
        spread = (self._by_band(cosines.square()).sum(dim=1) / whole).sqrt()
        return Loss(
            parts=parts / self._values,
            new=new / self._values,
            gains=gains,
            brightness=brightness,
            contrast=torch.where(whole > 0, spread, torch.nan),
        )

    def _by_band(self, values: Tensor) -> Tensor:
        """``(n, 4)`` sums over the bands; the mean over the picture is in none of them."""
        index = _bands(*values.shape[-2:]).flatten()
        total = values.new_zeros(len(values), len(BANDS) + 1)
        return total.index_add_(1, index, values.flatten(1))[:, :-1]

    def _spread(self, per_band: Tensor) -> Tensor:
        """``(n, h, w)``: each frequency gets the number of its band, and the mean over the picture 1."""
        padded = torch.cat([per_band, torch.ones_like(per_band[:, :1])], dim=1)
        return padded[:, _bands(*self._cosines.shape[-2:])]


@lru_cache(maxsize=16)
def _bands(height: int, width: int) -> Tensor:
    """``(h, w)`` int64: the band of each frequency of the cosine basis; the mean gets a number of its own, the last."""
    down, across = np.arange(height) / height, np.arange(width) / width
    radius = np.hypot(down[:, None], across[None, :])
    index = np.digitize(radius, _EDGES)
    index[0, 0] = len(BANDS)
    return torch.from_numpy(index.astype(np.int64))


def band_mask(band: int, height: int, width: int) -> Tensor:
    """``(h, w)`` bool: the frequencies of a band in the cosine basis."""
    return _bands(height, width) == band


def _luminance(pictures: Tensor) -> Tensor:
    """``(n, h, w)`` the mean of the channels times √c: the projection on grey."""
    return pictures.mean(dim=1) * pictures.shape[1] ** 0.5


def _cosines(planes: Tensor) -> Tensor:
    found = scipy.fft.dctn(planes.numpy(), axes=(-2, -1), norm="ortho")
    return torch.from_numpy(found)
