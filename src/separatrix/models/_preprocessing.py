"""This file tells what stands between decoder and encoder and is part of f: value range, normalisation, size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from separatrix.arguments import checked
from separatrix.errors import InputError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Preprocessing(nn.Module):
    """The two affine maps, and the resizing, that close the loop z → decoder → image → encoder → z.

    The data space of every field of images is *images with values 0 to 1*. An encoder takes (x − mean)/std of them,
    resized to its size; a decoder's raw output y is the image y·decoded_std + decoded_mean. Values outside [0, 1] are
    passed on as they are: cutting them off would be another map with zero derivatives; ``clamp=True`` asks for that map.

    Args:
        mean, std: normalisation of the encoder's input, per channel or one for all. Input from −1 to 1 is
            mean = std = 0.5.
        decoded_mean, decoded_std: what takes the decoder's output back to [0, 1].
        size: ``(height, width)`` of the encoder's input; None if it takes what the decoder makes. Resized bilinearly,
            with antialiasing.
        clamp: cut decoded images off at 0 and 1.

    Raises:
        InputError: a standard deviation is not positive.

    >>> both = Preprocessing.symmetric()
    >>> y = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 1, 1, 3)
    >>> both.to_image(y).flatten().tolist(), both.to_encoder(both.to_image(y)).flatten().tolist()
    ([0.0, 0.5, 1.0], [-1.0, 0.0, 1.0])
    """

    mean: Tensor
    std: Tensor
    decoded_mean: Tensor
    decoded_std: Tensor

    @checked
    def __init__(
        self,
        *,
        mean: Sequence[float] | float = 0.0,
        std: Sequence[float] | float = 1.0,
        decoded_mean: Sequence[float] | float = 0.0,
        decoded_std: Sequence[float] | float = 1.0,
        size: tuple[int, int] | None = None,
        clamp: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("std", std), ("decoded_mean", decoded_mean), ("decoded_std", decoded_std)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32).reshape(1, -1, 1, 1))
        if not bool((self.std > 0).all() and (self.decoded_std > 0).all()):
            raise InputError("The standard deviations of a preprocessing must be positive; check the model's config.")
        self.size = size
        self.clamp = clamp

    @classmethod
    @checked
    def symmetric(cls, size: tuple[int, int] | None = None) -> Preprocessing:
        """Encoder and decoder work from −1 to 1."""
        return cls(mean=0.5, std=0.5, decoded_mean=0.5, decoded_std=0.5, size=size)

    @classmethod
    @checked
    def same_on_both_sides(
        cls, mean: Sequence[float], std: Sequence[float], size: tuple[int, int] | None = None
    ) -> Preprocessing:
        """The decoder returns images normalised as the encoder takes them."""
        return cls(mean=mean, std=std, decoded_mean=mean, decoded_std=std, size=size)

    def to_encoder(self, x: Tensor) -> Tensor:
        """Images in [0, 1], ``(n, c, h, w)``, as the encoder takes them."""
        if self.size is not None and tuple(x.shape[-2:]) != self.size:
            x = interpolate(x, size=self.size, mode="bilinear", antialias=True, align_corners=False)
        return (x - self.mean) / self.std

    def to_image(self, y: Tensor) -> Tensor:
        """The decoder's raw output as images in [0, 1]."""
        x = y * self.decoded_std + self.decoded_mean
        return x.clamp(0.0, 1.0) if self.clamp else x

    def encoder_range(self) -> tuple[float, float]:
        """Least and largest value the encoder is given for images in [0, 1]."""
        return float(((0 - self.mean) / self.std).min()), float(((1 - self.mean) / self.std).max())

    def round_trip_error(self) -> float:
        """Largest |x − to_image(y)| over x in [0, 1], where y is what a perfect decoder returns for x: 0 up to rounding.

        And the encoder's input must come back to x by its own inverse. Both fail when a constant is lost in a format too
        coarse for it.
        """
        levels = torch.linspace(0, 1, 256, device=self.mean.device, dtype=self.mean.dtype).reshape(1, 1, 16, 16)
        perfect = (levels - self.decoded_mean) / self.decoded_std
        image = perfect * self.decoded_std + self.decoded_mean
        inverse = ((levels - self.mean) / self.std) * self.std + self.mean
        return max(float((image - levels).abs().max()), float((inverse - levels).abs().max()))

    def describe(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "data_range": [0.0, 1.0],
            **{name: getattr(self, name).flatten().tolist() for name in ("mean", "std", "decoded_mean", "decoded_std")},
            "size": None if self.size is None else list(self.size),
            "clamp": self.clamp,
            "words": self.words(),
        }

    def words(self) -> str:
        """One line for a person."""
        low, high = self.encoder_range()
        outside = float(self.decoded_std.max())
        parts = [f"images in [0, 1]; the encoder is given [{low:.4g}, {high:.4g}]"]
        if outside != 1 or float(self.decoded_mean.abs().max()) != 0:
            parts.append("the decoder's output is denormalised first")
        if self.size is not None:
            parts.append(f"resized to {self.size[0]}×{self.size[1]} where it differs")
        parts.append("cut off at 0 and 1" if self.clamp else "not cut off")
        return ", ".join(parts)
