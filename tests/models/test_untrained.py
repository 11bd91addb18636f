"""An untrained copy: new weights of the layers' own law, the original as it was, the same seed the same copy."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import separatrix as sx
from separatrix.errors import InputError
from separatrix.models import ConvAutoencoder
from separatrix.models._untrained import untrained_copy
from separatrix.testing import assert_is_latent_field


def trained() -> ConvAutoencoder:
    """Weights that no initialisation makes: all equal to 0.3."""
    model = ConvAutoencoder((1, 8, 8), 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.3)
    return model.eval()


def test_weights_follow_the_layers_own_law_and_the_original_keeps_its_own():
    model = trained()
    field = model.field()
    before, state = field.fingerprint, torch.get_rng_state()
    copy = untrained_copy(field, seed=1)
    assert_is_latent_field(copy)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(bool((parameter == 0.3).all()) for parameter in model.parameters())
    assert model.field().fingerprint == before
    (twin,) = {id(module): module for module in copy.modules}.values()
    linear = next(part for part in twin.modules() if isinstance(part, nn.Linear) and part.out_features == 4)
    bound = 1 / math.sqrt(linear.in_features)  # torch's law: uniform within ±1/√(fan in)
    assert 0.9 * bound < float(linear.weight.abs().max()) <= bound
    assert float(linear.weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_seeds_decide():
    field = trained().field()
    z = torch.ones(2, 4)
    assert torch.equal(untrained_copy(field, seed=3)(z), untrained_copy(field, seed=3)(z))
    assert not torch.equal(untrained_copy(field, seed=3)(z), untrained_copy(field, seed=4)(z))


def test_running_statistics_are_reset_and_bare_parameters_are_shuffled():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)
            self.scale = nn.Parameter(torch.arange(300.0))
            self.register_buffer("constant", torch.tensor(7.0))

        def encode(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(x) * self.scale[:3] + self.constant

        def decode(self, z: torch.Tensor) -> torch.Tensor:
            return z

    model = Model()
    model.norm.running_mean.fill_(5.0)
    model.norm.running_var.fill_(4.0)
    copy = untrained_copy(sx.LatentField(model.encode, model.decode, latent_shape=3))
    (twin,) = {id(module): module for module in copy.modules}.values()
    assert torch.equal(twin.norm.running_mean, torch.zeros(3))
    assert torch.equal(twin.scale.sort().values, model.scale)
    assert not torch.equal(twin.scale, model.scale)
    assert float(twin.constant) == 7.0
    assert torch.equal(model.norm.running_mean, torch.full((3,), 5.0))


def test_a_plain_function_has_nothing_to_initialise():
    field = sx.LatentField.from_map(torch.tanh, latent_shape=2, name="plain")
    with pytest.raises(InputError, match="plain has no parameters"):
        untrained_copy(field)


@pytest.mark.real
def test_real_models_lose_what_they_learnt(real_data):
    field = sx.load("burgess/betaH_mnist", weights=real_data / "weights/burgess_vae/betaH_mnist.safetensors")
    z = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    # Trained, f keeps most of the spread of its starts; at initialisation it contracts them to nearly a point.
    assert float(field(z).std(dim=0).mean()) > 0.2
    assert float(untrained_copy(field)(z).std(dim=0).mean()) < 0.02
