"""The registry: which family a spec belongs to, and that none is ever replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.models import FAMILIES, Family, LoadRequest, Registry
from separatrix.models._folders import ModelFolder


def never(request: LoadRequest) -> LatentField:
    raise AssertionError(request.spec)


HUB = Family(name="hub", form="hf:org/name", load=never, schemes=("hf",), suffixes=(".onnx",))
OTHER = Family(name="python", form="module:factory", load=never, schemes=("",), suffixes=(".py",))


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.register(HUB)
    made.register(OTHER)
    return made


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("hf:org/name", "hub"),
        ("hf:org/name.py", "hub"),
        ("folder/x.ONNX", "hub"),
        ("C:\\models\\x.onnx", "hub"),
        ("x.py", "python"),
        ("x.py:make", "python"),
        ("package.module:make", "python"),
    ],
)
def test_scheme_before_suffix_before_colon(registry: Registry, spec: str, name: str) -> None:
    assert registry.find(spec).name == name


@pytest.mark.parametrize("spec", ["model.h5", "model", ""])
def test_unknown_specs_list_the_forms(registry: Registry, spec: str) -> None:
    with pytest.raises(InputError, match="one of these forms: hf:org/name, module:factory"):
        registry.find(spec)


@pytest.mark.parametrize(
    ("family", "taken"),
    [
        (replace(HUB, schemes=("new",), suffixes=()), "family 'hub' is registered already"),
        (replace(HUB, name="new", suffixes=()), "scheme 'hf' belongs to the family 'hub'"),
        (replace(HUB, name="new", schemes=("new",)), "suffix '.onnx' belongs to the family 'hub'"),
    ],
)
def test_duplicates_are_refused_and_change_nothing(registry: Registry, family: Family, taken: str) -> None:
    with pytest.raises(InputError, match=taken):
        registry.register(family)
    assert list(registry) == [HUB, OTHER]
    with pytest.raises(InputError, match=r"No|does not say"):
        registry.find("new.xyz")


def test_options_are_checked_by_name_and_value() -> None:
    family = replace(HUB, options={"latent": "which tokens"})
    family.require_options({"latent": "mean"})
    with pytest.raises(InputError, match="has no option 'latnt'; did you mean latent"):
        family.require_options({"latnt": "mean"})
    with pytest.raises(InputError, match="'hub' has no option 'xyz'; it takes none"):
        HUB.require_options({"xyz": "1"})
    request = LoadRequest(spec="hf:a/b", options={"latent": "sum", "size": "-3", "length": "7"})
    with pytest.raises(InputError, match="option latent must be one of all, mean, not 'sum'"):
        request.choice("latent", "all", ("all", "mean"))
    with pytest.raises(InputError, match="option size must be a whole number, at least 1, not '-3'"):
        request.number("size", 4)
    assert request.number("length", 4) == 7
    assert request.number("depth", 4) == 4


def test_folders_belong_to_one_family(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of these forms"):
        registry.find(str(tmp_path))
    folders = replace(HUB, name="folders", schemes=(), suffixes=(), names=("preset",), takes_folders=True)
    registry.register(folders)
    assert registry.find(str(tmp_path)).name == "folders"
    assert registry.find("preset").name == "folders"
    with pytest.raises(InputError, match="Folders belong to the family 'folders'"):
        registry.register(replace(folders, name="more", names=()))
    with pytest.raises(InputError, match="name 'preset' belongs to the family 'folders'"):
        registry.register(replace(folders, name="more", takes_folders=False))


def test_a_folder_is_recognised_by_the_first_family_that_does(registry: Registry, tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path, "spec")
    with pytest.raises(InputError, match=r"holds no config\.json that names a model, which is none of the known kinds"):
        registry.recognise(folder)
    registry.register(replace(HUB, name="first", schemes=(), suffixes=(), recognises=lambda f: f.has("a.txt")))
    registry.register(replace(HUB, name="second", schemes=(), suffixes=(), recognises=lambda f: True))
    assert registry.recognise(folder).name == "second"
    (tmp_path / "a.txt").touch()
    assert registry.recognise(folder).name == "first"


def test_the_built_in_families_say_what_was_verified() -> None:
    assert [family.name for family in FAMILIES] == [
        "Python factory",
        "saved by separatrix",
        "program",
        "model folder",
        "diffusers",
        "ViTMAE",
        "vision encoder",
        "language model",
        "sparse autoencoder",
        "ONNX",
        "TAEF2",
        "VAElight",
        "Burgess VAE",
    ]
    assert all(len(family.verified) > 10 for family in FAMILIES)
