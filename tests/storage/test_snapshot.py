"""Snapshots give back what went in: values, strides, what is one object, and nothing that was not named."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from separatrix.storage._snapshot import packed, unpacked


class Colour(IntEnum):
    RED = 1


class Pair(NamedTuple):
    left: torch.Tensor | None
    right: int


@dataclass(frozen=True)
class Frozen:
    pair: Pair
    colour: Colour

    @cached_property
    def costly(self) -> list[int]:
        return [self.pair.right]


@dataclass
class Node:
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)


KINDS = (Colour, Pair, Frozen, Node)


def there_and_back(value: Any, tmp_path, anchors: dict[str, Any] | None = None) -> Any:
    structure, tensors = packed(value, anchors or {}, KINDS)
    save_file(tensors, tmp_path / "tensors")
    return unpacked(json.loads(json.dumps(structure)), load_file(tmp_path / "tensors"), anchors or {}, KINDS)


NUMBERS = torch.arange(24.0).reshape(2, 3, 4)
TENSORS = {
    "contiguous": NUMBERS,
    "transposed": NUMBERS.mT,
    "channels last": torch.arange(48.0).reshape(1, 3, 4, 4).contiguous(memory_format=torch.channels_last),
    "a row of a matrix": NUMBERS[1],
    "a column": NUMBERS[:, :, 1],
    "expanded": torch.ones(1).expand(3, 2),
    "a number": torch.tensor(math.pi, dtype=torch.float64),
    "nothing": torch.zeros(0, 7, dtype=torch.int64),
    "complex": torch.tensor([1 + 2j, complex(math.nan, -0.0)], dtype=torch.complex128),
    "conjugated": torch.tensor([1 + 2j, 3 - 1j]).conj(),
    "bool": torch.tensor([True, False]),
    "small integers": torch.tensor([255, 0], dtype=torch.uint8),
    "half": torch.tensor([0.1], dtype=torch.bfloat16),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_keep_bits_type_and_strides(name, tmp_path):
    tensor = TENSORS[name]
    (again,) = there_and_back([tensor], tmp_path)
    assert again.dtype == tensor.dtype
    assert again.shape == tensor.shape
    exact = [one.resolve_conj().to(torch.complex128).numpy() for one in (again, tensor)]
    assert np.array_equal(*exact, equal_nan=True)
    if name not in ("a column", "expanded"):  # a view with gaps has none afterwards
        assert again.stride() == tensor.stride()
    assert again.data_ptr() % 16 == 0


def test_what_is_one_object_stays_one(tmp_path):
    value, numbers = [1, 2], torch.zeros(3)
    again = there_and_back({"a": value, 2: (value, numbers), None: {"t": numbers, "view": numbers[:2]}}, tmp_path)
    assert again["a"] is again[2][0]
    assert again[2][1] is again[None]["t"]
    assert again[None]["view"].tolist() == [0, 0]
    assert list(again) == ["a", 2, None]


def test_a_circle_is_a_circle(tmp_path):
    root = Node()
    root.children = [Node(root), Node(root)]
    again = there_and_back(root, tmp_path)
    assert [child.parent is again for child in again.children] == [True, True]
    assert again.parent is None


def test_records_come_back_as_themselves_and_caches_do_not(tmp_path):
    frozen = Frozen(Pair(None, 3), Colour.RED)
    assert frozen.costly == [3]
    again = there_and_back(frozen, tmp_path)
    assert again == frozen
    assert type(again.pair) is Pair
    assert again.colour is Colour.RED
    assert "costly" not in vars(again)


def test_plain_values_and_arrays(tmp_path):
    value = [True, None, -0.0, math.inf, 0.1 + 0.2, 2**70, "é", (), [], {}]
    assert repr(there_and_back(value, tmp_path)) == repr(value)
    assert math.isnan(there_and_back(math.nan, tmp_path))
    array = np.asfortranarray(np.random.default_rng(0).normal(size=(4, 3)))
    (again,) = there_and_back([array], tmp_path)
    assert np.array_equal(again, array)
    assert again.strides == array.strides
    again[0] = 1  # it can be written to


def test_anchors_are_not_stored(tmp_path):
    class Model:
        pass

    model = Model()
    value = {"field": model, "again": [model]}
    assert there_and_back(value, tmp_path, {"field": model}) == value
    structure, _ = packed(model, {"field": model}, ())
    with pytest.raises(KeyError):
        unpacked(structure, {}, {}, ())


@pytest.mark.parametrize("stranger", [{1}, np.float64(1.0), lambda: None, object(), torch.float32, b"bytes"])
def test_the_unknown_is_an_error_that_says_where(stranger):
    with pytest.raises(TypeError, match=rf"state\.a\.1 is a {type(stranger).__name__}, which a snapshot does not know"):
        packed({"a": [0, stranger]}, {}, KINDS)


def test_a_structure_of_something_else_is_refused():
    with pytest.raises(ValueError, match="no part of a snapshot"):
        unpacked({"pickle": "x"}, {}, {}, ())
    structure, tensors = packed(Node(), {}, KINDS)
    with pytest.raises(KeyError):
        unpacked(structure, tensors, {}, ())
