"""This file tells where orbits begin. The i-th start depends on (seed, i) alone: on no batch, no shard, no order.

A :class:`Starts` is a description; tensors come into being block by block, on the field's dtype and device.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from separatrix.arguments import checked, sizes, whole
from separatrix.data import ImageSource, load_images
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.starts._rules import Box, Encoded, Gaussian, Grid, NoiseImages, Points, Rule
from separatrix.work import require_room

__all__ = ["Starts", "as_starts", "box", "encoded", "gaussian", "grid", "noise_images", "points"]

_ROW = 64  # bytes that a result keeps of an orbit beside its end point


@dataclass(frozen=True, eq=False)
class Starts:
    """The starts ``first … last − 1`` of one rule; slices are others of the same rule, each still itself.

    >>> starts = gaussian(1_000_000, seed=3)
    >>> starts[10:20]
    Starts(10 draws from N(0, 1²), seed 3, numbers 10 to 19)
    >>> field = LatentField.from_map(torch.tanh, latent_shape=(2,))
    >>> bool((starts[10:20].block(field, 0, 5) == starts.block(field, 10, 15)).all())
    True
    """

    rule: Rule
    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last:
            raise InputError(f"There are no starts from {self.first} to {self.last}; give first < last.")

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def count(self) -> int:
        """Number of starts."""
        return len(self)

    @checked
    def block(self, field: LatentField, first: int, last: int) -> Tensor:
        """Starts ``first … last − 1`` on the field's dtype and device, ``(last − first, *latent_shape)``.

        The same numbers whatever the block, to the last bit; encoded starts only up to rounding, because a
        network may round differently in batches of different sizes.

        Raises:
            InputError: the range is not in these starts, or they do not fit this field's latent space.
        """
        if not 0 <= first <= last <= len(self):
            raise InputError(
                f"There is no block {first} to {last} in {len(self)} starts; stay within 0 to {len(self)}."
            )
        if first == 0:
            need = len(self) * (field.latent_dim * field.dtype.itemsize + _ROW)
            require_room(need, f"The end points of {len(self):,} starts", "give fewer starts")
        if first == last:
            return torch.empty((0, *field.latent_shape), dtype=field.dtype, device=field.device)
        return self.rule.rows(field, self.first + first, self.first + last)

    @checked
    def subset(self, first: int, last: int) -> Starts:
        """Starts ``first … last − 1`` of these; they stay the same starts, with the same (seed, index)."""
        if not 0 <= first < last <= len(self):
            raise InputError(f"There are no starts {first} to {last} here; choose 0 ≤ first < last ≤ {len(self)}.")
        return replace(self, first=self.first + first, last=self.first + last)

    def __getitem__(self, index: int | slice) -> Starts:
        """A contiguous part as by :meth:`subset`; an integer gives one start."""
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            if step != 1:
                raise InputError("Starts can only be cut into contiguous parts; leave the step of the slice out.")
            return self.subset(first, last)
        if not -len(self) <= index < len(self):
            raise IndexError(f"start {index} of {len(self)}")
        return self.subset(index % len(self), index % len(self) + 1)

    @property
    def provenance(self) -> dict[str, Any]:
        """JSON-ready: kind, parameters, seed, and the range of indices ``[first, last)``."""
        return {**self.rule.provenance(), "first": self.first, "last": self.last}

    @property
    def identity(self) -> dict[str, Any]:
        """The part of the provenance that a number depends on: of images their content, and not the path."""
        return {**self.rule.identity(), "first": self.first, "last": self.last}

    def describe(self) -> str:
        """One line of words."""
        part = "" if self.first == 0 else f", numbers {self.first:,} to {self.last - 1:,}"
        return f"{len(self):,} {self.rule.words()}{part}"

    def __repr__(self) -> str:
        return f"Starts({self.describe()})"


@checked
def gaussian(count: int, *, seed: int = 0, std: float = 1.0) -> Starts:
    """Draws from N(0, std²) in every latent coordinate: starts that need no data.

    >>> gaussian(1000, seed=3)[10:20]
    Starts(10 draws from N(0, 1²), seed 3, numbers 10 to 19)
    """
    if not 0 < std < math.inf:
        raise InputError(f"std must be positive and finite, not {std!r}.")
    return Starts(Gaussian(seed, std), 0, whole("count", count, 1, sys.maxsize))


@checked
def box(count: int, low: ArrayLike, high: ArrayLike, *, seed: int = 0) -> Starts:
    """Uniform draws from a box; ``low`` and ``high`` are numbers, or have one entry per coordinate.

    >>> field = LatentField.from_map(torch.tanh, latent_shape=(2,))
    >>> bool((box(1000, [0, 5], [1, 6]).block(field, 0, 1000).amin(0) >= torch.tensor([0.0, 5.0])).all())
    True
    """
    lower, upper = _numbers(low, "low"), _numbers(high, "high")
    if lower.size > 1 and upper.size > 1 and lower.size != upper.size:
        raise InputError(f"low has {lower.size} entries and high {upper.size}; give both one per latent coordinate.")
    if bool((lower > upper).any()) or bool((lower == upper).all()):
        raise InputError(f"low={low!r} must lie below high={high!r} in every coordinate; exchange or widen them.")
    rule = Box(tuple(lower.tolist()), tuple(upper.tolist()), seed)
    return Starts(rule, 0, whole("count", count, 1, sys.maxsize))


def grid(
    low: ArrayLike,
    high: ArrayLike,
    shape: tuple[int, int],
    *,
    origin: ArrayLike | None = None,
    axes: ArrayLike | None = None,
) -> Starts:
    """A regular h×w grid on a two-dimensional latent space, or on a plane of a larger one.

    Start r·w + c sits at x = c-th of w values from low[0] to high[0] and y = r-th of h values from low[1] to
    high[1], ends included; on a plane z = origin + x·axes[0] + y·axes[1]. So ``values.reshape(h, w)`` is an
    image in row-major order, drawn by ``imshow(…, origin="lower", extent=(x₀, x₁, y₀, y₁))``.

    Args:
        low: one number, or two: (x, y).
        high: likewise.
        shape: (h, w), number of points along y and along x.
        origin: point of the plane that has x = y = 0; the latent origin by default.
        axes: ``(2, k)`` two directions that span the plane; needed unless the latent has two coordinates.

    >>> field = LatentField.from_map(torch.tanh, latent_shape=(2,))
    >>> grid((0, 0), (2, 10), shape=(2, 3)).block(field, 1, 4).tolist()
    [[1.0, 0.0], [2.0, 0.0], [0.0, 10.0]]
    """
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise InputError(f"shape must be (rows, columns), for example shape=(50, 50), not {shape!r}.")
    height, width = (whole("shape", length, 1) for length in shape)
    lower, upper = (np.broadcast_to(b, 2) if b.size < 3 else b for b in (_numbers(low, "low"), _numbers(high, "high")))
    if lower.shape != (2,) or upper.shape != (2,) or bool((lower >= upper).any()):
        raise InputError(f"low={low!r} and high={high!r} must be numbers or pairs (x, y), low below high.")
    directions = None if axes is None else _numbers(axes, "axes", flat=False)
    if directions is not None:
        if directions.ndim < 2 or len(directions) != 2:
            raise InputError(f"axes must be two latent vectors, (2, k), and has shape {directions.shape}; stack two.")
        directions = directions.reshape(2, -1)
        if np.linalg.matrix_rank(directions) < 2:
            raise InputError(
                "The two axes of the grid point in the same direction or are zero; choose independent ones."
            )
    point = None if origin is None else _numbers(origin, "origin")
    x, y = np.linspace(lower[0], upper[0], width), np.linspace(lower[1], upper[1], height)
    return Starts(Grid(x, y, point, directions), 0, height * width)


@checked
def encoded(data: ImageSource, *, limit: int | None = None) -> Starts:
    """E(x) of images or vectors x, in their order.

    Args:
        data: an `ImageSet` or anything that :func:`separatrix.data.load_images` takes.
        limit: take at most so many, the first ones.

    The data are read now and encoded in :meth:`Starts.block`, on the field's dtype and device; data of a
    shape that the model does not take raise one sentence there, with both shapes. Blocks depend on which data
    were encoded together only by rounding. Cost: half a map evaluation (one encoding) per start.

    >>> encoded(torch.rand(20, 1, 4, 4), limit=8)
    Starts(8 encoded images 1×4×4 from Tensor)
    """
    images = load_images(data, limit=limit)
    return Starts(Encoded(images), 0, len(images))


@checked
def noise_images(
    count: int, image_shape: Sequence[int] | int, *, seed: int = 0, low: float = 0.0, high: float = 1.0
) -> Starts:
    """E(x) of images whose pixels are independent U(low, high): far from any data, on the encoder's side.

    >>> noise_images(64, (1, 28, 28))
    Starts(64 encoded noise images 1×28×28 with pixels from [0, 1], seed 0)
    """
    if not -math.inf < low < high < math.inf:
        raise InputError(f"low={low} must lie below high={high}, and both be finite; exchange or widen them.")
    rule = NoiseImages(sizes("image_shape", image_shape), low, high, seed)
    return Starts(rule, 0, whole("count", count, 1, sys.maxsize))


def points(latents: Tensor | NDArray[Any]) -> Starts:
    """Given latents ``(n, *latent_shape)``, as they are (not copied).

    >>> points(torch.zeros(4, 2))
    Starts(4 given points 2)
    """
    if isinstance(latents, np.ndarray):  # torch wants memory in order and writable
        latents = np.require(latents, requirements=["C", "W"])
    try:
        values = torch.as_tensor(latents).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"Points must be a tensor or array of numbers, not a {type(latents).__name__}.") from error
    if values.ndim < 2 or 0 in values.shape:
        raise InputError(
            f"Points need the shape (n, *latent_shape) and at least one point, not {tuple(values.shape)}; "
            "for one point use z[None]."
        )
    if values.is_complex() or not bool(torch.isfinite(values).all()):
        raise InputError("Points must be finite real numbers; leave out those that are NaN, infinite or complex.")
    return Starts(Points(values), 0, len(values))


def as_starts(starts: Starts | Tensor | NDArray[Any]) -> Starts:
    """Starts as they are; a tensor or array of latents as :func:`points`.

    >>> as_starts(torch.zeros(4, 2))
    Starts(4 given points 2)
    """
    if isinstance(starts, Starts):
        return starts
    if isinstance(starts, (Tensor, np.ndarray)):
        return points(starts)
    raise InputError(
        "Starts are latents (a tensor or array) or come from separatrix.starts._starts, "
        f"not from a {type(starts).__name__}; for images use starts.encoded(data)."
    )


def _numbers(values: ArrayLike, name: str, *, flat: bool = True) -> NDArray[np.float64]:
    """Finite float64 numbers, as one axis if ``flat``."""
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number or an array of numbers, not {values!r}.") from error
    if array.size == 0 or not np.isfinite(array).all():
        raise InputError(f"{name} must be finite and not empty; it is {values!r}.")
    return array.reshape(-1) if flat else array
