"""Saved models: complete or absent on disk, and a stranger's file can only name reference models."""

from __future__ import annotations

import json
import os
import stat
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from separatrix.errors import FileError, InputError
from separatrix.models import DenseAutoencoder, load, load_model, save_model
from separatrix.models import _checkpoint as module_under_test


@pytest.fixture
def model() -> DenseAutoencoder:
    return DenseAutoencoder((1, 4, 4), 2, hidden=(8,))


def forged(path: Path, model: DenseAutoencoder, **header: Any) -> Path:
    good = {
        "separatrix": "0",
        "factory": "separatrix.models:DenseAutoencoder",
        "config": json.dumps(model.config),
    }
    values = {name: value for name, value in {**good, **header}.items() if value is not None}
    save_file(model.state_dict(), path, metadata=values)
    return path


def test_the_header_says_how_to_build_it(model: DenseAutoencoder, tmp_path: Path) -> None:
    path = save_model(model, tmp_path / "m.safetensors")
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert header["separatrix"] == metadata.version("separatrix")
    assert header["factory"] == "separatrix.models:DenseAutoencoder"
    assert json.loads(header["config"]) == model.config


def test_load_gives_the_same_field(model: DenseAutoencoder, tmp_path: Path) -> None:
    path = save_model(model, tmp_path / "m.safetensors")
    field = load(path)
    z = torch.randn(5, 2)
    assert torch.equal(field(z), model.field()(z))
    assert field.latent_shape == (2,)
    assert load(str(path), latent_shape=2, dtype=torch.float64).dtype == torch.float64


def test_it_replaces_whole_files_with_ordinary_permissions(model: DenseAutoencoder, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")
    save_model(model, path)
    assert os.listdir(tmp_path) == ["m.safetensors"]
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    load_model(path)


def test_a_full_disk_leaves_the_old_file(
    model: DenseAutoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module_under_test.os, "fsync", full)
    with pytest.raises(FileError, match=r"cannot be written \(No space left on device\)"):
        save_model(model, path)
    assert os.listdir(tmp_path) == ["m.safetensors"]
    assert path.read_bytes() == b"old"


def test_places_that_cannot_be_written(model: DenseAutoencoder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.safetensors").mkdir()
    for path in ("absent/m.safetensors", "file/m.safetensors", "folder.safetensors"):
        with pytest.raises(FileError, match="cannot be written"):
            save_model(model, tmp_path / path)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.safetensors"]


def test_what_cannot_be_saved(model: DenseAutoencoder, tmp_path: Path) -> None:
    class Mine(DenseAutoencoder):
        pass

    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        save_model(model, tmp_path / "m.pt")
    for other in (nn.Linear(2, 2), Mine((1, 4, 4), 2)):
        with pytest.raises(InputError, match=r"reference models .* save your own"):
            save_model(other, tmp_path / "m.safetensors")  # type: ignore[arg-type]
    with torch.no_grad():
        model.decoder[0].bias[1] = torch.nan
    with pytest.raises(InputError, match=r"has NaN in decoder\.0\.bias"):
        save_model(model, tmp_path / "m.safetensors")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ({"factory": None}, "does not say of which model"),
        ({"factory": "os:system"}, "names the factory 'os:system'.* into your own factory"),
        ({"factory": "separatrix.models:save_model"}, "may only name the reference models"),
        ({"factory": "separatrix.models._autoencoders:nn.Linear"}, "may only name the reference models"),
        ({"config": "{"}, "The config in .* is damaged, edited or of another kind"),
        ({"config": "[1]"}, "Expected object, got array"),
        ({"config": "[" * 100_000}, "The config in .* is damaged, edited or of another kind"),
        ({"config": '{"image_shape": [1, 4, 4], "latent_dim": 0}'}, "latent_dim must be"),
        ({"config": '{"image_shape": [1, 4, 4], "latent_dim": 2, "device": "cuda"}'}, "device"),
        ({"config": '{"image_shape": [1, 4, 4], "latent_dim": 3, "hidden": [8]}'}, "has shape .* expected"),
        # A petabyte, which must not be allocated before it is compared with the file.
        (
            {"config": '{"image_shape": [1, 4, 4], "latent_dim": 2, "hidden": [16000000, 16000000]}'},
            "does not fit",
        ),
        ({"config": '{"image_shape": [1, 4, 4], "latent_dim": 9999999999999999999999}'}, "latent_dim: expected int <="),
    ],
)
def test_forged_headers_are_refused(
    model: DenseAutoencoder, tmp_path: Path, header: dict[str, Any], sentence: str
) -> None:
    path = forged(tmp_path / "forged.safetensors", model, **header)
    with pytest.raises(FileError, match=sentence):
        load(path)


def test_an_unforged_header_is_accepted(model: DenseAutoencoder, tmp_path: Path) -> None:
    assert load(forged(tmp_path / "fine.safetensors", model)).latent_dim == 2


def test_options_that_contradict_the_file(model: DenseAutoencoder, tmp_path: Path) -> None:
    path = save_model(model, tmp_path / "m.safetensors")
    with pytest.raises(InputError, match="holds its own weights"):
        load(path, weights=path)
    with pytest.raises(InputError, match=r"latents of shape \(2,\), not \(3,\)"):
        load(path, latent_shape=(3,))
