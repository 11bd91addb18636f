"""PSNR and SSIM say how good a picture still is."""

from __future__ import annotations

import math

import numpy as np
import scipy
import torch
from torch import Tensor

from separatrix.errors import InputError

MOST_PSNR = 100.0
"""PSNR in dB that stands for no difference: a squared error below 1e-10 of white's."""

TOO_SMALL_FOR_SSIM = "SSIM is not known of pictures with sides below 11 px, the width of its window."
_SIGMA, _RADIUS = 1.5, 5  # of the window, in pixels
_FLAT, _DARK = 0.03, 0.01  # K₂ and K₁ of Wang et al.


def require_bar(bar: float) -> None:
    """Refuse a bar that no picture could be above.

    Raises:
        InputError: it is not in (0, `MOST_PSNR`].
    """
    if not 0 < bar <= MOST_PSNR:
        raise InputError(
            f"A bar lies above 0 and at {MOST_PSNR:g} dB at most, where no difference is left, not at {bar}."
        )


def psnr_of(squared_error: Tensor, values: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    """10 log₁₀((white − black)²/MSE) in dB, 100 at most.

    >>> psnr_of(torch.tensor([0.01, 0.0], dtype=torch.float64)).tolist()
    [20.0, 100.0]
    """
    peak = (values[1] - values[0]) ** 2
    return (10 * (peak / squared_error.to(torch.float64)).log10()).clamp(max=MOST_PSNR)


class Windowed:
    """Pictures ``(n, c, h, w)`` with their local means and mean squares, which SSIM against whatever other pictures needs.

    A drift compares each picture with its original and with the one before: kept like this that takes 4 filters in the place of 10.
    Scikit-image's function, which it equals, took a tenth of the time of the round trips themselves.
    """

    def __init__(self, pictures: Tensor) -> None:
        self.pictures = pictures.detach().to("cpu", torch.float64)
        self.known = min(pictures.shape[-2:]) > 2 * _RADIUS
        if self.known:
            self.mean, self.square = _local_mean(self.pictures), _local_mean(self.pictures.square())

    def ssim(self, other: Windowed, values: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """``(n,)`` SSIM with the Gaussian window of Wang et al. 2004, mean over channels and places whose window lies in the picture.

        NaN for pictures that are smaller than the window.
        """
        if not self.known:
            return torch.full((len(self.pictures),), math.nan, dtype=torch.float64)
        white = values[1] - values[0]
        dark, flat = (_DARK * white) ** 2, (_FLAT * white) ** 2
        product = self.mean * other.mean
        squares = self.mean.square() + other.mean.square()
        covariance = _local_mean(self.pictures * other.pictures) - product
        variances = self.square + other.square - squares
        found = (2 * product + dark) * (2 * covariance + flat) / ((squares + dark) * (variances + flat))
        return found.flatten(1).mean(dim=1)


def _local_mean(planes: Tensor) -> Tensor:
    """Means under the window, wherever it lies inside the picture whole."""
    place = np.arange(-_RADIUS, _RADIUS + 1)
    weights = np.exp(-0.5 * (place / _SIGMA) ** 2)
    found = planes.numpy()
    for axis in (-2, -1):  # ten times as quick as a convolution of torch
        found = scipy.ndimage.correlate1d(found, weights / weights.sum(), axis=axis)
    return torch.from_numpy(found[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS])
