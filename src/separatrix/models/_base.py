"""This file tells what the reference autoencoders share: a checked image shape, encode and decode, the way to a field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from separatrix.arguments import checked, whole
from separatrix.errors import InputError
from separatrix.field import LatentField


class ReferenceAutoencoder(nn.Module):
    """An autoencoder of images ``(n, *image_shape)`` with a flat latent of ``latent_dim`` coordinates.

    A subclass sets the submodules ``encoder`` (images to latents) and ``decoder`` (latents to images) and
    says in :attr:`config` how it was made; everything else follows.

    Attributes:
        image_shape: ``(channels, height, width)`` of one image.
        latent_dim: number k of latent coordinates.
        output_range: lowest and highest value the decoder can return, None if it is unbounded.
        family: how ``doctor`` calls the kind of model.
    """

    encoder: nn.Module
    decoder: nn.Module
    output_range: tuple[float, float] | None = None
    family: str = "reference autoencoder"

    @checked
    def __init__(self, image_shape: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.image_shape = _checked_shape(image_shape)
        self.latent_dim = whole("latent_dim", latent_dim, 1)

    @property
    def config(self) -> dict[str, Any]:
        """JSON-ready constructor arguments: ``type(model)(**model.config)`` has the same architecture."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        """E(x): images ``(n, *image_shape)`` to latents ``(n, latent_dim)``.

        Raises:
            InputError: the images have another shape.
        """
        if tuple(x.shape[1:]) != self.image_shape:
            expected = ", ".join(map(str, self.image_shape))
            raise InputError(
                f"{type(self).__name__} encodes images of shape (n, {expected}), not {tuple(x.shape)}; "
                "resize or reshape them first."
            )
        latents: Tensor = self.encoder(x)
        return latents

    def decode(self, z: Tensor) -> Tensor:
        """D(z): latents ``(n, latent_dim)`` to images ``(n, *image_shape)``."""
        images: Tensor = self.decoder(z)
        return images

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction F(x) = D(E(x)), shape kept."""
        return self.decode(self.encode(x))

    def field(self, name: str | None = None, **details: Any) -> LatentField:
        """The latent vector field of this model: f(z) = E(D(z)) on ``(n, latent_dim)``.

        The field refers to this very model; weights that change later change the field too.

        Args:
            name: how results call it; by default the class, the image shape and the latent dimension.
            details: what else was decided when it was loaded, or instead; JSON-ready.
        """
        size = "×".join(map(str, self.image_shape))
        return LatentField(
            self.encode,
            self.decode,
            latent_shape=self.latent_dim,
            name=name or f"{type(self).__name__} {size} → {self.latent_dim}",
            details=self._details() | details,
        )

    def _details(self) -> dict[str, Any]:
        """Give the details that an adapter gives; of the preprocessing there is only the range that the last layer guarantees."""
        about = {"family": self.family, "class": type(self).__name__}
        if self.output_range is None:
            return about
        low, high = self.output_range
        words = f"images in [{low:g}, {high:g}], passed from the decoder to the encoder as they are"
        return about | {"preprocessing": {"data_range": [low, high], "words": words}}


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """``value`` if it is one of the choices; otherwise an InputError that lists them."""
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}.")
    return str(value)


def _checked_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    if not isinstance(image_shape, (tuple, list)) or len(image_shape) != 3:
        raise InputError(f"image_shape must be (channels, height, width), such as (1, 28, 28), not {image_shape!r}.")
    channels, height, width = (whole("Every size in image_shape", size, 1) for size in image_shape)
    return channels, height, width
