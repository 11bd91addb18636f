"""Snapshots: a web of live objects as one JSON structure and named tensors, and back.

For the state of a computation that goes on later in another process. Only exact types are walked through, those of JSON, tensors, arrays
and the classes that the caller names; anything else is an error when it is packed, so that nothing is stored that could not be read.
What the other process has already (a model, its data) are *anchors*, stored by name. An object that is reached from two places is one
object afterwards as well. Tensors keep their strides, because kernels may round differently for others. What a
`functools.cached_property` holds is left out: it is computed again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

_PLAIN = (bool, int, float, str)
_STRUCTURE = "structure"


def packed(
    value: Any, anchors: Mapping[str, Any], kinds: Collection[type], *, identity: bool = True
) -> tuple[Any, dict[str, Tensor]]:
    """Return the JSON-ready structure of a value and the tensors in it, as bytes on the CPU, which share its memory where they can.

    Args:
        value: made of plain values, tensors, arrays, lists, tuples, dictionaries, and objects of the classes ``kinds``.
        anchors: objects that are stored by these names only.
        kinds: classes whose attributes are stored (of enumerations and named tuples: their members).
        identity: an object that is reached from two places is one object afterwards as well; without, it is two, and equal values give
            equal bytes.

    Raises:
        TypeError: something else is in it; the message says where.

    >>> numbers = torch.arange(3)
    >>> structure, tensors = packed({"a": numbers, "b": [numbers, 1.5]}, {}, ())
    >>> again = unpacked(structure, tensors, {}, ())
    >>> again["b"][1], again["a"] is again["b"][0], again["a"].tolist()
    (1.5, True, [0, 1, 2])
    """
    packer = _Packer(anchors, kinds, identity=identity)
    return packer.of(value, "state"), packer.tensors


def unpacked(structure: Any, tensors: Mapping[str, Tensor], anchors: Mapping[str, Any], kinds: Collection[type]) -> Any:
    """Inverse of :func:`packed`, with the anchors of this process.

    Raises:
        KeyError, ValueError: the structure was made of other classes or anchors.
    """
    return _Unpacker(tensors, anchors, kinds).of(structure)


def to_tensors(
    value: Any, anchors: Mapping[str, Any], kinds: Collection[type], *, identity: bool = True
) -> dict[str, Tensor]:
    """Return :func:`packed` as tensors alone, for one safetensors file, which holds no code."""
    structure, tensors = packed(value, anchors, kinds, identity=identity)
    words = np.frombuffer(bytearray(json.dumps(structure).encode()), dtype=np.uint8)
    return {**tensors, _STRUCTURE: torch.from_numpy(words)}


def from_tensors(tensors: dict[str, Tensor], anchors: Mapping[str, Any], kinds: Collection[type]) -> Any:
    """Inverse of :func:`to_tensors`.

    Raises:
        ValueError: these are no such tensors, or they were made of other classes or anchors.
    """
    try:
        structure = json.loads(tensors.pop(_STRUCTURE).numpy().tobytes())
        return unpacked(structure, tensors, anchors, kinds)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"no snapshot of this version ({type(error).__name__}: {error})") from error


def to_bytes(value: Any, kinds: Collection[type]) -> bytes:
    """Return a value as the bytes of a safetensors file, the same for equal values; no object in it is one with another.

    >>> content = to_bytes({"a": torch.arange(3)}, ())
    >>> from_bytes(content, ())["a"].tolist()
    [0, 1, 2]
    """
    content: bytes = save(to_tensors(value, {}, kinds, identity=False))
    return content


def from_bytes(content: bytes, kinds: Collection[type]) -> Any:
    """Inverse of :func:`to_bytes`.

    Raises:
        ValueError: these are no such bytes, or they were made of other classes.
    """
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise ValueError(f"no safetensors ({error})") from error
    return from_tensors(tensors, {}, kinds)


class _Packer:
    """One walk; objects are numbered in the order in which they are reached."""

    def __init__(self, anchors: Mapping[str, Any], kinds: Collection[type], *, identity: bool) -> None:
        self._identity = identity
        self._anchors = {id(value): name for name, value in anchors.items()}
        self._kinds = frozenset(kinds)
        self._seen: dict[
            int, tuple[int, Any]
        ] = {}  # the objects themselves as well: no identity is given away meanwhile
        self._memory: set[int] = set()
        self.tensors: dict[str, Tensor] = {}

    def of(self, value: Any, path: str) -> Any:
        kind = type(value)
        if value is None or kind in _PLAIN:
            return value
        if id(value) in self._anchors:
            return {"anchor": self._anchors[id(value)]}
        if self._identity and id(value) in self._seen:
            return {"again": self._seen[id(value)][0]}
        known = kind in self._kinds
        if known and issubclass(kind, Enum):
            return {"member": [kind.__name__, value.name]}
        if kind is tuple or (known and issubclass(kind, tuple)):
            return {"tuple": [None if kind is tuple else kind.__name__, self._all(enumerate(value), path)]}
        self._seen.setdefault(id(value), (len(self._seen), value))
        if isinstance(value, Tensor):
            return {"tensor": self._tensor(value)}
        if kind is np.ndarray:
            return {"array": self._tensor(torch.from_numpy(value))}
        if kind is list:
            return {"list": self._all(enumerate(value), path)}
        if kind is dict:
            return {"dict": [list(value), self._all(value.items(), path)]}
        if known:
            state = {name: part for name, part in vars(value).items() if not _is_cache(kind, name)}
            return {"object": [kind.__name__, list(state), self._all(state.items(), path)]}
        raise TypeError(
            f"{path} is a {kind.__name__}, which a snapshot does not know; name its class, or make it an anchor."
        )

    def _all(self, parts: Any, path: str) -> list[Any]:
        return [self.of(part, f"{path}.{name}") for name, part in parts]

    def _tensor(self, value: Tensor) -> list[Any]:
        """Store the bytes in the order in which they lie in memory, and return what it takes to read them."""
        tensor = value.detach().resolve_conj().resolve_neg()
        span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        if tensor.numel() and span != tensor.numel():  # a view with gaps
            tensor = tensor.contiguous()
        flat = tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8).cpu()
        memory = flat.untyped_storage()
        if memory.nbytes() != flat.numel() or memory.data_ptr() in self._memory:
            flat = flat.clone()  # safetensors takes no two tensors that share memory
        self._memory.add(flat.untyped_storage().data_ptr())
        name = str(len(self.tensors))
        self.tensors[name] = flat
        dtype = str(tensor.dtype).removeprefix("torch.")
        return [name, dtype, list(tensor.shape), list(tensor.stride()), str(tensor.device)]


class _Unpacker:
    """The same walk."""

    def __init__(self, tensors: Mapping[str, Tensor], anchors: Mapping[str, Any], kinds: Collection[type]) -> None:
        self._tensors, self._anchors = tensors, anchors
        self._kinds: dict[str, Any] = {kind.__name__: kind for kind in kinds}
        self._seen: list[Any] = []

    def of(self, structure: Any) -> Any:
        if not isinstance(structure, dict):
            return structure
        ((word, content),) = structure.items()
        if word == "anchor":
            return self._anchors[content]
        if word == "again":
            return self._seen[content]
        if word == "member":
            return self._kinds[content[0]][content[1]]
        if word == "tuple":
            items = map(self.of, content[1])
            return tuple(items) if content[0] is None else self._kinds[content[0]](*items)
        if word in ("tensor", "array"):
            tensor = self._tensor(*content)
            return self._new(tensor if word == "tensor" else tensor.numpy())
        if word == "list":
            items = self._new([])
            items += map(self.of, content)
            return items
        if word == "dict":
            made = self._new({})
            made.update(zip(content[0], map(self.of, content[1]), strict=True))
            return made
        if word != "object":
            raise ValueError(f"a {word!r} is no part of a snapshot")
        kind = self._kinds[content[0]]
        one = self._new(kind.__new__(kind))
        vars(one).update(zip(content[1], map(self.of, content[2]), strict=True))
        return one

    def _new(self, value: Any) -> Any:
        self._seen.append(value)
        return value

    def _tensor(self, name: str, dtype: str, shape: list[int], stride: list[int], device: str) -> Tensor:
        # In a file numbers are aligned to 8 bytes; kernels want more, and may round differently without it.
        flat = self._tensors[name].clone().view(getattr(torch, dtype))
        return flat.as_strided(shape, stride).to(device)


def _is_cache(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), cached_property)
