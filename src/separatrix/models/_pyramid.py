"""Maps of several sizes as one: what a network makes of an image at an eighth, a quarter, a half and the whole of its size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from separatrix.errors import FieldError


def of_one_size(maps: Sequence[Tensor], mode: str = "bilinear") -> list[Tensor]:
    """The maps, each upsampled to the height and width of the largest.

    Args:
        maps: each ``(n, …)``. Those that differ in size must be ``(n, c, h, w)``.
        mode: ``"bilinear"`` (edges of the images aligned: align_corners=False) or ``"nearest"``.

    Raises:
        FieldError: sizes differ and they are no maps, or none of them is the largest in both directions.

    >>> [tuple(m.shape) for m in of_one_size([torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 4, 6)])]
    [(1, 3, 4, 6), (1, 3, 4, 6)]
    """
    sizes = [tuple(part.shape[2:]) for part in maps]
    if len(set(sizes)) == 1:
        return list(maps)
    largest = max(sizes)
    if any(len(size) != 2 or size[0] > largest[0] or size[1] > largest[1] for size in sizes):
        words = ", ".join(str(tuple(part.shape)) for part in maps)
        raise FieldError(
            f"Outputs of the shapes {words} cannot be made one size; "
            "name outputs of one shape, or maps (n, channels, height, width) one of which is the largest."
        )
    corners = {"align_corners": False} if mode == "bilinear" else {}
    return [
        part if size == largest else interpolate(part, size=largest, mode=mode, **corners)
        for part, size in zip(maps, sizes, strict=True)
    ]


def summed(maps: Sequence[Tensor], mode: str = "bilinear") -> Tensor:
    """The sum of the maps, each upsampled to the size of the largest.

    Raises:
        FieldError: they cannot be made one size, or differ in their channels.

    >>> summed([torch.ones(1, 1, 1, 1), torch.ones(1, 1, 2, 2)]).flatten().tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    if len({part.shape[:2] for part in maps}) > 1:
        words = ", ".join(str(tuple(part.shape)) for part in maps)
        raise FieldError(f"Outputs of the shapes {words} cannot be summed; name outputs with as many channels each.")
    return torch.stack(of_one_size(maps, mode)).sum(dim=0)
