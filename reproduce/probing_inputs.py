"""The models and images of reproduce/probing.py."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import skimage.data
import torch
from safetensors.torch import load_file
from torch import Tensor

import separatrix as sx
from separatrix.models import ConvAutoencoder, DenseAutoencoder

TEXTURES = ("brick", "grass", "gravel")  # of scikit-image, 512×512, grey
TILE = 32


@dataclass(frozen=True)
class Pair:
    """Images to be coded, and others of the same kind."""

    coded: Tensor
    reference: Tensor


Source = Callable[[int, int], Pair]  # coded, reference → images


def data() -> Path:
    """The folder of images and weights."""
    return Path(os.environ["SEPARATRIX_DATA"])


def _array(name: str, key: str, first: int, count: int, size: tuple[int, int] | None, colour: bool) -> Tensor:
    found = sx.data.load_images(data() / f"data/{name}.npz", key=key, limit=first + count, size=size).pixels[first:]
    return found.expand(-1, 3, -1, -1).contiguous() if colour and found.shape[1] == 1 else found


def train_and_test(name: str, size: tuple[int, int] | None, colour: bool, coded: int, reference: int) -> Pair:
    """The first test images, coded, and the first training images."""
    return Pair(_array(name, "x_test", 0, coded, size, colour), _array(name, "x_train", 0, reference, size, colour))


def one_set(name: str, size: tuple[int, int], coded: int, reference: int) -> Pair:
    """The first images of a set without a split, coded, and those that follow."""
    found = _array(name, "x", 0, coded + reference, size, False)
    return Pair(found[:coded], found[coded:])


def textures(coded: int, reference: int) -> Pair:
    """Tiles of 32×32 pixels that do not overlap; of each photograph every eighth is coded."""
    tiles = []
    for name in TEXTURES:
        whole = torch.from_numpy(np.asarray(getattr(skimage.data, name)())).float() / 255
        tiles.append(whole.unfold(0, TILE, TILE).unfold(1, TILE, TILE).reshape(-1, 1, TILE, TILE))
    every = torch.cat(tiles).expand(-1, 3, -1, -1)
    chosen = torch.zeros(len(every), dtype=torch.bool)
    chosen[:: math.ceil(len(every) / coded)] = True
    others = every[~chosen][torch.randperm(int((~chosen).sum()), generator=torch.Generator().manual_seed(0))]
    return Pair(every[chosen][:coded].contiguous(), others[:reference].contiguous())


def sprites(coded: int, reference: int) -> Pair:
    """White squares, ellipses and hearts on black, 64×64, of random size, angle and place, as dSprites describes its own.

    The data set itself does not lie beside the project; these are drawn anew, so they are *like* its images only.
    """
    count, fine = coded + reference, 4
    draw = np.random.default_rng(0)
    shape, size = draw.integers(3, size=count), draw.uniform(0.5, 1.0, count)
    angle, place = draw.uniform(0, 2 * math.pi, count), draw.uniform(16, 48, (count, 2))
    ticks = (np.arange(64 * fine) + 0.5) / fine
    images = np.empty((count, 64, 64), np.float32)
    for i in range(count):
        y, x = np.meshgrid(ticks - place[i, 0], ticks - place[i, 1], indexing="ij")
        u = (math.cos(angle[i]) * x + math.sin(angle[i]) * y) / (12 * size[i])
        v = (math.cos(angle[i]) * y - math.sin(angle[i]) * x) / (12 * size[i])
        inside = (
            np.maximum(abs(u), abs(v)) < 0.8,
            u**2 + (v / 0.5) ** 2 < 1.0,
            (u**2 + v**2 - 0.6) ** 3 < 1.6 * u**2 * v**3,
        )[shape[i]]
        images[i] = inside.reshape(64, fine, 64, fine).mean(axis=(1, 3))
    every = torch.from_numpy(images).unsqueeze(1).round()  # dSprites is black and white
    return Pair(every[:coded], every[coded:])


def fashion_model(name: str) -> sx.LatentField:
    """One of the reference autoencoders."""
    tensors = load_file(data() / f"weights/fashion_ae/{name}.safetensors")
    if name == "fc":
        model: torch.nn.Module = DenseAutoencoder((1, 28, 28), 64)
    else:
        model = ConvAutoencoder((1, 28, 28), int(name.removeprefix("conv")), base_channels=32, stages=2)
    model.load_state_dict(tensors)
    return model.eval().field(f"fashion {name}")


def burgess_model(name: str) -> sx.LatentField:
    """One of the ten published VAEs."""
    return sx.load(f"burgess/{name}")


_OBJECTIVES = ("VAE", "betaH", "betaB", "btcvae", "factor")
SMALL: dict[str, tuple[Callable[[], sx.LatentField], dict[str, Source]]] = {
    **{
        f"{kind}_mnist": (
            partial(burgess_model, f"{kind}_mnist"),
            {
                "MNIST": partial(train_and_test, "mnist", (32, 32), False),
                "FashionMNIST": partial(train_and_test, "fashion_mnist", (32, 32), False),
            },
        )
        for kind in _OBJECTIVES
    },
    **{
        f"{kind}_dsprites": (
            partial(burgess_model, f"{kind}_dsprites"),
            {"sprites": sprites, "MNIST": partial(train_and_test, "mnist", (64, 64), False)},
        )
        for kind in _OBJECTIVES
    },
    **{
        name: (
            partial(fashion_model, name),
            {
                "FashionMNIST": partial(train_and_test, "fashion_mnist", None, False),
                "MNIST": partial(train_and_test, "mnist", None, False),
            },
        )
        for name in ("conv2", "conv8", "conv32", "conv128", "fc")
    },
}
LARGE: dict[str, Source] = {
    "ImageNet": partial(one_set, "imagenet1000_64px", (32, 32)),
    "BSDS": partial(one_set, "bsds500_64px", (32, 32)),
    "CIFAR-10": partial(train_and_test, "cifar10_10k2k", None, True),
    "textures": textures,
    "MNIST": partial(train_and_test, "mnist", (32, 32), True),
    "FashionMNIST": partial(train_and_test, "fashion_mnist", (32, 32), True),
}
"""Data sets of TAEF2 at 32 pixels."""


def taef2(side: int) -> sx.LatentField:
    """TAEF2 for square images."""
    return sx.load("taef2", latent_shape=(32, side // 8, side // 8))
