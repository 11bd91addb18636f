"""Every family passes the contract of a latent field, from files written by its own library."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from python_models import Autoencoder
from tiny_models import MODELS, halves

import separatrix as sx
from separatrix.field import LatentField
from separatrix.models import FAMILIES, load
from separatrix.models.adapter import adapter_of
from separatrix.testing import assert_is_latent_field


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LatentField]:
    """Each is loaded once, when it is first asked for."""

    class Loaded(dict[str, LatentField]):
        def __missing__(self, name: str) -> LatentField:
            folder = tmp_path_factory.mktemp("model") / "files"
            self[name] = load(**MODELS[name].write(folder))
            return self[name]

    return Loaded()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", MODELS)
def test_the_contract(name: str, fields: dict[str, LatentField]) -> None:
    field = fields[name]
    assert field.latent_shape == MODELS[name].latent_shape
    assert_is_latent_field(field)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].class_name])
def test_what_was_decided_is_recorded(name: str, fields: dict[str, LatentField]) -> None:
    field = fields[name]
    assert field.details["class"] == MODELS[name].class_name
    assert field.details["family"] in {family.name for family in FAMILIES}
    assert field.fingerprint is not None
    assert json.loads(json.dumps(field.describe()))["details"]["class"] == MODELS[name].class_name
    if adapter_of(field) is not None and field.details["family"] != "ONNX":
        assert field.to(dtype=torch.float64).details == field.details


def test_an_onnx_pair_is_searched_without_gradients(fields: dict[str, LatentField]) -> None:
    """The same attractor as of the network it was exported from; no float64 copy, and no error because of it."""
    encoder, decoder = halves()
    starts = sx.starts.gaussian(30, seed=0)
    found = sx.find_attractors(fields["ONNX"], starts)
    expected = sx.find_attractors(LatentField(encoder, decoder, latent_shape=3), starts)
    assert len(found.attractors) == len(expected.attractors) == 1
    assert bool((found.labels == 0).all())
    assert torch.allclose(found.attractors.points.double(), expected.attractors.points.double(), atol=1e-4)
    for column in ("spectral_radius", "spectral_norm"):
        measured, exact = getattr(found.attractors, column), getattr(expected.attractors, column)
        assert float(measured) == pytest.approx(float(exact), rel=1e-2)


def test_the_halves_are_the_same_function_in_every_form(fields: dict[str, LatentField]) -> None:
    """One network behind ONNX, TorchScript, .pt2, pickle and the records of libraries: one map."""
    encoder, decoder = halves()
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    expected = encoder(decoder(z)).detach()
    for name in ("ONNX", "ONNX external", "TorchScript", "pt2", "pickled module"):
        assert torch.allclose(fields[name](z), expected, atol=1e-6), name
    model = Autoencoder()
    expected = model.encode(model.decode(z)).detach()
    for name in ("latent_dist", "distribution", "tuple", "latents and sample", "logits"):
        assert torch.equal(fields[name](z), expected), name
    assert torch.equal(fields["self-map"](z[:, :2]), torch.tanh(2 * z[:, :2]))
