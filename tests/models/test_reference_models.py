"""The contract of every reference model: it is a field, it can be rebuilt, its weights have a fingerprint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from separatrix.models import (
    BurgessVAE,
    ConvAutoencoder,
    DenseAutoencoder,
    ReferenceAutoencoder,
    load_model,
    save_model,
)

FAMILY = {
    "conv": lambda: ConvAutoencoder((1, 28, 28), 5, base_channels=4),
    "conv-colour-odd": lambda: ConvAutoencoder((3, 15, 22), 3, base_channels=4, stages=2, final="identity"),
    "dense": lambda: DenseAutoencoder((1, 8, 8), 4, hidden=(32, 16), final="sigmoid", activation="tanh"),
    "burgess-32": lambda: BurgessVAE(),
    "burgess-64": lambda: BurgessVAE((1, 64, 64), 3),
}


@pytest.fixture(params=FAMILY.values(), ids=FAMILY)
def model(request: pytest.FixtureRequest) -> ReferenceAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made: ReferenceAutoencoder = request.param()
    return made


def starts(model: ReferenceAutoencoder) -> torch.Tensor:
    return torch.randn(6, model.latent_dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_double_precision_agrees_with_single(model: ReferenceAutoencoder) -> None:
    single, double = model.field(), model.field().to(dtype=torch.float64)
    z = starts(model)
    exact = double(z)
    assert exact.dtype == torch.float64
    assert exact.shape == z.shape
    assert torch.allclose(single(z.float()).double(), exact, atol=1e-4, rtol=1e-4)
    assert not torch.equal(single(z.float()).double(), exact)
    assert next(model.parameters()).dtype == torch.float32


def test_fingerprint_follows_the_weights(model: ReferenceAutoencoder) -> None:
    before = model.field().fingerprint
    assert before == model.field().fingerprint
    with torch.no_grad():
        list(model.decoder.parameters())[-1].add_(1e-3)
    assert model.field().fingerprint != before


def test_fingerprint_covers_encoder_and_decoder_once(model: ReferenceAutoencoder) -> None:
    assert model.field().modules == (model,)


def test_gradients_flow_and_match_differences(model: ReferenceAutoencoder) -> None:
    field = model.field().to(dtype=torch.float64)
    assert field.differentiable
    z = starts(model)[:2]
    direction = torch.ones_like(z)
    difference = (field(z + 1e-6 * direction) - field(z - 1e-6 * direction)) / 2e-6
    assert torch.allclose(field.jvp(z, direction), difference, atol=1e-7)
    dense = field.jacobian(z) @ direction.unsqueeze(-1)
    assert torch.allclose(dense.squeeze(-1), difference, atol=1e-7)


def test_config_is_json_and_rebuilds_the_architecture(model: ReferenceAutoencoder) -> None:
    again = type(model)(**json.loads(json.dumps(model.config)))
    assert again.config == model.config
    again.load_state_dict(model.state_dict(), strict=True)
    x = torch.rand(2, *model.image_shape)
    assert torch.equal(again(x), model(x))


def test_name_says_what_it_is(model: ReferenceAutoencoder) -> None:
    name = model.field().name
    assert type(model).__name__ in name
    assert name.endswith(f"→ {model.latent_dim}")
    assert model.field(name="mine").name == "mine"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_saving_and_reading_is_bit_equal(model: ReferenceAutoencoder, tmp_path: Path, dtype: torch.dtype) -> None:
    model.to(dtype)
    random_state = torch.get_rng_state()
    again = load_model(save_model(model, tmp_path / "model.safetensors"))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert type(again) is type(model)
    assert again.config == model.config
    assert again.field().fingerprint == model.field().fingerprint
    assert again.field().dtype == dtype
    assert all(p.requires_grad for p in again.parameters())
