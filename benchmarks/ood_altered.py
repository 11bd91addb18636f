"""ID images altered so that they are none: two lists of kinds, one to choose a detector's rules on, one to report.

Both lists were written down before the rules that use the first were chosen, and the second is never used to choose anything. (On its
first five kinds a reader had scored the detector as it was before; of the other six nobody had seen a score.) Input i of every kind
is made from image i. A digit turned upside down may still be a digit, and a mirrored shirt is a shirt: no detector reaches 1 on all of
these, and none should; they are here because nothing was chosen on them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate


def development_kinds(x: Tensor) -> dict[str, Tensor]:
    """To choose on: never reported."""
    height, width = x.shape[2:]
    others = x.roll(1, 0)
    left = torch.arange(width) < width // 2
    rows = (torch.arange(height) % 4 == 0)[:, None]
    return {
        "sheared": _warped(x, [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0]]),
        "enlarged": _warped(x, [[0.65, 0.0, 0.0], [0.0, 0.65, 0.0]]),
        "reduced": _warped(x, [[1.6, 0.0, 0.0], [0.0, 1.6, 0.0]]),
        "brightened": x.sqrt(),
        "striped": torch.where(rows, 1 - x, x),
        "speckled": (x * (1 + 0.8 * _normal(x, 1))).clamp(0, 1),
        "halves of two": torch.where(left, x, others),
        "waved": torch.stack([x[:, :, r].roll(round(width / 9 * math.sin(r)), 2) for r in range(height)], dim=2),
    }


def unseen_kinds(x: Tensor) -> dict[str, Tensor]:
    """To report: the first five were asked for by a reader of the first benchmark, the others were added with them."""
    n, _, height, width = x.shape
    uniform = _uniform(x, 2)
    by = height // 7
    shifted = torch.zeros_like(x)
    shifted[:, :, by:, by:] = x[:, :, :-by, :-by]
    occluded = x.clone()
    corner = torch.randint(0, height // 2 + 1, (n, 2), generator=torch.Generator().manual_seed(3))
    for image, (top, start) in zip(occluded, corner.tolist(), strict=True):
        image[:, top : top + height // 2, start : start + width // 2] = 0.5
    return {
        "rotated by 90°": x.rot90(1, (2, 3)),
        "upside down": x.rot90(2, (2, 3)),
        "shifted": shifted,
        "salt and pepper": torch.where(uniform < 0.05, 0.0, torch.where(uniform > 0.95, 1.0, x)),
        "contrast halved": 0.25 + 0.5 * x,
        "mirrored": x.flip(3),
        "occluded": occluded,
        "quarters exchanged": _exchanged(x),
        "two averaged": (x + x.roll(1, 0)) / 2,
        "pixelated": interpolate(interpolate(x, scale_factor=0.25, mode="area"), size=(height, width), mode="nearest"),
        "Gaussian noise": (x + 0.1 * _normal(x, 4)).clamp(0, 1),
    }


def _warped(x: Tensor, matrix: list[list[float]]) -> Tensor:
    """Bilinear, black outside."""
    grid = affine_grid(torch.tensor(matrix).expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return grid_sample(x, grid, align_corners=False)


def _exchanged(x: Tensor) -> Tensor:
    """The upper left quarter with the lower right one, and the other two."""
    return x.roll((x.shape[2] // 2, x.shape[3] // 2), (2, 3))


def _uniform(x: Tensor, seed: int) -> Tensor:
    """One number per pixel, for all channels."""
    return torch.rand(len(x), 1, *x.shape[2:], generator=torch.Generator().manual_seed(seed))


def _normal(x: Tensor, seed: int) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))


UNSEEN = tuple(unseen_kinds(torch.zeros(1, 1, 28, 28)))
