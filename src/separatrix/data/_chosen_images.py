"""A run keeps the images that its page shows, of which there may be few among many."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.data._encoding import encode_range
from separatrix.data._images import ImageSet
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.storage import storable
from separatrix.words import Readable

DOTS = 1500  # encoded images in a portrait


@storable
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ChosenImages(Readable):
    """It keeps those of a model's images that a page shows, by the row numbers that they have among all, and no others.

    Attributes:
        rows: ``(m,)`` int64, ascending.
        pixels: ``(m, …)``.
        names: ``(m,)``, such as files; empty if they have none beyond their row numbers.
        count: how many there are in all.
        dots: ``(n, *latent)`` latents of some of all images, for the portrait.
    """

    rows: Tensor
    pixels: Tensor
    names: tuple[str, ...] = ()
    count: int
    dots: Tensor | None = None

    @classmethod
    def of(cls, images: ImageSet, wanted: Tensor, field: LatentField) -> ChosenImages:
        """The ``wanted`` rows of all images. Cost: an encoding of at most 3,000 images."""
        rows = wanted.unique()
        step = max(1, len(images) // DOTS)
        shown = images.pixels[::step]
        names = tuple(images.own_names[row] for row in rows.tolist()) if images.own_names else ()
        dots = encode_range(field, lambda a, b: shown[a:b], 0, len(shown)) if field.latent_dim > 1 else None
        return cls(rows=rows, pixels=images.pixels[rows], names=names, count=len(images), dots=dots)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all images together."""
        return (self.count, *self.pixels.shape[1:])

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Images by their row numbers among all."""
        return self.pixels[self._places(rows)]

    @property
    def by_row(self) -> dict[int, str]:
        """The names by their row numbers; empty if there are none."""
        return dict(zip(self.rows.tolist(), self.names, strict=False))

    def _places(self, rows: Tensor) -> Tensor:
        places = torch.searchsorted(self.rows, rows.to(self.rows)).clamp(max=len(self.rows) - 1)
        if not torch.equal(self.rows[places], rows.to(self.rows)):
            raise InputError("The page shows an image that was not chosen for it; run it again with figures.")
        return places
