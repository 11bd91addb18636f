"""This file tells how close images come to training images: the nearest of them, and whether it is near alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.numerics import Distance, Engine
from separatrix.numerics._duplicates import NEIGHBOURS, chords
from separatrix.storage import storable
from separatrix.studies._neighbours import nearest_in_bank
from separatrix.words import one_line


@storable
class Closeness(NamedTuple):
    """It tells how close images come to the training images: coefficient and ratio as in `Resemblance`, and which is nearest."""

    coefficient: Tensor
    nearest: Tensor
    ratio: Tensor

    def __repr__(self) -> str:
        return one_line(self)


@checked
def closeness(
    images: Tensor,
    train: Tensor,
    distance: Distance = "cosine",
    *,
    themselves: bool = False,
    engine: Engine = "torch",
) -> Closeness:
    """Coefficient, nearest training image and ratio of each image.

    Args:
        images: ``(n, …)``.
        train: ``(m, …)``.
        distance: between images.
        themselves: the images are among the training images, so the nearest is left out: train against *other* train.
        engine: see :func:`~separatrix.numerics._neighbours.nearest_items`.

    >>> train = torch.tensor([[0.0], [1.0], [3.0]])
    >>> found = closeness(torch.tensor([[0.5]]), train, "euclidean")
    >>> found.coefficient.item(), found.nearest.item(), round(found.ratio.item(), 6)
    (-0.5, 0, 0.333333)
    """
    if not len(images):
        nothing = torch.empty(0, dtype=torch.float64)
        return Closeness(nothing, torch.empty(0, dtype=torch.int64), nothing)
    skipped = int(themselves)
    found = nearest_in_bank(images, train, min(1 + skipped + NEIGHBOURS, len(train)), distance, engine=engine)
    index, apart = found.index[:, skipped:], found.distance[:, skipped:]
    if not apart.shape[1]:
        raise InputError("A single training image cannot be compared with others; give more.")
    metric = chords(apart, distance)
    others = metric[:, 1:].mean(dim=1)  # NaN where there are none
    ratio = torch.where(others > 0, metric[:, 0] / others, torch.where(others.isnan(), torch.nan, 0.0))
    return Closeness((1 - apart[:, 0]).clamp(-1, 1) if distance == "cosine" else -apart[:, 0], index[:, 0], ratio)
