"""Inputs made from ID data that are none: simpler ones, the first thing that a one-sided score gets wrong, and negatives."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from separatrix.arguments import checked
from separatrix.numerics.counter_random import uniform

FROM_THE_DATA = (
    "blurred",
    "negative",
)  # input i of these is made from input i of the data: scores of the two go together


@checked
def simple_inputs(data: Tensor, *, count: int = 128, seed: int = 0) -> dict[str, Tensor]:
    """``count`` constant inputs and as many of uniform noise in the range of the data, and for images (n, c, h, w) the
    blurred copies and the negatives of the first ``count``.

    >>> {name: tuple(x.shape) for name, x in simple_inputs(torch.rand(9, 1, 8, 8), count=4).items()}
    {'constant': (4, 1, 8, 8), 'noise': (4, 1, 8, 8), 'blurred': (4, 1, 8, 8), 'negative': (4, 1, 8, 8)}
    """
    low, high = float(data.min()), float(data.max())
    shape = data.shape[1:]

    def drawn(stream: int, width: int) -> Tensor:
        values = torch.from_numpy(uniform(seed + (stream << 64), 0, count, width))
        return (low + (high - low) * values).to(data.dtype)

    level = drawn(1, 1).reshape(count, *[1] * len(shape))
    made = {
        "constant": level.expand(count, *shape).clone(),
        "noise": drawn(2, math.prod(shape)).reshape(count, *shape),
    }
    if len(shape) == 3:
        made["blurred"] = blurred(data[:count], sigma=max(shape[-2:]) / 14)
        made["negative"] = low + high - data[:count]
    return made


@checked
def blurred(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, ``(n, c, h, w)``, edges repeated; σ in pixels.

    >>> torch.allclose(blurred(torch.ones(1, 1, 5, 5), 2.0), torch.ones(1, 1, 5, 5))
    True
    """
    radius = max(1, min(round(3 * sigma), *(side for side in images.shape[-2:])))
    at = torch.arange(-radius, radius + 1, dtype=images.dtype)
    kernel = torch.exp(-at.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    flat = images.reshape(-1, 1, *images.shape[-2:])
    flat = conv2d(pad(flat, (radius, radius, 0, 0), mode="replicate"), kernel.reshape(1, 1, 1, -1))
    return conv2d(pad(flat, (0, 0, radius, radius), mode="replicate"), kernel.reshape(1, 1, -1, 1)).reshape(
        images.shape
    )
