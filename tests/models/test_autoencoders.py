"""The reference autoencoders: shapes that close, names that fit published files, points that are fixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from separatrix.errors import InputError
from separatrix.models import ConvAutoencoder, DenseAutoencoder


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 3),
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    latent_dim=st.integers(1, 5),
    final=st.sampled_from(["sigmoid", "identity"]),
)
def test_any_image_size_closes(channels: int, height: int, width: int, latent_dim: int, final: str) -> None:
    model = ConvAutoencoder((channels, height, width), latent_dim, base_channels=2, final=final)
    x = torch.rand(2, channels, height, width)
    assert model.encode(x).shape == (2, latent_dim)
    assert model(x).shape == x.shape
    assert 1 <= model.stages <= 4


@pytest.mark.parametrize(
    ("size", "stages"),
    [((28, 28), 4), ((32, 32), 4), ((8, 8), 2), ((3, 100), 1), ((17, 9), 3), ((64, 64), 4)],
)
def test_default_stages_keep_two_pixels(size: tuple[int, int], stages: int) -> None:
    assert ConvAutoencoder((1, *size), 2, base_channels=1).stages == stages


def test_channels_double_per_stage() -> None:
    model = ConvAutoencoder((3, 32, 32), 7, base_channels=4)
    down = [m.out_channels for m in model.encoder if isinstance(m, torch.nn.Conv2d)]
    up = [m.out_channels for m in model.decoder if isinstance(m, torch.nn.ConvTranspose2d)]
    assert down == [4, 8, 16, 32]
    assert up == [16, 8, 4, 3]


def test_final_layer_bounds_the_images() -> None:
    z = 100 * torch.randn(50, 2)
    bounded = ConvAutoencoder((1, 8, 8), 2, base_channels=4).decode(z)
    free = ConvAutoencoder((1, 8, 8), 2, base_channels=4, final="identity").decode(z)
    assert 0 <= bounded.min() < bounded.max() <= 1
    assert free.min() < 0 or free.max() > 1


def test_dense_without_hidden_layers_is_affine() -> None:
    model = DenseAutoencoder((1, 4, 4), 3, hidden=()).double()
    x, y = torch.rand(2, 5, 1, 4, 4, dtype=torch.float64)
    assert torch.allclose(model(0.25 * x + 0.75 * y), 0.25 * model(x) + 0.75 * model(y), atol=1e-12)
    hidden = DenseAutoencoder((1, 4, 4), 3, hidden=(8,)).double()
    assert not torch.allclose(hidden(0.25 * x + 0.75 * y), 0.25 * hidden(x) + 0.75 * hidden(y), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: ConvAutoencoder((1, 28, 28), 0), "latent_dim must be a whole number, at least 1, not 0"),
        (lambda: ConvAutoencoder((1, 28, 28), 2.5), "latent_dim must be a whole number"),
        (lambda: ConvAutoencoder((28, 28), 2), r"image_shape must be \(channels, height, width\)"),
        (lambda: ConvAutoencoder((1, 28, 0), 2), "Every size in image_shape"),
        (lambda: ConvAutoencoder((1, 28, 28), 2, base_channels=0), "base_channels"),
        (lambda: ConvAutoencoder((1, 28, 28), 2, stages=5), "use stages=4 or fewer"),
        (lambda: ConvAutoencoder((1, 28, 28), 2, stages=0), "stages must be a whole number"),
        (lambda: ConvAutoencoder((1, 2, 28), 2), "too small for a ConvAutoencoder"),
        (lambda: ConvAutoencoder((1, 28, 28), 2, final="relu"), "final must be one of 'sigmoid', 'identity'"),
        (lambda: DenseAutoencoder((1, 8, 8), -1), "latent_dim"),
        (lambda: DenseAutoencoder((1, 8, 8), 2, hidden=(8, 0)), "Every width in hidden"),
        (lambda: DenseAutoencoder((1, 8, 8), 2, activation="sine"), "activation must be one of 'silu'"),
        (
            lambda: ConvAutoencoder((1, 8, 8), 2).encode(torch.rand(4, 8, 8)),
            r"images of shape \(n, 1, 8, 8\), not \(4, 8, 8\)",
        ),
    ],
)
def test_bad_arguments_are_one_sentence(build: object, sentence: str) -> None:
    assert callable(build)
    with pytest.raises(InputError, match=sentence):
        build()


def images(folder: Path, part: str, count: int) -> Tensor:
    with np.load(folder / "data" / "fashion_mnist.npz") as arrays:
        return torch.from_numpy(arrays[part][:count]).float().div(255).unsqueeze(1)


# Mean squared error on the first 500 test images, as measured once; the variance of the pixels is 0.086.
@pytest.mark.real
@pytest.mark.parametrize(("latent_dim", "error"), [(2, 0.0383), (8, 0.0195), (32, 0.0132), (128, 0.0118)])
def test_published_conv_weights_reconstruct(real_data: Path, latent_dim: int, error: float) -> None:
    model = ConvAutoencoder((1, 28, 28), latent_dim, base_channels=32, stages=2)
    model.load_state_dict(load_file(real_data / f"weights/fashion_ae/conv{latent_dim}.safetensors"), strict=True)
    x = images(real_data, "x_test", 500)
    assert (model.field().reconstruct(x) - x).square().mean().item() == pytest.approx(error, rel=0.05)


@pytest.mark.real
@pytest.mark.parametrize("latent_dim", [2, 128])
def test_published_end_points_are_fixed(real_data: Path, latent_dim: int) -> None:
    folder = real_data / "weights/fashion_ae"
    model = ConvAutoencoder((1, 28, 28), latent_dim, base_channels=32, stages=2)
    model.load_state_dict(load_file(folder / f"conv{latent_dim}.safetensors"), strict=True)
    plain = load_file(folder / f"conv{latent_dim}_plain.safetensors")
    field = model.field().to(dtype=torch.float64)
    residual = field.velocity(plain["end"]).norm(dim=1) / plain["end"].norm(dim=1)
    assert residual.max() <= 1e-11
    moving = field.velocity(plain["start"]).norm(dim=1) / plain["start"].norm(dim=1)
    assert moving.median() > 1e-3


@pytest.mark.real
def test_published_dense_weights_memorize(real_data: Path) -> None:
    model = DenseAutoencoder((1, 28, 28), 64)
    model.load_state_dict(load_file(real_data / "weights/fashion_ae/fc.safetensors"), strict=True)
    trained, unseen = images(real_data, "x_train", 50), images(real_data, "x_test", 50)
    field = model.field()
    assert (field.reconstruct(trained) - trained).square().mean() < 1e-13
    assert 0.02 < (field.reconstruct(unseen) - unseen).square().mean() < 0.1
