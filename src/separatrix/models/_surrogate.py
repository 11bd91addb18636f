"""A decoder for an encoder that has none: features back to images, trained on the user's own images.

With it an encoder-only backbone E becomes a field f = E∘D (Fumero et al., ICLR 2026, do this for vision foundation models).
What the field shows is then a property of E *and of this decoder*; a poor one says little about E.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from separatrix.arguments import whole
from separatrix.errors import FileError, InputError, first_line
from separatrix.models._checkpoint import built, write_atomically
from separatrix.models._weights import fill, read_safetensors
from separatrix.words import jsonable

KIND = "surrogate decoder"
_SMALLEST_GRID = 4  # cells per side that one feature vector is spread over


class SurrogateDecoder(nn.Module):
    """Features, standardised, to images in [0, 1]: a linear map per token, then convolutions between doublings.

    Args:
        feature_shape: ``(tokens, d)`` with a square number of tokens, or ``(d,)`` for one vector.
        image_size: ``(height, width)``.
        width: channels inside.

    Raises:
        InputError: the tokens are no square grid.

    >>> SurrogateDecoder((16, 8), (32, 32), width=4)(torch.zeros(2, 16, 8)).shape
    torch.Size([2, 3, 32, 32])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, feature_shape: Sequence[int], image_size: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.feature_shape = tuple(whole("Every size in feature_shape", size, 1) for size in feature_shape)
        self.image_size = tuple(whole("Every side of image_size", size, 1) for size in image_size)
        self.width = whole("width", width, 1)
        if len(self.feature_shape) not in (1, 2) or len(self.image_size) != 2:
            raise InputError(
                f"A surrogate decoder takes features (tokens, d) or (d,) and makes images (height, width), not "
                f"{self.feature_shape} and {self.image_size}."
            )
        tokens = self.feature_shape[0] if len(self.feature_shape) == 2 else 1
        self.grid = round(tokens**0.5)
        if self.grid**2 != tokens:
            raise InputError(f"{tokens} tokens are no square grid; give images whose sides are equal.")
        features = self.feature_shape[-1]
        self.spread_over = 1 if tokens > 1 else _SMALLEST_GRID
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.inward = nn.Linear(features, self.width * self.spread_over**2)
        side, layers = self.grid * self.spread_over, [_Residual(self.width)]
        doublings = 0
        while side * 2 ** (doublings + 1) <= max(self.image_size):
            doublings += 1
        self.stages = nn.ModuleList(layers + [_Residual(self.width) for _ in range(doublings)])
        self.outward = nn.Conv2d(self.width, 3, 3, padding=1)

    @property
    def config(self) -> dict[str, Any]:
        """JSON-ready constructor arguments."""
        return {"feature_shape": list(self.feature_shape), "image_size": list(self.image_size), "width": self.width}

    def forward(self, features: Tensor) -> Tensor:
        """Images ``(n, 3, height, width)`` in [0, 1] of features ``(n, *feature_shape)``."""
        x = self.inward((features - self.mean) / self.std)
        n, side = len(x), self.grid * self.spread_over
        x = x.transpose(1, 2) if x.dim() == 3 else x
        x = x.reshape(n, self.width, side, side)
        x = self.stages[0](x)
        for stage in list(self.stages)[1:]:
            x = stage(interpolate(x, scale_factor=2, mode="nearest"))
        x = self.outward(x)
        if tuple(x.shape[-2:]) != self.image_size:
            x = interpolate(x, size=self.image_size, mode="bilinear", align_corners=False)
        return torch.sigmoid(x)


class _Residual(nn.Module):
    """x + conv(silu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(nn.functional.silu(self.first(x)))
        return out


def save_decoder(
    decoder: SurrogateDecoder, path: str | os.PathLike[str], *, encoder: str, report: Mapping[str, Any]
) -> Path:
    """Writes a decoder as safetensors; its header says of which encoder (fingerprint) and how good it is.

    Raises:
        InputError: the path does not end in ``.safetensors``.
        FileError: it cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"A decoder is written as safetensors, so {path.name!r} must end in .safetensors.")
    header = {
        "separatrix": metadata.version("separatrix"),
        "kind": KIND,
        "config": json.dumps(decoder.config),
        "encoder_fingerprint": encoder,
        "report": json.dumps(jsonable(report), allow_nan=False),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in decoder.state_dict().items()}
    write_atomically(path, safetensors.torch.save(tensors, metadata=header))
    return path


def load_decoder(
    path: str | os.PathLike[str], *, encoder: str | None = None
) -> tuple[SurrogateDecoder, dict[str, Any]]:
    """The decoder that :func:`save_decoder` wrote, and the report on it.

    Args:
        path: the file.
        encoder: fingerprint of the encoder it is wanted for.

    Raises:
        FileError: the file is no such decoder, is damaged, or was trained for another encoder.
    """
    from separatrix.storage._records import DecoderQuality, record_of, values_of

    path = Path(path)
    tensors, header = read_safetensors(path)
    if header.get("kind") != KIND:
        raise FileError(f"{path} is no surrogate decoder; make one with separatrix train-decoder.")
    if encoder is not None and header.get("encoder_fingerprint") != encoder:
        raise FileError(
            f"{path} was trained for another encoder (or for other options of it): fingerprint "
            f"{header.get('encoder_fingerprint', '')[:12]}…, not {encoder[:12]}…; train one for this encoder with "
            "separatrix train-decoder."
        )
    try:
        # On the meta device nothing is allocated, whatever sizes a stranger's header claims.
        with torch.device("meta"):
            decoder = built(SurrogateDecoder, header.get("config", "{}"), path)
    except (InputError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise FileError(f"{path} has a header that cannot be read ({first_line(error)}); train it again.") from error
    quality = record_of(header.get("report", "{}"), DecoderQuality, f"The report in {path}", "train it again")
    report = {name: value for name, value in values_of(quality).items() if value is not None}
    fill(decoder, tensors, source=path, model="the decoder its header describes", assign=True)
    return decoder.eval().requires_grad_(False), report
