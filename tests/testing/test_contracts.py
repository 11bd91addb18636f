"""The contract accepts good fields of several kinds, and names the broken clause of each bad one."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from separatrix.field import LatentField
from separatrix.testing import assert_is_latent_field, assert_model_untouched
from separatrix.testing._contracts import (
    assert_derivatives_agree,
    assert_is_batch_independent,
    assert_is_deterministic,
    assert_is_good_guest,
)
from separatrix.testing.oracles import CATALOGUE


def seeded(build):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def dense_pair(dtype=torch.float32) -> tuple[nn.Module, nn.Module]:
    def build():
        encoder = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
        decoder = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Linear(16, 6))
        return encoder.to(dtype), decoder.to(dtype)

    return seeded(build)


def conv_pair() -> tuple[nn.Module, nn.Module]:
    def build():
        encoder = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
        decoder = nn.Sequential(
            nn.ConvTranspose2d(2, 4, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)
        )
        return encoder, decoder

    return seeded(build)


@pytest.mark.parametrize("mode", ["train", "eval", "mixed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dense_networks_pass(mode, dtype):
    encoder, decoder = dense_pair(dtype)
    encoder.train(mode == "train")
    decoder.train(mode != "eval")
    if mode == "mixed":
        encoder[2].train()
    assert_is_latent_field(LatentField(encoder, decoder, latent_shape=(3,)))


def test_convolutions_with_image_shaped_latents_pass():
    assert_is_latent_field(LatentField(*conv_pair(), latent_shape=(2, 4, 4)))


def test_methods_and_lambdas_pass():
    encoder, decoder = dense_pair()
    field = LatentField(lambda x: encoder(x.flatten(1)), lambda z: decoder(z).reshape(-1, 2, 3), latent_shape=3)
    assert field.modules == (encoder, decoder)
    assert_is_latent_field(field)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_oracle_passes(name):
    oracle = CATALOGUE[name]()
    # At its starts and not at N(0, I): the superattracting Newton map has a pole at 0.
    assert_is_latent_field(oracle.field, oracle.starts[:4])


def test_a_map_without_gradients_passes():
    """Its derivatives are differences, which are one derivative too."""
    weight = seeded(lambda: torch.randn(3, 3, dtype=torch.float64)) / 3
    field = LatentField.from_map(
        lambda z: torch.from_numpy(np.tanh(z.detach().numpy() @ weight.numpy())), 3, dtype=torch.float64
    )
    assert not field.differentiable
    assert_is_latent_field(field)


class Bad(nn.Module):
    """A self-map of R³ with one fault, chosen by name."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.linear = seeded(lambda: nn.Linear(3, 3))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, z: Tensor) -> Tensor:
        y = torch.tanh(self.linear(z))
        match self.fault:
            case "shape":
                return y[:, :2]
            case "dtype":
                return y.double()
            case "nan":
                return y / 0 * 0
            case "random":
                return y + 1e-3 * torch.randn_like(y)
            case "batch":
                return y - y.mean(dim=0)
            case "first row":
                return y + 1e-3 * z[:1]
            case "buffer":
                self.calls += 1
                return y
            case "train":
                self.train()
                return y
            case "hook":
                self.linear.register_forward_hook(lambda *_: None)
                return y
            case "numpy":
                np.random.rand()  # noqa: NPY002 — the global state is the point
                return y
            case "python":
                random.random()
                return y
            case "grad mode":
                torch.set_grad_enabled(True)
                return y
            case "requires grad":
                self.linear.weight.requires_grad_(False)
                return y
            case "weights":
                self.linear.weight.data.mul_(1.0000002)
                return y
            case "partly detached":
                return y + torch.tanh(y.detach())
            case "detached here and there":
                return y + torch.where(z[:, :1] < -0.8, torch.tanh(y.detach()), torch.tanh(y))
            case "swallows":
                try:
                    return torch.tanh(self.linear(z))
                except Exception:
                    return z
        raise ValueError(self.fault)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("shape", "shape"),
        ("dtype", "dtype"),
        ("nan", "NaN"),
        ("random", "dropout, sampling or masking"),
        ("batch", "other latents in its batch"),
        ("first row", "other latents in its batch"),
        ("buffer", "calls of the model"),
        ("train", "training flag"),
        ("hook", "_forward_hooks of linear"),
        ("numpy", "NumPy's random state"),
        ("python", "Python's random state"),
        ("requires grad", "requires_grad of weight of linear"),
        ("weights", "weight of linear"),
        ("detached here and there", "not the derivative"),
        ("swallows", "swallowed"),
    ],
)
def test_each_fault_is_named(fault, sentence):
    bad = Bad(fault)
    bad.eval()
    with pytest.raises(AssertionError, match=sentence):
        assert_is_latent_field(LatentField.from_map(bad, latent_shape=3, dtype=torch.float32))


def test_a_partly_detached_model_is_differentiated_by_differences():
    """Which is no fault: the field notices that autograd's derivative is not that of the map."""
    field = LatentField.from_map(Bad("partly detached").eval(), latent_shape=3, dtype=torch.float32)
    assert not field.differentiable
    assert_is_latent_field(field)


def test_tiny_faults_are_found_by_the_single_checks():
    z = seeded(lambda: torch.randn(4, 3, dtype=torch.float64))
    coupled = LatentField.from_map(lambda z: z / 2 + 1e-11 * z.mean(dim=0), 3, dtype=torch.float64)
    with pytest.raises(AssertionError, match="batch"):
        assert_is_batch_independent(coupled, z)
    noisy = LatentField.from_map(lambda z: z + 1e-15 * torch.rand_like(z), 3, dtype=torch.float64)
    with pytest.raises(AssertionError, match="same latents"):
        assert_is_deterministic(noisy, z)
    detached = LatentField.from_map(lambda z: z + 1e-4 * torch.sin(z.detach()), 3, dtype=torch.float64)
    with pytest.raises(AssertionError, match="derivative"):
        assert_derivatives_agree(detached, z)


def test_a_kink_is_not_a_wrong_derivative():
    field = LatentField.from_map(lambda z: torch.relu(z) - 0.3 * torch.relu(z - 1e-7), 3, dtype=torch.float64)
    assert_derivatives_agree(field, torch.full((2, 3), 1e-6, dtype=torch.float64))


class _Leaky(LatentField):
    """A field whose guest context forgets to restore, on success or on failure."""

    def __init__(self, *args, on_failure_only: bool, **options) -> None:
        self.on_failure_only = on_failure_only
        super().__init__(*args, **options)

    def __call__(self, z: Tensor) -> Tensor:
        was = self.modules[0].training
        self.modules[0].eval()
        with torch.no_grad():
            if not self.on_failure_only:
                return self.bare(z)
            image = self.bare(z)  # an error in here skips the next line
        self.modules[0].train(was)
        return image


@pytest.mark.parametrize("on_failure_only", [False, True])
def test_a_leaking_guest_is_caught(on_failure_only):
    encoder, decoder = dense_pair()
    encoder.train()
    field = _Leaky(encoder, decoder, latent_shape=(3,), on_failure_only=on_failure_only)
    with pytest.raises(AssertionError, match="training flag"):
        assert_is_good_guest(field, torch.ones(2, 3)) if on_failure_only else assert_is_latent_field(field)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net[0].weight.data.mul_(1.0000002),
        lambda net: net[0].weight.requires_grad_(False),
        lambda net: setattr(net[0].weight, "grad", torch.zeros_like(net[0].weight)),
        lambda net: net[2].eval(),
        lambda net: net[0].register_forward_pre_hook(lambda *_: None),
        lambda _: torch.rand(1),
        lambda _: random.random(),
        lambda _: np.random.rand(),  # noqa: NPY002
    ],
)
def test_untouched_sees_every_change(change):
    encoder, decoder = dense_pair()
    encoder.train()
    field = LatentField(encoder, decoder, latent_shape=(3,))
    with pytest.raises(AssertionError, match="has changed"), assert_model_untouched(field):
        change(encoder)
    with assert_model_untouched(field):
        field(torch.ones(2, 3))


def test_the_check_itself_leaves_nothing_behind():
    encoder, decoder = dense_pair()
    encoder.train()
    field = LatentField(encoder, decoder, latent_shape=(3,))
    with assert_model_untouched(field):
        assert_is_latent_field(field)
    assert encoder.training
    assert all(part.training for part in encoder)
