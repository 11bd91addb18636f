"""This file tells how good a picture still is: PSNR and SSIM."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

MOST_PSNR = 100.0
"""PSNR in dB that stands for no difference: a squared error below 1e-10 of white's."""

WITHOUT_SSIM = "SSIM is not known, because scikit-image is not installed; pip install 'separatrix[drift]'."
TOO_SMALL_FOR_SSIM = "SSIM is not known of pictures with sides below 11 px, the width of its window."
_WINDOW = 11


def psnr_of(squared_error: Tensor, values: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    """10 log₁₀((white − black)²/MSE) in dB, 100 at most.

    >>> psnr_of(torch.tensor([0.01, 0.0], dtype=torch.float64)).tolist()
    [20.0, 100.0]
    """
    peak = (values[1] - values[0]) ** 2
    return (10 * (peak / squared_error.to(torch.float64)).log10()).clamp(max=MOST_PSNR)


def why_no_ssim(shape: tuple[int, int]) -> str:
    """Return the sentence on why SSIM cannot be told of pictures ``(h, w)``; empty where it can."""
    if _structural_similarity() is None:
        return WITHOUT_SSIM
    return TOO_SMALL_FOR_SSIM if min(shape) < _WINDOW else ""


def ssim_of(a: Tensor, b: Tensor, values: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    """``(n,)`` SSIM of pictures ``(n, c, h, w)`` with the Gaussian window of Wang et al. 2004, by scikit-image; NaN where unknown."""
    compared = _structural_similarity()
    if compared is None or min(a.shape[-2:]) < _WINDOW:
        return torch.full((len(a),), math.nan, dtype=torch.float64)
    pairs = zip(a.detach().to("cpu", torch.float32), b.detach().to("cpu", torch.float32), strict=True)
    found = [
        compared(
            one.numpy(),
            other.numpy(),
            data_range=values[1] - values[0],
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in pairs
    ]
    return torch.tensor(found, dtype=torch.float64)


@cache
def _structural_similarity() -> Callable[..., Any] | None:
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        return None
    return structural_similarity
