"""The Burgess VAE: its layers, its interleaved posterior, and the published weights on real digits."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from separatrix.errors import FileError, InputError
from separatrix.models import BurgessVAE, load_burgess_vae
from separatrix.models._weights import read_weights


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 64, 64), (3, 32, 32)])
def test_shapes_close(shape: tuple[int, int, int]) -> None:
    model = BurgessVAE(shape, latent_dim=4)
    x = torch.rand(2, *shape)
    assert model.encode(x).shape == (2, 4)
    assert model(x).shape == x.shape
    assert model(x[:0]).shape == (0, *shape)


def test_mean_and_log_variance_are_interleaved() -> None:
    model = BurgessVAE(latent_dim=3)
    with torch.no_grad():
        model.encoder.mu_logvar_gen.weight.zero_()
        model.encoder.mu_logvar_gen.bias.copy_(torch.arange(6.0))
    mean, log_variance = model.posterior(torch.rand(1, 1, 32, 32))
    assert mean.tolist() == [[0, 2, 4]]
    assert log_variance.tolist() == [[1, 3, 5]]
    assert model.encode(torch.rand(1, 1, 32, 32)).tolist() == [[0, 2, 4]]


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 32, 64), (32, 32)])
def test_other_image_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"32×32 or 64×64|image_shape must be"):
        BurgessVAE(shape)


@pytest.mark.parametrize(("shape", "latent_dim"), [((1, 32, 32), 10), ((3, 64, 64), 6)])
def test_sizes_are_read_off_the_file(tmp_path: Path, shape: tuple[int, int, int], latent_dim: int) -> None:
    model = BurgessVAE(shape, latent_dim)
    save_file(model.state_dict(), tmp_path / "vae.safetensors")
    again = load_burgess_vae(tmp_path / "vae.safetensors")
    assert again.config == model.config
    assert again.field().fingerprint == model.field().fingerprint


def test_another_architecture_is_one_sentence(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(FileError, match="does not hold a Burgess VAE"):
        load_burgess_vae(tmp_path / "other.safetensors")


# Mean squared error on the first 500 test digits as measured once; the variance of the pixels is 0.052.
@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "error"),
    [("VAE", 0.0067), ("betaH", 0.0093), ("betaB", 0.0255), ("btcvae", 0.0118), ("factor", 0.0076)],
)
def test_published_weights_reconstruct_digits(real_data: Path, name: str, error: float) -> None:
    with np.load(real_data / "data/mnist.npz") as arrays:
        digits = torch.from_numpy(arrays["x_test"][:500]).float().div(255).unsqueeze(1)
    x = interpolate(digits, size=(32, 32), mode="bilinear", align_corners=False)
    field = load_burgess_vae(real_data / f"weights/burgess_vae/{name}_mnist.safetensors").field()
    assert (field.reconstruct(x) - x).square().mean().item() == pytest.approx(error, rel=0.1)


# The 64-pixel models were trained on dSprites, which holds such squares; predicting black costs 0.048.
@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "error"),
    [("VAE", 7.8e-5), ("betaH", 5.2e-4), ("betaB", 5.2e-3), ("btcvae", 1.7e-3), ("factor", 1.3e-3)],
)
def test_published_weights_reconstruct_squares(real_data: Path, name: str, error: float) -> None:
    squares = torch.zeros(25, 1, 64, 64)
    for i, (top, left) in enumerate(itertools.product(range(12, 42, 6), repeat=2)):
        squares[i, 0, top : top + 14, left : left + 14] = 1
    model = load_burgess_vae(real_data / f"weights/burgess_vae/{name}_dsprites.safetensors")
    assert model.image_shape == (1, 64, 64)
    reconstructed = model.field().reconstruct(squares)
    assert (reconstructed - squares).square().mean().item() == pytest.approx(error, rel=0.1)


@pytest.mark.real
def test_the_pickled_original_holds_the_same_weights(real_data: Path) -> None:
    folder = real_data / "weights/burgess_vae"
    pickled, converted = read_weights(folder / "VAE_mnist.pt"), read_weights(folder / "VAE_mnist.safetensors")
    assert pickled.keys() == converted.keys()
    assert all(torch.equal(pickled[name], converted[name]) for name in converted)
