"""Small image autoencoders that were distilled from those of latent diffusion models: 8×8 pixels are one latent position."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from torch import nn

from separatrix.errors import InputError
from separatrix.models._adapter import ModelAdapter
from separatrix.models._weights import fill, read_weights

SHRINK = 8
"""Pixels of the image per latent position, along each side."""


class DistilledAutoencoder(ModelAdapter):
    """Images 3×H×W in [0, 1], H and W multiples of 8, to latents C×H/8×W/8 and back; a subclass brings the two halves.

    Args:
        image_size: ``(height, width)`` of the images that the field decodes; any multiple of 8 encodes.

    Attributes:
        channels: C.

    Raises:
        InputError: a size is no multiple of 8.
    """

    channels: ClassVar[int]
    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, image_size: tuple[int, int] = (64, 64)) -> None:
        super().__init__()
        if any(side < SHRINK or side % SHRINK for side in image_size):
            raise InputError(
                f"{self.family} takes images whose sides are multiples of 8, not {image_size[0]}×{image_size[1]}."
            )
        self.latent_shape = (self.channels, image_size[0] // SHRINK, image_size[1] // SHRINK)

    @classmethod
    def read(cls, folder: Path, image_size: tuple[int, int] = (64, 64), **choices: Any) -> Self:
        """The published weights from ``encoder.safetensors`` and ``decoder.safetensors`` in a folder, in float32.

        Those that are stored as float16 keep its rounding.

        Args:
            folder: where the two files are.
            image_size: ``(height, width)`` of the images that the field decodes.
            choices: further arguments of the model.

        Raises:
            InputError: an image size that is no multiple of 8.
            FileError: a file is missing, damaged or holds something else.
        """
        model = cls(image_size, **choices)
        for name in ("encoder", "decoder"):
            path = folder / f"{name}.safetensors"
            fill(getattr(model, name), read_weights(path), source=path, model=f"the {name} of {cls.family}")
        return model.eval()
