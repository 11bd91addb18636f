"""TAEF2: madebyollin's tiny distilled autoencoder of FLUX.2's latent space, and its checkpoint.

The layers are those of github.com/madebyollin/taesd, in its order, so its files load with strict keys.
diffusers' AutoencoderTiny lacks the pooling of the middle blocks and cannot hold them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from separatrix.models._distilled import DistilledAutoencoder
from separatrix.models._preprocessing import Preprocessing

_WIDTH, _CHANNELS = 64, 32


class _Block(nn.Module):
    """relu(conv(x) + x); with pooling, x ← x + pool(x) first."""

    def __init__(self, pooling: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())
        self.pool = (
            nn.Sequential(
                nn.Conv2d(_WIDTH, 4 * _WIDTH, 1, bias=False),
                nn.GroupNorm(4, 4 * _WIDTH),
                nn.ReLU(),
                nn.Conv2d(4 * _WIDTH, _WIDTH, 1, bias=False),
            )
            if pooling
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class _SoftClamp(nn.Module):
    """3·tanh(z/3): latents far outside the training range are drawn in."""

    def forward(self, z: Tensor) -> Tensor:
        return 3 * torch.tanh(z / 3)


class TAEF2(DistilledAutoencoder):
    """Images 3×H×W in [0, 1], H and W multiples of 8, to latents 32×H/8×W/8 and back; 1.34 M parameters each half.

    The decoder's values are not cut off at 0 and 1 (its training target is, so they exceed the range a little).

    Args:
        image_size: ``(height, width)`` of the images that the field decodes; any multiple of 8 encodes.

    Raises:
        InputError: a size is no multiple of 8.

    >>> model = TAEF2((32, 48))
    >>> model.latent_shape, sum(p.numel() for p in model.encoder.parameters())
    ((32, 4, 6), 1338528)
    """

    family = "TAEF2"
    channels = _CHANNELS
    units = "FLUX.2's latent units, as the encoder returns them (no scaling or shift)"

    def __init__(self, image_size: tuple[int, int] = (64, 64)) -> None:
        super().__init__(image_size)
        self.preprocessing = Preprocessing()
        self.encoder = nn.Sequential(
            _conv(3),
            _Block(),
            *(part for stage in range(3) for part in (_conv(stride=2, bias=False), *_blocks(pooling=stage == 2))),
            _conv(out=_CHANNELS),
        )
        self.decoder = nn.Sequential(
            _SoftClamp(),
            _conv(_CHANNELS),
            nn.ReLU(),
            *(
                part
                for stage in range(3)
                for part in (*_blocks(pooling=stage == 0), nn.Upsample(scale_factor=2), _conv(bias=False))
            ),
            _Block(),
            _conv(out=3),
        )

    def encode(self, x: Tensor) -> Tensor:
        """E(x): images ``(n, 3, h, w)`` in [0, 1] to latents ``(n, 32, h/8, w/8)``."""
        latents: Tensor = self.encoder(x)
        return latents

    def decode(self, z: Tensor) -> Tensor:
        """D(z): latents ``(n, 32, h, w)`` to images ``(n, 3, 8h, 8w)``."""
        images: Tensor = self.decoder(z)
        return images


def _conv(ins: int = _WIDTH, *, out: int = _WIDTH, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(ins, out, 3, stride=stride, padding=1, bias=bias)


def _blocks(pooling: bool) -> list[_Block]:
    return [_Block(pooling) for _ in range(3)]
