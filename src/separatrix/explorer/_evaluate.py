"""The list of operations of a page, run in Python: what a page must be equal to, and what is compared with the model before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from separatrix.explorer._lowering import Graph

_UNARY: Mapping[str, Any] = {
    "leaky_relu": lambda x, slope: functional.leaky_relu(x, slope),
    "elu": lambda x, a, scale, inner: torch.where(x > 0, x, a * torch.expm1(x * inner)) * scale,
    "clamp": lambda x, low, high: x.clamp(low, high),
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
}
_BINARY: Mapping[str, Any] = {
    "max": torch.maximum, "min": torch.minimum, "pow": torch.pow, "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
    "gt": torch.gt, "lt": torch.lt, "ge": torch.ge, "le": torch.le, "eq": torch.eq,
}  # fmt: skip


def evaluated(graph: Graph, row: Tensor) -> Tensor:
    """Run a graph on one row ``(…)`` of float32; returns ``(*graph.output_shape)``."""
    values: dict[int, Tensor] = {0: row.detach().to("cpu", torch.float32).reshape(-1)}
    for op in graph.ops:
        inputs = [values[one] if isinstance(one, int) else graph.constants[one] for one in op["in"]]
        values[op["out"]] = (
            _OPERATIONS[op["op"]](graph, op, *inputs).reshape(-1).to(torch.float32, copy=True).contiguous()
        )
    return values[graph.output].reshape(graph.output_shape)


def _strided(_: Graph, op: Mapping[str, Any], x: Tensor) -> Tensor:
    places = torch.tensor(op["offset"])
    for size, stride in zip(op["shape"], op["strides"], strict=True):  # which may go backwards
        places = places[..., None] + torch.arange(size) * stride
    return x[places]


def _take(graph: Graph, op: Mapping[str, Any], x: Tensor) -> Tensor:
    table = graph.constants[op["table"]].to(torch.int64).reshape(-1)
    return torch.where(table >= 0, x[table.clamp_min(0)], op["fill"])


def _unary(_: Graph, op: Mapping[str, Any], x: Tensor) -> Tensor:
    made: Tensor = (_UNARY.get(op["fn"]) or getattr(torch, op["fn"]))(x, *op["p"])
    return made


def _arrays(op: Mapping[str, Any], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    return [x.reshape(-1).as_strided(op["shape"], s) for x, s in zip(inputs, op["strides"], strict=True)]


def _binary(_: Graph, op: Mapping[str, Any], *inputs: Tensor) -> Tensor:
    made: Tensor = _BINARY[op["fn"]](*_arrays(op, inputs))
    return made


def _where(_: Graph, op: Mapping[str, Any], *inputs: Tensor) -> Tensor:
    condition, a, b = _arrays(op, inputs)
    return torch.where(condition != 0, a, b)


def _linear(_: Graph, op: Mapping[str, Any], x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    return functional.linear(x.reshape(op["rows"], op["k"]), w, b)


def _matmul(_: Graph, op: Mapping[str, Any], a: Tensor, b: Tensor) -> Tensor:
    return a.reshape(op["batch"], op["m"], op["k"]) @ b.reshape(op["batch"], op["k"], op["n"])


def _conv(_: Graph, op: Mapping[str, Any], x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    image = x.reshape(1, *op["x"])
    return functional.conv2d(image, w, b, op["stride"], op["padding"], op["dilation"], op["groups"])


def _convt(_: Graph, op: Mapping[str, Any], x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    image, size = (
        x.reshape(1, *op["x"]),
        zip(op["x"][1:], op["y"][1:], op["stride"], op["padding"], op["dilation"], op["kernel"], strict=True),
    )
    more = [y - ((n - 1) * s - 2 * p + d * (k - 1) + 1) for n, y, s, p, d, k in size]
    return functional.conv_transpose2d(image, w, b, op["stride"], op["padding"], more, op["groups"], op["dilation"])


def _scaled(op: Mapping[str, Any], x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return x.reshape(-1, op["channels"], op["inner"]) * scale[:, None] + shift[:, None]


def _normalize(_: Graph, op: Mapping[str, Any], x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    rows = x.reshape(op["rows"], op["cols"])
    spread = (rows.var(dim=1, correction=0, keepdim=True) + op["eps"]).sqrt()
    return _scaled(op, (rows - rows.mean(dim=1, keepdim=True)) / spread, scale, shift)


def _reduce(_: Graph, op: Mapping[str, Any], x: Tensor) -> Tensor:
    rows = x.reshape(op["rows"], op["cols"])
    return rows.amax(dim=1) if op["fn"] == "max" else rows.mean(dim=1) if op["fn"] == "mean" else rows.sum(dim=1)


def _cat(_: Graph, op: Mapping[str, Any], *parts: Tensor) -> Tensor:
    return torch.cat([part.reshape(op["outer"], chunk) for part, chunk in zip(parts, op["chunks"], strict=True)], dim=1)


def _separable(_: Graph, op: Mapping[str, Any], x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return rows @ x.reshape(op["planes"], *op["x"]) @ columns.T


def _maxpool(_: Graph, op: Mapping[str, Any], x: Tensor) -> Tensor:
    image = x.reshape(1, op["planes"], *op["x"])
    (h, w), ceil = op["y"], True  # the larger of the two sizes, cut to the one that is meant
    pooled: Tensor = functional.max_pool2d(image, op["kernel"], op["stride"], op["padding"], op["dilation"], ceil)
    return pooled[:, :, :h, :w]


_OPERATIONS: Mapping[str, Any] = {
    "strided": _strided, "take": _take, "unary": _unary, "binary": _binary, "where": _where, "linear": _linear, "matmul": _matmul,
    "conv": _conv, "convt": _convt, "normalize": _normalize, "reduce": _reduce, "cat": _cat, "separable": _separable, "maxpool": _maxpool,
    "affine": lambda _, op, x, scale, shift: _scaled(op, x, scale, shift),
    "softmax": lambda _, op, x: x.reshape(op["rows"], op["cols"]).softmax(dim=1),
}  # fmt: skip
