"""The convolutional VAE of Burgess et al. 2018 (*Understanding disentangling in β-VAE*), as disentangling-vae
trains it.

The layer names are those of github.com/YannDubs/disentangling-vae, so its checkpoints load with strict keys.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.arguments import checked
from separatrix.errors import FileError, InputError
from separatrix.models._base import ReferenceAutoencoder
from separatrix.models._weights import fill, read_weights

_CHANNELS = 32
_HIDDEN = 256
_MAP = 4  # pixels of the smallest map, for both image sizes


class BurgessVAE(ReferenceAutoencoder):
    """Three (32 pixels) or four (64 pixels) stride-2 convolutions of 32 channels, two layers of 256, k
    latents.

    As an autoencoder of the latent dynamics it is deterministic: :meth:`encode` returns the posterior *mean*
    μ(x).

    Args:
        image_shape: ``(channels, 32, 32)`` or ``(channels, 64, 64)``.
        latent_dim: the number k of latent coordinates.

    Raises:
        InputError: the image is neither 32×32 nor 64×64, or a size is not positive.

    >>> model = BurgessVAE((1, 64, 64))
    >>> [tuple(part.shape) for part in model.posterior(torch.zeros(3, 1, 64, 64))]
    [(3, 10), (3, 10)]
    """

    output_range = (0.0, 1.0)

    @checked
    def __init__(self, image_shape: Sequence[int] = (1, 32, 32), latent_dim: int = 10) -> None:
        super().__init__(image_shape, latent_dim)
        if self.image_shape[1:] not in ((32, 32), (64, 64)):
            raise InputError(
                f"BurgessVAE takes 32×32 or 64×64 images, not {self.image_shape[1]}×{self.image_shape[2]}; resize them."
            )
        large = self.image_shape[1] == 64
        self.encoder = _Encoder(self.image_shape[0], self.latent_dim, large)
        self.decoder = _Decoder(self.image_shape[0], self.latent_dim, large)

    @property
    def config(self) -> dict[str, Any]:
        """JSON-ready constructor arguments."""
        return {"image_shape": list(self.image_shape), "latent_dim": self.latent_dim}

    def encode(self, x: Tensor) -> Tensor:
        """The posterior mean μ(x): images ``(n, *image_shape)`` to latents ``(n, latent_dim)``."""
        return self.posterior(x)[0]

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each ``(n, latent_dim)``."""
        # The last layer interleaves them: μ₀, log σ₀², μ₁, log σ₁², …
        mean, log_variance = super().encode(x).reshape(len(x), self.latent_dim, 2).unbind(-1)
        return mean, log_variance


class _Encoder(nn.Module):
    def __init__(self, channels: int, latent_dim: int, large: bool) -> None:
        super().__init__()
        self.conv1 = _down(channels)
        self.conv2 = _down(_CHANNELS)
        self.conv3 = _down(_CHANNELS)
        self.conv_64 = _down(_CHANNELS) if large else None
        self.lin1 = nn.Linear(_CHANNELS * _MAP**2, _HIDDEN)
        self.lin2 = nn.Linear(_HIDDEN, _HIDDEN)
        self.mu_logvar_gen = nn.Linear(_HIDDEN, 2 * latent_dim)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.conv1, self.conv2, self.conv3):
            x = torch.relu(layer(x))
        if self.conv_64 is not None:
            x = torch.relu(self.conv_64(x))
        x = torch.relu(self.lin1(x.flatten(1)))
        x = torch.relu(self.lin2(x))
        interleaved: Tensor = self.mu_logvar_gen(x)
        return interleaved


class _Decoder(nn.Module):
    def __init__(self, channels: int, latent_dim: int, large: bool) -> None:
        super().__init__()
        self.lin1 = nn.Linear(latent_dim, _HIDDEN)
        self.lin2 = nn.Linear(_HIDDEN, _HIDDEN)
        self.lin3 = nn.Linear(_HIDDEN, _CHANNELS * _MAP**2)
        self.convT_64 = _up(_CHANNELS) if large else None
        self.convT1 = _up(_CHANNELS)
        self.convT2 = _up(_CHANNELS)
        self.convT3 = _up(channels)

    def forward(self, z: Tensor) -> Tensor:
        for linear in (self.lin1, self.lin2, self.lin3):
            z = torch.relu(linear(z))
        x = z.reshape(len(z), _CHANNELS, _MAP, _MAP)
        if self.convT_64 is not None:
            x = torch.relu(self.convT_64(x))
        x = torch.relu(self.convT1(x))
        x = torch.relu(self.convT2(x))
        return torch.sigmoid(self.convT3(x))


def load_burgess_vae(path: str | os.PathLike[str]) -> BurgessVAE:
    """A :class:`BurgessVAE` with the weights of one file; image size and latent dimension are read off its
    tensors.

    Args:
        path: a safetensors file, or a ``.pt``/``.pth`` file that holds nothing but tensors.

    Raises:
        FileError: the file cannot be read or does not hold this architecture.
    """
    tensors = read_weights(path)
    size = 64 if "encoder.conv_64.weight" in tensors else 32
    try:
        channels = tensors["encoder.conv1.weight"].shape[1]
        latent_dim = tensors["decoder.lin1.weight"].shape[1]
        model = BurgessVAE((channels, size, size), latent_dim)
    except (KeyError, IndexError, InputError) as error:
        raise FileError(
            f"{path} does not hold a Burgess VAE (encoder.conv1.weight and decoder.lin1.weight of its kind); "
            "load it with the factory of its own architecture."
        ) from error
    fill(model, tensors, source=Path(path), model="BurgessVAE")
    return model.eval()


def _down(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, _CHANNELS, kernel_size=4, stride=2, padding=1)


def _up(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(_CHANNELS, channels, kernel_size=4, stride=2, padding=1)
