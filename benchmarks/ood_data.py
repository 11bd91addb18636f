"""What benchmarks/ood.py tests on: images in one shape, OOD sets around them, and the networks, trained here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from ood_altered import UNSEEN, unseen_kinds
from torch import Tensor
from torch.nn.functional import interpolate

import separatrix as sx
from separatrix.models import ConvAutoencoder, load_burgess_vae, load_model, save_model, train_autoencoder
from separatrix.models._taef2 import TAEF2
from separatrix.ood import blurred, simple_inputs

DATA = Path(os.environ["SEPARATRIX_DATA"])
TRAINED_ON = 10_000  # the networks' own images, the first of the training sets
# Not drawn: training images from here on, which the decisions of ood.py and the choice of the detectors' rules used, and
# the first test images, on which their features were chosen (docs/ood.md).
FIRST_FRESH = 20_000
FEATURES_CHOSEN_ON = {"mnist": 1000, "fashion_mnist": 2000}
SIMPLE = ("uniform noise", "constant", "blurred", "negative")
PAIRED = ("blurred", "negative", *UNSEEN)  # input i is made from test image i
_NATURAL = {
    "CIFAR-10": ("cifar10_10k2k", "x_test"),
    "ImageNet-64": ("imagenet1000_64px", "x"),
    "BSDS": ("bsds500_64px", "x"),
}


class Sizes(NamedTuple):
    """How many inputs of each kind; all are drawn at random, by `drawn`, from what the network was not trained on.

    Attributes:
        fit: ID training images that the detectors and the self-check are fitted on; the first ``Case.starts`` of them are
            followed to their attractors.
        calibration: other ID training images, for the thresholds.
        test: ID test images: the negatives of every AUROC. Where the network has seen all training images, ``fit`` and
            ``calibration`` are test images too, but others.
        ood: images of each OOD set, or all of it where it has fewer (BSDS has 500); but there are as many blurred inputs and
            negatives as test images: input i is made from test image i.
        unseen: test images that are altered in each of the ways of `ood_altered.unseen_kinds`.
    """

    fit: int
    calibration: int
    test: int
    ood: int
    unseen: int


SMALL = Sizes(fit=900, calibration=200, test=400, ood=200, unseen=150)
BAR = Sizes(fit=1500, calibration=300, test=800, ood=400, unseen=150)  # the three networks that the bar is about
SLOW = Sizes(fit=220, calibration=80, test=100, ood=40, unseen=40)  # TAEF2: 10 ms of a core per map evaluation
SHORT, SHORTEST = sx.Protocol(max_steps=300), sx.Protocol(max_steps=100)  # where nothing settles, and steps are dear
MAE_EPOCHS, MAE_FOLDER = 40, "fashionmnist-vit-mae"


@dataclass
class Case:
    """A network with its ID data; everything is made when it is asked for."""

    name: str
    family: str
    id_name: str
    make: Callable[[], sx.LatentField]
    shape: tuple[int, int, int]
    sizes: Sizes = SMALL
    steps: int = 10
    classes: tuple[int, ...] = tuple(range(10))  # the network was trained on these; the others are near-OOD
    first: int = TRAINED_ON  # the first training image that the network has not seen
    protocol: sx.Protocol = field(default_factory=lambda: sx.Protocol(max_steps=500))
    starts: int = 100  # training latents that are followed to their attractors


def arrays(file: str, key: str) -> np.ndarray:
    """One array of the data folder."""
    with np.load(DATA / f"data/{file}.npz") as found:
        return found[key]


def shaped(images: np.ndarray, shape: tuple[int, int, int]) -> Tensor:
    """Bytes n×h×w or n×h×w×3 as ``(n, *shape)`` in [0, 1]: grey by luma or repeated, resized with antialiasing."""
    x = torch.from_numpy(images.astype(np.float32) / 255)
    x = x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2)
    if x.shape[1] == 3 and shape[0] == 1:
        x = (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    x = x.expand(-1, shape[0], -1, -1)
    if tuple(x.shape[2:]) != shape[1:]:
        x = interpolate(x, size=shape[1:], mode="bilinear", antialias=True, align_corners=False)
    return x.contiguous()


_FILES = {"MNIST": "mnist", "FashionMNIST": "fashion_mnist", "CIFAR-10": "cifar10_10k2k"}


def drawn(images: np.ndarray, count: int) -> np.ndarray:
    """``count`` of the images, or all where there are fewer, without repetition and in random order; always the same ones.

    The files are not in random order: in MNIST neighbours share a writer, ImageNet-64 goes by class.
    """
    return images[np.random.default_rng(0).permutation(len(images))[:count]]


def id_images(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """(to fit, to calibrate, test) that the network was not trained on; the test images are those of the test set."""
    file, sizes = _FILES[case.id_name], case.sizes
    fitted = sizes.fit + sizes.calibration
    train = _of_classes(file, "train", case.classes, case.first, FIRST_FRESH)
    if len(train):
        train, test = drawn(train, fitted), drawn(_test_images(file, case.classes), sizes.test)
    else:  # the network has seen all training images
        test = drawn(_test_images(file, case.classes), sizes.test + fitted)
        train, test = test[sizes.test :], test[: sizes.test]
    return (
        shaped(train[: sizes.fit], case.shape),
        shaped(train[sizes.fit :], case.shape),
        shaped(test, case.shape),
    )


def ood_images(case: Case, test: Tensor) -> dict[str, Tensor]:
    """Other data sets, near-OOD where classes were held out, inputs that are simpler than the data, and altered ID images."""
    count = case.sizes.ood
    sets: dict[str, np.ndarray] = {}
    if len(case.classes) < 10:
        others = tuple(c for c in range(10) if c not in case.classes)
        sets["held-out classes"] = _test_images(_FILES[case.id_name], others)
    sets |= {name: _test_images(_FILES[name]) for name in ("MNIST", "FashionMNIST") if name != case.id_name}
    sets |= {name: arrays(*place) for name, place in _NATURAL.items() if name != case.id_name}
    found = {name: shaped(drawn(images, count), case.shape) for name, images in sets.items()}
    found["textures"] = textures(count, case.shape)
    simple = simple_inputs(test, count=count, seed=1)
    found["uniform noise"], found["constant"] = simple["noise"], simple["constant"]
    found["blurred"] = blurred(test, case.shape[1] / 14)
    found["negative"] = 1 - test
    return found | unseen_kinds(test[: case.sizes.unseen])


def textures(count: int, shape: tuple[int, int, int]) -> Tensor:
    """Random 64×64 crops of scikit-image's photographs of brick, grass and gravel."""
    from skimage import data

    generator = np.random.default_rng(0)
    photographs = (data.brick(), data.grass(), data.gravel())
    crops = []
    for index in range(count):
        photograph = photographs[index % 3]
        top, left = generator.integers(0, photograph.shape[0] - 64, 2)
        crops.append(photograph[top : top + 64, left : left + 64])
    return shaped(np.stack(crops), shape)


def cases(kept: Path | None = None) -> list[Case]:
    """All networks, the three of the bar first; trained ones are kept in, and taken from, the folder ``kept``."""
    _trained = partial(training, kept)
    grey, colour = (1, 28, 28), (3, 32, 32)
    found = [
        Case(f"k = 32, seed {seed}", "bar", "MNIST", _trained("MNIST", grey, 32, seed=seed, epochs=15), grey, BAR)
        for seed in range(3)
    ]
    found += [
        Case(kind, "Burgess VAE", "MNIST", _burgess(kind), (1, 32, 32), first=60_000)
        for kind in ("VAE", "betaH", "betaB", "btcvae", "factor")
    ]
    eight, of_eight = tuple(range(8)), 12_500  # about 10 000 of those have one of the eight classes
    for name in ("MNIST", "FashionMNIST"):
        make = _trained(name, grey, 32, classes=eight, epochs=15, count=of_eight)
        label = "k = 32, classes 0 to 7"
        found.append(Case(label, "near-OOD", name, make, grey, classes=eight, first=of_eight))
        make = _trained(name, grey, 32, classes=eight)
        found.append(Case(f"{label}, 5 epochs", "near-OOD", name, make, grey, classes=eight))
        for k in (16, 32, 128):
            for noise in (0.0, 0.3):
                if (name, k, noise) != ("MNIST", 32, 0.0):  # there are three of them above
                    label = f"k = {k}{', denoising' if noise else ''}"
                    found.append(Case(label, "reference", name, _trained(name, grey, k, noise=noise), grey))
    for noise in (0.0, 0.1):
        label = f"k = 128{', denoising' if noise else ''}"
        make = _trained("CIFAR-10", colour, 128, noise=noise, count=8000, stages=3)
        found.append(Case(label, "reference", "CIFAR-10", make, colour, first=8000))
    found.append(Case("patch tokens", "ViT-MAE", "FashionMNIST", _masked(kept), grey, protocol=SHORT, starts=50))
    found.append(
        Case("32 px", "TAEF2", "CIFAR-10", _taef2, colour, SLOW, steps=5, first=0, protocol=SHORTEST, starts=12)
    )
    return found


def _of_classes(file: str, part: str, classes: tuple[int, ...], first: int, end: int | None = None) -> np.ndarray:
    """Images ``first`` to ``end`` of a file, those of the classes."""
    images, labels = (arrays(file, f"{key}_{part}")[first:end] for key in "xy")
    return images[np.isin(labels, classes)]


def _test_images(file: str, classes: tuple[int, ...] = tuple(range(10))) -> np.ndarray:
    return _of_classes(file, "test", classes, FEATURES_CHOSEN_ON.get(file, 0))


def training(
    kept: Path | None,
    name: str,
    shape: tuple[int, int, int],
    k: int,
    *,
    seed: int = 0,
    epochs: int = 5,
    noise: float = 0.0,
    count: int = TRAINED_ON,
    stages: int = 2,
    classes: tuple[int, ...] = tuple(range(10)),
) -> Callable[[], sx.LatentField]:
    """What trains the reference autoencoder of that data set and recipe, or takes it from the folder ``kept``."""

    def make() -> sx.LatentField:
        label = f"{name}-{k}-{seed}-{epochs}-{noise}-{len(classes)}.safetensors".lower()
        if kept is not None and (kept / label).exists():
            return load_model(kept / label).field()
        torch.manual_seed(seed)
        model = ConvAutoencoder(shape, k, base_channels=32, stages=stages)
        file = _FILES[name]
        images = shaped(_of_classes(file, "train", classes, 0, count), shape)
        if epochs < 15:
            images = images[:5000]  # small: what these networks are for is variety
        train_autoencoder(model, images, epochs=epochs, noise_std=noise, seed=seed)
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            save_model(model, kept / label)
        return model.field()

    return make


def _burgess(kind: str) -> Callable[[], sx.LatentField]:
    return lambda: load_burgess_vae(DATA / f"weights/burgess_vae/{kind}_mnist.safetensors").field()


def _masked(kept: Path | None) -> Callable[[], sx.LatentField]:
    def make() -> sx.LatentField:
        from vit_mae import vit_mae  # transformers, which no other network here needs, takes seconds to import

        with tempfile.TemporaryDirectory() as place:
            return vit_mae((kept or Path(place)) / MAE_FOLDER, masked_images(), epochs=MAE_EPOCHS)

    return make


def masked_images() -> Tensor:
    """What the ViT-MAE is trained on."""
    return shaped(arrays("fashion_mnist", "x_train")[:TRAINED_ON], (1, 28, 28))


def _taef2() -> sx.LatentField:
    return TAEF2.read(DATA / "weights/taef2", (32, 32)).field("TAEF2")
