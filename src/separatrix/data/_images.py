"""This file tells what every data source becomes: pixels, names, where they came from, and labels where there are some."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.storage import Columnar, rows_chosen, storable


def shape_words(shape: Sequence[int]) -> str:
    """A shape as it is said: ``(3, 32, 32)`` is ``"3×32×32"``."""
    return "×".join(map(str, shape))


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet(Columnar):
    """n images, or n vectors, in the layout that encoders take.

    Attributes:
        pixels: ``(n, c, h, w)`` float32, channel-first; ``(n, d)`` for vectors. In [0, 1] wherever the
            source says what white is (bytes, picture files); floating sources keep their values, so data
            that were standardised for a model stay standardised.
        names: one per image: the file name where there is one, else the index in the source.
        provenance: JSON-ready: source, key, shape and type there, limit, size.
        targets: ``(n,)`` one label per image, or None.

    >>> images = ImageSet(pixels=torch.zeros(3, 1, 2, 2), names=("a", "b", "c"))
    >>> images[1:].names, images.image_shape
    (('b', 'c'), (1, 2, 2))
    """

    _columns: ClassVar[tuple[str, ...]] = ("pixels", "targets")

    pixels: Tensor
    names: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    targets: Tensor | None = None

    def __post_init__(self) -> None:
        for column, length in (
            ("names", len(self.names)),
            ("targets", len(self) if self.targets is None else len(self.targets)),
        ):
            if length != len(self):
                raise InputError(f"An ImageSet needs one of {column} per image: {length} for {len(self)} images.")

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> ImageSet:
        """The chosen images with their names and labels; an integer gives a set of one."""
        chosen = rows_chosen(index, len(self))
        kept = torch.arange(len(self))[chosen if isinstance(chosen, slice) else chosen.cpu()].tolist()
        return self._with(
            {
                "pixels": self.pixels[chosen],
                "names": tuple(self.names[i] for i in kept),
                "targets": None if self.targets is None else self.targets[chosen],
            }
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image, ``(c, h, w)`` or ``(d,)``."""
        return tuple(self.pixels.shape[1:])

    @property
    def own_names(self) -> tuple[str, ...]:
        """The names; empty if they are row numbers, which say nothing new.

        >>> ImageSet(pixels=torch.zeros(2, 3), names=("a.png", "b.png")).own_names
        ('a.png', 'b.png')
        >>> ImageSet(pixels=torch.zeros(2, 3), names=("0", "1")).own_names
        ()
        """
        return () if self.names == tuple(map(str, range(len(self)))) else self.names

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shape and pixels: equal for the same data, whatever file they came from."""
        pixels = self.pixels.detach().to("cpu", torch.float32).contiguous()
        digest = hashlib.sha256(shape_words(pixels.shape).encode())
        digest.update(pixels.numpy().data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        kind = "images" if len(self.image_shape) > 1 else "vectors"
        source = f" from {self.provenance['source']}" if "source" in self.provenance else ""
        return f"ImageSet({len(self):,} {kind} {shape_words(self.image_shape)}{source})"
