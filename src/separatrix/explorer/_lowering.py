"""The list of operations of a page while it is written: values, constants, and what only moves numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from separatrix.errors import InputError


class NotExportable(InputError):
    """The model cannot be written as a list of operations; a page shows what was computed before, instead."""


@dataclass(frozen=True)
class Graph:
    """One half of a model, for one row.

    Attributes:
        ops: in the order in which they are run. ``in`` are numbers of values, or names of constants; ``out`` is the number of the value that is made.
        sizes: how many numbers each value has; value 0 is the input.
        output: the number of the value that is the answer.
        output_shape: its shape, without the row.
        constants: weights and tables, by name; float32 or int32.
    """

    ops: tuple[Mapping[str, Any], ...]
    sizes: tuple[int, ...]
    output: int
    output_shape: tuple[int, ...]
    constants: Mapping[str, Tensor]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the constants."""
        return {
            "ops": [dict(op) for op in self.ops],
            "sizes": list(self.sizes),
            "output": self.output,
            "shape": list(self.output_shape),
        }


@dataclass(frozen=True)
class Value:
    """A row-major array that is known only when the list is run: its number, and the shape in which it is read."""

    number: int
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """The count of its numbers."""
        return math.prod(self.shape)

    @property
    def places(self) -> Tensor:
        """The place of each of its numbers: what a pure rearrangement does to these, it does to the values."""
        return torch.arange(self.numel).reshape(self.shape)


@dataclass
class Lowering:
    """The list while it is written."""

    prefix: str
    shape: tuple[int, ...]
    ops: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.input = self.value(self.shape)

    def value(self, shape: Sequence[int]) -> Value:
        """A new value."""
        self.sizes.append(math.prod(shape))
        return Value(len(self.sizes) - 1, tuple(shape))

    def constant(self, tensor: Tensor) -> str:
        """The name under which a tensor is stored; the same numbers are stored once."""
        kind = torch.float32 if tensor.is_floating_point() or tensor.dtype == torch.bool else torch.int32
        flat = tensor.detach().cpu().to(kind).contiguous()
        for name, other in self.constants.items():
            if other.dtype == kind and other.shape == flat.shape and torch.equal(other, flat):
                return name
        name = f"{self.prefix}{len(self.constants)}"
        self.constants[name] = flat.clone()
        return name

    def emit(self, op: str, inputs: Sequence[Value | Tensor], made: Sequence[int], /, **attributes: Any) -> Value:
        """Write one operation down."""
        out = self.value(made)
        names = [one.number if isinstance(one, Value) else self.constant(one) for one in inputs]
        self.ops.append({"op": op, "in": names, "out": out.number, **attributes})
        return out

    def rearranged(self, value: Value, places: Tensor) -> Value:
        """The numbers of a value in another order: for nothing if the order is the same, by strides if it has some, else by a table."""
        if places.numel() == value.numel and torch.equal(places.reshape(-1), torch.arange(value.numel)):
            return Value(value.number, tuple(places.shape))
        strides = [
            int(places.select(axis, 1).reshape(-1)[0] - places.reshape(-1)[0]) if size > 1 else 0
            for axis, size in enumerate(places.shape)
        ]
        offset = int(places.reshape(-1)[0])
        regular = torch.full(places.shape, offset)
        for axis, (size, stride) in enumerate(zip(places.shape, strides, strict=True)):
            regular = regular + (torch.arange(size) * stride).reshape(
                [-1 if i == axis else 1 for i in range(places.ndim)]
            )
        if torch.equal(regular, places):
            shape, steps = _merged(places.shape, strides)
            return self.emit("strided", [value], places.shape, shape=shape, strides=steps, offset=offset)
        return self.emit("take", [value], places.shape, table=self.constant(places), fill=0.0)

    def graph(self, answer: Value) -> Graph:
        """The finished list."""
        return Graph(tuple(self.ops), tuple(self.sizes), answer.number, answer.shape[1:], self.constants)


def _merged(shape: Sequence[int], strides: Sequence[int]) -> tuple[list[int], list[int]]:
    """The same walk in as few axes as possible."""
    sizes, steps = [1], [0]
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if sizes[-1] > 1 and steps[-1] == stride * size:
            sizes[-1], steps[-1] = sizes[-1] * size, stride
        elif sizes[-1] == 1:
            sizes[-1], steps[-1] = size, stride
        else:
            sizes.append(size)
            steps.append(stride)
    return sizes, steps
