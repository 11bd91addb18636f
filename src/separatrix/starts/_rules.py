"""This file tells how the i-th start is made, one rule per kind of starts; :mod:`separatrix.starts._starts` makes and cuts them."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.arguments import SEED_BITS
from separatrix.data import ImageSet, encode_range, shape_words
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.numerics import counter_random

"""Seeds are below 2^64: the lower half of the generator's key."""

# The upper half of the key is the kind's own stream, so that Gaussian starts and noise images of one seed are
# independent, and not monotone functions of the same uniforms.
_GAUSSIAN_STREAM, _BOX_STREAM, _NOISE_STREAM = (stream << SEED_BITS for stream in range(3))


class Rule(ABC):
    """A rule says how the i-th start is made, for one kind of starts.

    Attributes:
        kind: the name of the kind in provenance.
        title: what tables call a search from such starts.
    """

    kind: ClassVar[str]
    title: ClassVar[str]

    @abstractmethod
    def rows(self, field: LatentField, first: int, last: int) -> Tensor:
        """Starts ``first … last − 1`` (at least one) as ``(last − first, *latent_shape)``."""

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """JSON-ready: all that the starts depend on, except which of them were taken; and where data are from."""

    def identity(self) -> dict[str, Any]:
        """The same without what is only told: files that lie elsewhere give the same starts if they hold the same."""
        return self.provenance()

    @abstractmethod
    def words(self) -> str:
        """Return what one start is, for a sentence that begins with a count."""


@dataclass(frozen=True)
class Gaussian(Rule):
    """N(0, std²) in every latent coordinate."""

    kind, title = "gaussian", "Gaussian noise"
    seed: int
    std: float

    def rows(self, field: LatentField, first: int, last: int) -> Tensor:
        draws = counter_random.gaussian(_GAUSSIAN_STREAM | self.seed, first, last - first, field.latent_dim)
        return _on_field(field, self.std * draws)

    def provenance(self) -> dict[str, Any]:
        return {"kind": self.kind, "std": self.std, "seed": self.seed}

    def words(self) -> str:
        return f"draws from N(0, {self.std:g}²), seed {self.seed}"


@dataclass(frozen=True)
class Box(Rule):
    """Uniform between ``low`` and ``high``, each one number or one per latent coordinate."""

    kind, title = "box", "uniform noise"
    low: tuple[float, ...]
    high: tuple[float, ...]
    seed: int

    def rows(self, field: LatentField, first: int, last: int) -> Tensor:
        for name, bound in (("low", self.low), ("high", self.high)):
            if len(bound) not in (1, field.latent_dim):
                raise InputError(
                    f"The box has {len(bound)} entries in {name} and the latent space {field.latent_dim} "
                    "coordinates; give one number for all of them or one for each."
                )
        draws = counter_random.uniform(_BOX_STREAM | self.seed, first, last - first, field.latent_dim)
        low, high = np.asarray(self.low), np.asarray(self.high)
        return _on_field(field, low + (high - low) * draws)

    def provenance(self) -> dict[str, Any]:
        return {"kind": self.kind, "low": list(self.low), "high": list(self.high), "seed": self.seed}

    def words(self) -> str:
        return f"uniform draws from {_box_words(self.low, self.high)}, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Grid(Rule):
    """Start r·w + c is origin + x[c]·axes[0] + y[r]·axes[1]."""

    kind, title = "grid", "a grid"
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    origin: NDArray[np.float64] | None
    axes: NDArray[np.float64] | None

    def rows(self, field: LatentField, first: int, last: int) -> Tensor:
        if self.axes is None and field.latent_dim != 2:
            raise InputError(
                f"A grid needs a latent space of two coordinates, and this one has {field.latent_dim}; "
                f"choose a plane in it with axes=(2, {field.latent_dim}) directions, and origin=z."
            )
        axes = np.eye(2) if self.axes is None else self.axes
        origin = np.zeros(field.latent_dim) if self.origin is None else self.origin
        for name, length in (("axes", axes.shape[1]), ("origin", origin.size)):
            if length != field.latent_dim:
                raise InputError(
                    f"The latent space has {field.latent_dim} coordinates and the grid's {name} {length}; "
                    "give one for each."
                )
        row, column = np.divmod(np.arange(first, last), self.x.size)
        return _on_field(field, origin + self.x[column, None] * axes[0] + self.y[row, None] * axes[1])

    def provenance(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "shape": [self.y.size, self.x.size],
            "low": [float(self.x[0]), float(self.y[0])],
            "high": [float(self.x[-1]), float(self.y[-1])],
            "origin": None if self.origin is None else self.origin.tolist(),
            "axes": None if self.axes is None else self.axes.tolist(),
        }

    def words(self) -> str:
        where = "" if self.axes is None else " on a plane"
        area = _box_words((self.x[0], self.y[0]), (self.x[-1], self.y[-1]))
        return f"points of a {self.y.size}×{self.x.size} grid{where} over {area}"


@dataclass(frozen=True, eq=False)
class Encoded(Rule):
    """E(x) of given images."""

    kind, title = "encoded", "encoded data"
    images: ImageSet

    def rows(self, field: LatentField, first: int, last: int) -> Tensor:
        return encode_range(field, lambda a, b: self.images.pixels[a:b], first, last)

    def provenance(self) -> dict[str, Any]:
        data = {**self.images.provenance, "image_shape": list(self.images.image_shape)}
        return {"kind": self.kind, "data": {**data, "sha256": self.images.fingerprint}}

    def identity(self) -> dict[str, Any]:
        return {"kind": self.kind, "data": {"sha256": self.images.fingerprint}}

    def words(self) -> str:
        kind = "images" if len(self.images.image_shape) > 1 else "vectors"
        source = f" from {self.images.provenance['source']}" if "source" in self.images.provenance else ""
        return f"encoded {kind} {shape_words(self.images.image_shape)}{source}"


@dataclass(frozen=True)
class NoiseImages(Rule):
    """E(x) of images of independent U(low, high) pixels."""

    kind, title = "noise_images", "encoded noise images"
    shape: tuple[int, ...]
    low: float
    high: float
    seed: int

    def rows(self, field: LatentField, first: int, last: int) -> Tensor:
        return encode_range(field, self._pixels, first, last)

    def _pixels(self, first: int, last: int) -> Tensor:
        draws = counter_random.uniform(_NOISE_STREAM | self.seed, first, last - first, math.prod(self.shape))
        return torch.from_numpy(self.low + (self.high - self.low) * draws).reshape(-1, *self.shape)

    def provenance(self) -> dict[str, Any]:
        bounds = {"low": self.low, "high": self.high}
        return {"kind": self.kind, "image_shape": list(self.shape), **bounds, "seed": self.seed}

    def words(self) -> str:
        pixels = f"{shape_words(self.shape)} with pixels from {_box_words((self.low,), (self.high,))}"
        return f"encoded noise images {pixels}, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Points(Rule):
    """Given latents."""

    kind, title = "points", "given points"
    values: Tensor

    def rows(self, field: LatentField, first: int, last: int) -> Tensor:
        if tuple(self.values.shape[1:]) != field.latent_shape:
            raise InputError(
                f"The points have shape {shape_words(self.values.shape[1:])} and the latents of {field.name} "
                f"{shape_words(field.latent_shape)}; reshape them to that, or use the field they belong to."
            )
        return self.values[first:last].to(field.device, field.dtype, copy=True)

    @cached_property
    def _fingerprint(self) -> str:
        values = self.values.cpu().contiguous()
        digest = hashlib.sha256(f"{shape_words(values.shape)} {values.dtype}".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def provenance(self) -> dict[str, Any]:
        return {"kind": self.kind, "shape": list(self.values.shape), "sha256": self._fingerprint}

    def words(self) -> str:
        return f"given points {shape_words(self.values.shape[1:])}"


def title_of(kind: str) -> str:
    """Name a search from starts of a kind, as provenance gives it.

    >>> title_of("noise_images")
    'encoded noise images'
    """
    return next(rule.title for rule in Rule.__subclasses__() if rule.kind == kind)


def _on_field(field: LatentField, rows: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(rows).reshape(-1, *field.latent_shape).to(field.dtype).to(field.device)


def _box_words(low: Sequence[float], high: Sequence[float]) -> str:
    """``"[0, 1]×[0, 2]"``; of many coordinates only the widest bounds.

    >>> _box_words((0.0,), (1.0, 2.0))
    '[0, 1]×[0, 2]'
    """
    sides = [f"[{a:g}, {b:g}]" for a, b in np.broadcast(low, high)]
    if len(sides) > 3:
        return f"a box of {len(sides)} coordinates within [{min(low):g}, {max(high):g}]"
    return "×".join(sides)
