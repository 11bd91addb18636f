"""Every family passes the contract of a latent field, from files written by its own library."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))
import tiny_models
from python_models import Autoencoder
from tiny_models import Tiny, halves, seeded

import separatrix as sx
from separatrix.field import LatentField
from separatrix.models import FAMILIES, BurgessVAE, DenseAutoencoder, load, save_model
from separatrix.models._adapter import adapter_of
from separatrix.models._distilled import DistilledAutoencoder
from separatrix.models._folders import find_folder
from separatrix.models._taef2 import TAEF2
from separatrix.models._vaelight import VAELight
from separatrix.testing import assert_is_latent_field

_REFERENCE = "reference autoencoder"  # says what the model is; who loads it may be a factory or a file

# What a factory makes is the user's own.
_KEPT_AS_WRITTEN = (
    "reference from Python", "latent_dist", "distribution", "tuple", "latents and sample", "logits", "self-map"
)  # fmt: skip


def _write_saved(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    model = seeded(lambda: DenseAutoencoder((1, 4, 4), 3, hidden=(8,)))
    return {"spec": str(save_model(model, folder / "model.safetensors"))}


def _write_burgess(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    path = folder / "vae.safetensors"
    save_file(seeded(BurgessVAE).state_dict(), path)
    return {"spec": "burgess/VAE_mnist", "weights": path}


def _distilled(spec: str, kind: type[DistilledAutoencoder]) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        folder.mkdir()
        model = seeded(lambda: kind((8, 16)))
        for name in ("encoder", "decoder"):
            save_file(getattr(model, name).state_dict(), folder / f"{name}.safetensors")
        return {"spec": spec, "weights": folder, "options": {"height": 8, "width": 16}}

    return write


MODELS = {
    **tiny_models.MODELS,
    "saved": Tiny(_write_saved, (3,), "DenseAutoencoder"),
    "reference from Python": Tiny(lambda _: {"spec": "separatrix.models:BurgessVAE"}, (10,), "BurgessVAE"),
    "Burgess": Tiny(_write_burgess, (10,), "BurgessVAE"),
    "TAEF2": Tiny(_distilled("taef2", TAEF2), (32, 1, 2), "TAEF2"),
    "VAElight": Tiny(_distilled("vaelight", VAELight), (4, 1, 2), "VAELight"),
}


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
    assert field.details["family"] in {_REFERENCE, *(family.name for family in FAMILIES)}
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_registered_family_is_tried_here(tmp_path: Path) -> None:
    """A family is counted where its loader is the one that a spec leads to, by its form or by what the folder holds."""
    tried = set()
    for number, model in enumerate(MODELS.values()):
        given = model.write(tmp_path / str(number))
        family = FAMILIES.find(given["spec"])
        tried.add(family.name)
        if family.takes_folders:
            tried.add(FAMILIES.recognise(find_folder(given["spec"])).name)
    assert tried == {family.name for family in FAMILIES}
    assert all(family.verified != "by its author" for family in FAMILIES)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", [name for name in MODELS if name not in _KEPT_AS_WRITTEN])
def test_what_separatrix_loads_is_in_eval_mode(name: str, fields: dict[str, LatentField]) -> None:
    assert not [part for module in fields[name].modules for part in module.modules() if part.training]


def test_a_module_of_the_users_own_keeps_its_mode() -> None:
    own = Autoencoder().train()
    LatentField(own.encode, own.decode, latent_shape=3)(torch.zeros(1, 3))
    assert all(part.training for part in own.modules())


@pytest.mark.real
@pytest.mark.parametrize("spec", ["taef2", "vaelight", "burgess/VAE_mnist"])
def test_published_weights_pass_the_contract(spec: str, real_data: Path) -> None:
    options = {} if spec.startswith("burgess") else {"height": 16, "width": 16}
    assert real_data.is_dir()  # load finds it by the variable
    assert_is_latent_field(load(spec, options=options))
