"""VAElight: a small autoencoder of Stable Diffusion 1.x's latents, distilled from its VAE by Graphnull.

The layers have the names of the published files. The decoder is a pyramid: four chains make an eighth, a quarter, a half and
the whole of the size, and the image is their sum after bilinear upsampling. The ONNX file of the same decoder has these four
as outputs; as an ONNX pair it is loaded with ``decoded=output+101+92+77`` and ``range=-1..1``.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from separatrix.models._distilled import SHRINK, DistilledAutoencoder
from separatrix.models._preprocessing import Preprocessing
from separatrix.models._pyramid import summed

SCALE = 0.18215
"""Stable Diffusion 1.x's scaling factor: its diffusion model takes z·0.18215."""

# Channels of the convolutions in order, all 3×3 but: d halves the size by a 2×2 convolution, u doubles it by a transposed one.
_NARROWING, _POOLED = "16d 32 32d 64 64d 4", "64 64 64 128 4"
_PYRAMID = {
    "c2v": "8 16 32 3",
    "c3v": "8 16 16u 32 3",
    "c4v": "8 16 16u 32 64 64u 64 3",
    "cv": "8 16 16u 32 64 64u 64 64 64u 64 3",
}


class VAELight(DistilledAutoencoder):
    """Images 3×H×W in [0, 1], H and W multiples of 8, to latents 4×H/8×W/8 and back; 200,344 and 266,780 parameters.

    Inside, images are −1 to 1. Latents are in the units of the diffusion model, z·0.18215, unless ``scaled`` is False: the
    same dynamics in other units, but N(0, I) is the data-free start only in the scaled ones.

    Args:
        image_size: ``(height, width)`` of the images that the field decodes; any multiple of 8 encodes.
        scaled: latents in scaled units.

    Raises:
        InputError: a size is no multiple of 8.

    >>> import torch
    >>> model = VAELight((32, 48))
    >>> model.latent_shape, tuple(model.decode(torch.zeros(1, 4, 4, 6)).shape)
    ((4, 4, 6), (1, 3, 32, 48))
    """

    family = "VAElight"
    channels = 4

    def __init__(self, image_size: tuple[int, int] = (64, 64), scaled: bool = True) -> None:
        super().__init__(image_size)
        self.preprocessing = Preprocessing.symmetric()
        self.encoder, self.decoder = _Encoder(), _Decoder()
        self.scale = SCALE if scaled else 1.0
        self.units = (
            f"scaled latents z·{SCALE:g}, as Stable Diffusion 1.x takes them"
            if scaled
            else f"the encoder's own latents, without Stable Diffusion's scaling factor {SCALE:g}"
        )

    def encode(self, x: Tensor) -> Tensor:
        """E(x): images ``(n, 3, h, w)`` in [0, 1] to latents ``(n, 4, h/8, w/8)``."""
        assert self.preprocessing is not None
        latents: Tensor = self.encoder(self.preprocessing.to_encoder(x))
        return latents * self.scale

    def decode(self, z: Tensor) -> Tensor:
        """D(z): latents ``(n, 4, h, w)`` to images ``(n, 3, 8h, 8w)``; not cut off at 0 and 1."""
        assert self.preprocessing is not None
        return self.preprocessing.to_image(self.decoder(z / self.scale))


class _Encoder(nn.Module):
    """A chain of convolutions, plus another one on the image of an eighth of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.narrowing = _layers(self, "cv", 3, _NARROWING)
        self.pooled = _layers(self, "cv", 3, _POOLED, first=14)

    def forward(self, x: Tensor) -> Tensor:
        return _through(self, self.narrowing, x) + _through(self, self.pooled, avg_pool2d(x, SHRINK))


class _Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.chains = [_layers(self, prefix, 4, widths) for prefix, widths in _PYRAMID.items()]

    def forward(self, z: Tensor) -> Tensor:
        return summed([_through(self, chain, z) for chain in self.chains])


def _layers(module: nn.Module, prefix: str, channels: int, widths: str, first: int = 1) -> list[str]:
    """Adds convolutions ``prefix1``, ``prefix2``, … to a module, and returns their names."""
    names = []
    for number, width in enumerate(widths.split(), first):
        out = int(width.rstrip("du"))
        if width.endswith("d"):
            layer: nn.Module = nn.Conv2d(channels, out, 2, stride=2)
        elif width.endswith("u"):
            layer = nn.ConvTranspose2d(channels, out, 2, stride=2)
        else:
            layer = nn.Conv2d(channels, out, 3, padding=1)
        names.append(f"{prefix}{number}")
        module.add_module(names[-1], layer)
        channels = out
    return names


def _through(module: nn.Module, names: list[str], x: Tensor) -> Tensor:
    """A chain of layers, with a leaky ReLU between any two."""
    for name in names[:-1]:
        x = nn.functional.leaky_relu(module.get_submodule(name)(x), 0.01)
    last: Tensor = module.get_submodule(names[-1])(x)
    return last
