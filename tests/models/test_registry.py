"""The registry: which family a spec belongs to, and that none is ever replaced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.models import FAMILIES, Family, LoadRequest, Registry


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


def test_the_built_in_families() -> None:
    assert [family.name for family in FAMILIES] == ["Python factory", "saved by separatrix", "weights alone"]
