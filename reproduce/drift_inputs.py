"""The models and pictures of reproduce/drift.py."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import skimage.data
import torch
from model_families import stable_diffusion
from probing_inputs import burgess_model, data, fashion_model, sprites, train_and_test
from sklearn.datasets import load_sample_images
from torch import Tensor

import separatrix as sx

SIDE = 256  # pixels of photographs
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
_OBJECTIVES = ("VAE", "betaH", "betaB", "btcvae", "factor")


@dataclass(frozen=True)
class Case:
    """One model on one set of pictures.

    Attributes:
        model, pictures: what they are called.
        group: cases that are ranked against each other have the same one.
        load: makes the field.
        images: makes ``(n, c, h, w)``.
        linear: trips of the linearisation; a jvp costs four evaluations.
    """

    model: str
    pictures: str
    group: str
    load: Callable[[], sx.LatentField]
    images: Callable[[], Tensor]
    linear: int = 20

    @property
    def name(self) -> str:
        """Of its cell."""
        return f"{self.model}, {self.pictures}"


def photographs(side: int = SIDE) -> Tensor:
    """The central squares of scikit-image's four colour photographs and scikit-learn's two, at their own resolution."""
    whole = [getattr(skimage.data, name)() for name in PHOTOGRAPHS] + list(load_sample_images().images)
    squares = []
    for image in whole:
        top, left = ((length - SIDE) // 2 for length in image.shape[:2])
        squares.append(torch.from_numpy(image[top : top + SIDE, left : left + SIDE].copy()))
    return _resized(torch.stack(squares).permute(0, 3, 1, 2).float() / 255, side)


def upsampled(name: str, count: int) -> Tensor:
    """So many pictures of a set of 64×64, evenly spread over it, four times as large (bicubic)."""
    whole = np.load(data() / f"data/{name}.npz")["x"]
    chosen = whole[:: len(whole) // count][:count]
    return _resized(torch.from_numpy(chosen).permute(0, 3, 1, 2).float() / 255, SIDE)


def _resized(x: Tensor, side: int) -> Tensor:
    if x.shape[-1] == side:
        return x
    resized = torch.nn.functional.interpolate(x, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 1)


def _published(spec: str) -> sx.LatentField:
    return sx.load(spec, options={"height": SIDE, "width": SIDE})


def _random_kl() -> sx.LatentField:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        return sx.load(**stable_diffusion(Path(place) / "model", small=True))


def _first(source: Callable[[int, int], object], count: int) -> Tensor:
    return source(count, 1).coded  # type: ignore[attr-defined]


def cases(count: int, few: int) -> list[Case]:
    """All cases; ``count`` pictures for the small models, ``few`` of each upsampled set."""
    real = {
        "photographs": photographs,
        "BSDS": partial(upsampled, "bsds500_64px", few),
        "ImageNet": partial(upsampled, "imagenet1000_64px", few),
    }
    found = [
        Case(model, pictures, pictures, partial(_published, model), images, linear=5)
        for model in ("vaelight", "taef2")
        for pictures, images in real.items()
    ]
    mnist = partial(_first, partial(train_and_test, "mnist", (32, 32), False), count)
    fashion = partial(_first, partial(train_and_test, "fashion_mnist", None, False), count)
    drawn = partial(_first, sprites, count)
    found += [
        Case(f"{kind}_mnist", "MNIST", "MNIST", partial(burgess_model, f"{kind}_mnist"), mnist) for kind in _OBJECTIVES
    ]
    found += [
        Case(f"{kind}_dsprites", "sprites", "sprites", partial(burgess_model, f"{kind}_dsprites"), drawn)
        for kind in _OBJECTIVES
    ]
    found += [
        Case(name, "FashionMNIST", "FashionMNIST", partial(fashion_model, name), fashion)
        for name in ("conv2", "conv8", "conv32", "conv128", "fc")
    ]
    return [
        *found,
        Case("random AutoencoderKL", "photographs, 64 px", "format", _random_kl, partial(photographs, 64), linear=5),
    ]
