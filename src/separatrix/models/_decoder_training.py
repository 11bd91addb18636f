"""Training a surrogate decoder on the frozen features of the user's own images."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, mse_loss

from separatrix.arguments import checked, whole
from separatrix.data import ImageSource, load_images
from separatrix.errors import InputError, ModelWarning, warn
from separatrix.field._guest import borrowed
from separatrix.models._backbones import POOR, Backbone
from separatrix.models._surrogate import SurrogateDecoder
from separatrix.words import jsonable
from separatrix.work import Progress

_BATCH = 32
_OVERSHOOT = 1e-4  # that rounding in a resized image may make
_FEWEST = 10  # images, so that there are some to hold out


@dataclass(frozen=True)
class DecoderReport:
    """It tells how well a decoder rebuilds images that it was not trained on.

    Attributes:
        psnr: −10·log₁₀(mean squared error) over all held-out pixels in [0, 1], in dB.
        r2: 1 − squared error over the squared distance to the mean training image: 0 is as good as that one picture, 1
            is perfect.
        train_psnr: the same on the training images; much higher than ``psnr`` means overfitting.
        images, held_out: how many.
        epochs: passes over the training images.
        seed: of the initial weights and of the order.
        data: fingerprint of all pixels.
    """

    psnr: float
    r2: float
    train_psnr: float
    images: int
    held_out: int
    epochs: int
    seed: int
    data: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return jsonable(asdict(self))


@checked
def train_decoder(
    backbone: Backbone,
    data: ImageSource,
    *,
    held_out: ImageSource | None = None,
    image_size: int | None = None,
    width: int = 64,
    epochs: int = 30,
    learning_rate: float = 1e-3,
    limit: int | None = None,
    scale: float | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
) -> tuple[SurrogateDecoder, DecoderReport]:
    """A decoder D that minimises mean (D(E(x)) − x)² per pixel, E frozen.

    The features of all images are computed once and kept. Adam; the learning rate falls to 0 along a cosine.

    Args:
        backbone: the encoder E.
        data: images as `load_images` takes them, at least 10; resized to the encoder's size.
        held_out: images to judge the decoder by; by default every tenth of ``data``, which is then not trained on.
        image_size: side of the decoder's images; by default that of the encoder.
        width: channels inside the decoder.
        epochs: passes over the images.
        learning_rate: Adam's at the start.
        limit: take at most so many of the images.
        scale: the stored value that is white, as for `load_images`.
        seed: of the decoder's initial weights and the order of the images.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Returns:
        The decoder in eval mode, and how good it is.

    Raises:
        InputError: too few images, no colour, values outside [0, 1], or the loss was lost.

    Cost: one encoding per image; then decoder passes only.
    """
    epochs = whole("epochs", epochs, 1)
    size = backbone.image_size
    images = load_images(data, limit=limit, size=size, scale=scale)
    pixels, unseen = _checked(images.pixels), None
    if held_out is None:
        chosen = torch.arange(len(pixels)) % 10 == 9
        pixels, unseen = pixels[~chosen], pixels[chosen]
    else:
        unseen = _checked(load_images(held_out, size=size, scale=scale).pixels)
    side = whole("image_size", image_size or size[0], 1)
    features, unseen_features = _features(backbone, pixels), _features(backbone, unseen)
    target, unseen_target = _resized(pixels, side), _resized(unseen, side)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = SurrogateDecoder(tuple(features.shape[1:]), (side, side), width)
    rows = features.flatten(0, -2)
    decoder.mean.copy_(rows.mean(dim=0))
    decoder.std.copy_(rows.std(dim=0).clamp(min=1e-6))
    _fit(decoder, features, target, epochs, learning_rate, seed, progress)
    decoder.eval().requires_grad_(False)
    error, unit = _error(decoder, unseen_features, unseen_target), _spread(unseen_target, target.mean(dim=0))
    report = DecoderReport(
        psnr=_psnr(error),
        r2=1 - error / unit if unit > 0 else math.nan,
        train_psnr=_psnr(_error(decoder, features, target)),
        images=len(pixels),
        held_out=len(unseen),
        epochs=epochs,
        seed=seed,
        data=images.fingerprint,
    )
    if report.r2 < POOR:
        warn(
            f"The decoder explains only {100 * report.r2:.0f} % of the variance of held-out pixels, so the field will show the "
            "decoder's more than the encoder's; give more images, more epochs or a wider decoder.",
            ModelWarning,
        )
    return decoder, report


def _checked(pixels: Tensor) -> Tensor:
    if pixels.dim() == 4 and pixels.shape[1] == 1:
        pixels = pixels.expand(-1, 3, -1, -1)
    if pixels.dim() != 4 or pixels.shape[1] != 3:
        raise InputError(f"A vision encoder takes images, not data of shape {tuple(pixels.shape[1:])}; give pictures.")
    if len(pixels) < _FEWEST:
        raise InputError(f"{len(pixels)} images are too few to train and judge a decoder; give at least {_FEWEST}.")
    low, high = float(pixels.min()), float(pixels.max())
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        raise InputError(f"The images range from {low:.3g} to {high:.3g}; give values from 0 to 1, or bytes.")
    return pixels.clamp(0, 1)


def _features(backbone: Backbone, pixels: Tensor) -> Tensor:
    weight = next(backbone.model.parameters())
    with borrowed((backbone,)):
        return torch.cat([backbone(part.to(weight)).cpu() for part in pixels.split(_BATCH)])


def _resized(pixels: Tensor, side: int) -> Tensor:
    if tuple(pixels.shape[-2:]) == (side, side):
        return pixels
    return interpolate(pixels, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def _fit(
    decoder: SurrogateDecoder,
    features: Tensor,
    target: Tensor,
    epochs: int,
    learning_rate: float,
    seed: int,
    progress: bool | Progress,
) -> None:
    optimizer = torch.optim.Adam(decoder.parameters(), lr=learning_rate)
    order = torch.Generator().manual_seed(seed)
    steps = epochs * math.ceil(len(features) / _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with Progress.of(progress).stage("training the decoder", epochs) as line:
        for epoch in range(epochs):
            for chosen in torch.randperm(len(features), generator=order).split(_BATCH):
                optimizer.zero_grad(set_to_none=True)
                with torch.enable_grad():
                    loss = mse_loss(decoder(features[chosen]), target[chosen])
                    loss.backward()
                if not math.isfinite(loss.item()):
                    raise InputError(
                        f"The loss became NaN or infinite in epoch {epoch + 1}; "
                        f"lower learning_rate (now {learning_rate:g})."
                    )
                optimizer.step()
                schedule.step()
            line.advance()


@torch.no_grad()
def _error(decoder: SurrogateDecoder, features: Tensor, target: Tensor) -> float:
    total = sum(
        float((decoder(f) - x).double().square().sum())
        for f, x in zip(features.split(_BATCH), target.split(_BATCH), strict=True)
    )
    return total / target.numel()


def _spread(target: Tensor, mean: Tensor) -> float:
    return float((target - mean).double().square().mean())


def _psnr(error: float) -> float:
    return -10 * math.log10(error) if error > 0 else math.inf
