"""The two reference autoencoders: the convolutional family of the paper and a fully connected one.

The convolutional family is that of Fumero, Moschella, Rodolà, Locatello, *Navigating the Latent Space
Dynamics of Neural Models* (ICLR 2026); the fully connected one, made wide and trained on few images, is the
associative memory of Radhakrishnan, Belkin, Uhler (PNAS 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from separatrix.arguments import checked, whole
from separatrix.errors import InputError
from separatrix.models._base import ReferenceAutoencoder, one_of

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}
_FINALS: dict[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "identity": nn.Identity}
_MOST_STAGES = 4
_SMALLEST_MAP = 2  # pixels; below, a stride-2 convolution sees mostly padding


class ConvAutoencoder(ReferenceAutoencoder):
    """Stride-2 convolutions d→2d→4d→8d, a linear map to k latents, and the mirror image back.

    Every stage halves the map, rounding up (28→14→7→4→2), and multiplies the channels by two; the transposed
    convolutions pad their output by one pixel exactly where the size was even, so any image size closes.

    Args:
        image_shape: ``(channels, height, width)``.
        latent_dim: the number k of latent coordinates.
        base_channels: d, channels after the first stage.
        stages: number of stride-2 convolutions; by default as many as keep the smallest map at 2 pixels or
            more, and at most 4.
        final: ``"sigmoid"`` for images in [0, 1], ``"identity"`` for unbounded data.

    Raises:
        InputError: an argument is out of range, or the image is too small for so many stages.

    >>> model = ConvAutoencoder((1, 28, 28), 2, base_channels=32, stages=2)
    >>> [tuple(p.shape) for p in model.encoder.parameters() if p.dim() > 1]
    [(32, 1, 3, 3), (64, 32, 3, 3), (2, 3136)]
    >>> model.field()
    LatentField(ConvAutoencoder 1×28×28 → 2: latent 2, 53,251 parameters, float32 on cpu)
    >>> ConvAutoencoder((1, 8, 8), 2).config["stages"]
    2
    """

    @checked
    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        *,
        base_channels: int = 32,
        stages: int | None = None,
        final: str = "sigmoid",
    ) -> None:
        super().__init__(image_shape, latent_dim)
        self.base_channels = whole("base_channels", base_channels, 1)
        self.final = one_of("final", final, tuple(_FINALS))
        self.output_range = (0.0, 1.0) if final == "sigmoid" else None
        sizes = _map_sizes(self.image_shape[1:], stages)
        self.stages = len(sizes) - 1
        channels = [self.image_shape[0], *(self.base_channels * 2**stage for stage in range(self.stages))]
        flat = channels[-1] * math.prod(sizes[-1])

        down: list[nn.Module] = []
        for before, after in pairwise(channels):
            down += [nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1), nn.ReLU()]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, self.latent_dim))

        up: list[nn.Module] = []
        for before, after, size in zip(channels[:0:-1], channels[-2::-1], sizes[-2::-1], strict=True):
            # Without output padding a map of m pixels grows to 2m − 1, which is the odd one of the two sizes
            # that were halved to m.
            padding = (1 - size[0] % 2, 1 - size[1] % 2)
            up += [
                nn.ReLU(),
                nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=padding),
            ]
        unflatten = nn.Unflatten(1, (channels[-1], *sizes[-1]))
        self.decoder = nn.Sequential(nn.Linear(self.latent_dim, flat), up[0], unflatten, *up[1:], _FINALS[self.final]())

    @property
    def config(self) -> dict[str, Any]:
        """JSON-ready constructor arguments; the number of stages is always spelled out."""
        return {
            "image_shape": list(self.image_shape),
            "latent_dim": self.latent_dim,
            "base_channels": self.base_channels,
            "stages": self.stages,
            "final": self.final,
        }


class DenseAutoencoder(ReferenceAutoencoder):
    """A fully connected autoencoder of flattened images; wide and trained on few of them, it memorizes.

    With ``hidden=()`` encoder and decoder are affine, which is the architecture of PCA.

    Args:
        image_shape: ``(channels, height, width)``.
        latent_dim: the number k of latent coordinates.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
        activation: ``"silu"``, ``"relu"``, ``"gelu"`` or ``"tanh"``.
        final: ``"identity"``, or ``"sigmoid"`` for images in [0, 1].

    Raises:
        InputError: an argument is out of range.

    >>> model = DenseAutoencoder((1, 8, 8), 3, hidden=(16,))
    >>> [tuple(p.shape) for p in model.parameters() if p.dim() > 1]
    [(16, 64), (3, 16), (16, 3), (64, 16)]
    """

    @checked
    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        *,
        hidden: Sequence[int] = (512, 512, 512),
        activation: str = "silu",
        final: str = "identity",
    ) -> None:
        super().__init__(image_shape, latent_dim)
        self.hidden = tuple(whole("Every width in hidden", width, 1) for width in hidden)
        self.activation = one_of("activation", activation, tuple(_ACTIVATIONS))
        self.final = one_of("final", final, tuple(_FINALS))
        self.output_range = (0.0, 1.0) if final == "sigmoid" else None
        widths = [math.prod(self.image_shape), *self.hidden, self.latent_dim]
        self.encoder = nn.Sequential(nn.Flatten(), *_dense_layers(widths, self.activation))
        self.decoder = nn.Sequential(
            *_dense_layers(widths[::-1], self.activation),
            _FINALS[self.final](),
            nn.Unflatten(1, self.image_shape),
        )

    @property
    def config(self) -> dict[str, Any]:
        """JSON-ready constructor arguments."""
        return {
            "image_shape": list(self.image_shape),
            "latent_dim": self.latent_dim,
            "hidden": list(self.hidden),
            "activation": self.activation,
            "final": self.final,
        }


def _map_sizes(size: tuple[int, int], stages: int | None) -> list[tuple[int, int]]:
    """The image size and the map size after every stage."""
    sizes = [size]
    while min(after := _halved(sizes[-1])) >= _SMALLEST_MAP:
        sizes.append(after)
    most = len(sizes) - 1
    if most == 0:
        raise InputError(
            f"Images of {size[0]}×{size[1]} pixels are too small for a ConvAutoencoder, which needs at least "
            "3×3; "
            "use a DenseAutoencoder."
        )
    if stages is None:
        return sizes[: min(most, _MOST_STAGES) + 1]
    if whole("stages", stages, 1) > most:
        raise InputError(
            f"{stages} stages shrink {size[0]}×{size[1]} pixels below {_SMALLEST_MAP}; use stages={most} or fewer."
        )
    return sizes[: stages + 1]


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // 2), -(-size[1] // 2)


def _dense_layers(widths: Sequence[int], activation: str) -> list[nn.Module]:
    """Linear layers with the activation between them, none after the last."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), _ACTIVATIONS[activation]()]
    return layers[:-1]
