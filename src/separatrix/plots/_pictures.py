"""Decoded data as pictures, where they are pictures."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.field import LatentField

_COLOURS = (1, 3)
_SMALLEST = 2  # pixels a side; below, a feature map is a vector in disguise


def are_pictures(shape: tuple[int, ...]) -> bool:
    """True for the shape ``(c, h, w)`` of a grey or RGB image, not for vectors and feature maps.

    >>> are_pictures((1, 8, 8)), are_pictures((64,)), are_pictures((16, 4, 4))
    (True, False, False)
    """
    return len(shape) == 3 and shape[0] in _COLOURS and min(shape[1:]) >= _SMALLEST


def value_range(*data: Tensor) -> tuple[float, float]:
    """The values drawn as black and white: 0 and 1 if that holds all data, otherwise their extremes.

    Pictures that are compared must share one range, or a faint one looks like a strong one.
    """
    finite = [part[part.isfinite()] for part in data]
    low = min((float(part.min()) for part in finite if part.numel()), default=0.0)
    high = max((float(part.max()) for part in finite if part.numel()), default=1.0)
    if low >= -0.05 and high <= 1.05:
        return 0.0, 1.0
    return low, high if high > low else low + 1.0


def to_rgb(images: Tensor, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """``(n, c, h, w)`` to ``(n, h, w, 3)`` bytes; values outside the range are clipped, NaN becomes black.

    >>> to_rgb(torch.tensor([0.0, 0.5, 1.0, 2.0]).reshape(1, 1, 2, 2), (0.0, 1.0))[0, :, :, 0].tolist()
    [[0, 128], [255, 255]]
    """
    values = images.detach().to("cpu").double().numpy()
    scaled = np.clip(np.nan_to_num((values - limits[0]) / (limits[1] - limits[0])), 0.0, 1.0)
    pixels = np.moveaxis((scaled * 255 + 0.5).astype(np.uint8), 1, 3)
    return np.ascontiguousarray(np.repeat(pixels, 3 // pixels.shape[3], axis=3))


def decoded_pictures(field: LatentField, points: Tensor) -> Tensor | None:
    """D(points) as images ``(n, c, h, w)`` float64 on the CPU, or None where it is something else."""
    data = field.decode(points.to(field.device, field.dtype)).detach()
    return data.to("cpu", torch.float64) if are_pictures(tuple(data.shape[1:])) else None
