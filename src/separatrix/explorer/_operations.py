"""Every operation of an exported model has a way to be written down (see `separatrix.explorer._lowering`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from separatrix.explorer._lowering import Lowering, NotExportable, Value

REARRANGEMENTS = frozenset(
    {
        "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "squeeze", "unsqueeze", "expand", "select", "slice",
        "clone", "alias", "detach", "_to_copy", "lift_fresh_copy", "split", "split_with_sizes", "unbind", "flip", "roll",
        "index", "index_select", "repeat", "pixel_shuffle", "pixel_unshuffle",
    }
)  # fmt: skip
"""What only moves numbers; what it does to their places says all about it."""

Operand = Value | Tensor | float
_TOLERANCE = 1e-5  # of a resampling that is taken apart into one of rows and one of columns


def _unary(name: str, *defaults: float) -> Callable[..., Value]:
    def write(low: Lowering, x: Value, *args: Any, **kwargs: Any) -> Value:
        given = [*args, *kwargs.values()]
        numbers = [
            float(given[i]) if i < len(given) and given[i] is not None else default
            for i, default in enumerate(defaults)
        ]
        return low.emit("unary", [x], x.shape, fn=name, p=numbers)

    return write


def _binary(name: str) -> Callable[..., Value]:
    def write(low: Lowering, a: Operand, b: Operand, *, alpha: float = 1.0, **_: Any) -> Value:
        if alpha != 1:
            b = OPERATIONS["mul"](low, b, alpha)
        return _broadcast(low, "binary", [a, b], fn=name)

    return write


def _broadcast(low: Lowering, op: str, operands: Sequence[Operand], **attributes: Any) -> Value:
    """An operation on arrays of which each is read by its own strides in the common shape."""
    arrays = [one if isinstance(one, (Value, Tensor)) else torch.tensor(float(one)) for one in operands]
    shape = torch.broadcast_shapes(*(tuple(one.shape) for one in arrays))
    strides = []
    for one in arrays:
        places = torch.arange(math.prod(one.shape)).reshape(tuple(one.shape)).expand(shape)
        strides.append([places.stride(axis) if size > 1 else 0 for axis, size in enumerate(shape)])
    return low.emit(op, arrays, shape, shape=list(shape), strides=strides, **attributes)


def _swapped(low: Lowering, a: Operand, b: Operand, **_: Any) -> Value:
    return _broadcast(low, "binary", [b, a], fn="sub")


def _gelu(low: Lowering, x: Value, approximate: str = "none", **_: Any) -> Value:
    return low.emit("unary", [x], x.shape, fn="gelu" if approximate == "none" else "gelu_tanh", p=[])


def _power(low: Lowering, a: Operand, b: Operand) -> Value:
    return _broadcast(low, "binary", [a, b], fn="pow")


def _where(low: Lowering, condition: Operand, a: Operand, b: Operand) -> Value:
    return _broadcast(low, "where", [condition, a, b])


def _product(low: Lowering, a: Value | Tensor, b: Value | Tensor, bias: Tensor | Value | None = None) -> Value:
    """A·B for matrices or batches of them; by rows where B is a weight."""
    *batch, m, k = a.shape
    n = b.shape[-1]
    if isinstance(a, Value) and isinstance(b, Tensor) and b.ndim == 2 and not isinstance(bias, Value):
        weights = [b.T] if bias is None else [b.T, bias.expand(n)]
        return low.emit("linear", [a, *weights], (*batch, m, n), rows=math.prod(batch) * m, k=k, n=n)
    made = low.emit("matmul", [a, b], (*batch, m, n), batch=math.prod(batch), m=m, k=k, n=n)
    return made if bias is None else _broadcast(low, "binary", [made, bias], fn="add")


def _addmm(low: Lowering, bias: Tensor, a: Value, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Value:
    if beta != 1 or alpha != 1:
        raise NotExportable("A page knows no addmm with factors; it shows what was computed beforehand.")
    return _product(low, a, b, bias)


def _linear(low: Lowering, a: Value, weight: Tensor, bias: Tensor | None = None) -> Value:
    return _product(low, a, weight.transpose(-1, -2), bias)


def _convolution(
    low: Lowering, x: Value, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int],
    dilation: list[int], transposed: bool, output_padding: list[int], groups: int,
) -> Value:  # fmt: skip
    """Convolutions in two dimensions; one dimension is an image of height 1."""
    if not isinstance(weight, Tensor) or len(stride) > 2:
        raise NotExportable(
            "A page knows convolutions of one and two dimensions; it shows what was computed beforehand."
        )
    line = len(x.shape) == 3
    lifted = (
        [[1, *stride], [0, *padding], [1, *dilation], [0, *output_padding]]
        if line
        else (stride, padding, dilation, output_padding)
    )
    (sh, sw), (ph, pw), (dh, dw), (oh, ow) = lifted
    weight = weight[:, :, None] if line else weight
    height, width = (1, x.shape[2]) if line else x.shape[2:]
    kh, kw = weight.shape[2:]
    if transposed:
        out = weight.shape[1] * groups
        rows, columns = (
            (height - 1) * sh - 2 * ph + dh * (kh - 1) + oh + 1,
            (width - 1) * sw - 2 * pw + dw * (kw - 1) + ow + 1,
        )
    else:
        out = weight.shape[0]
        rows, columns = (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    constants = [weight] if bias is None else [weight, bias]
    made = low.emit(
        "convt" if transposed else "conv", [x, *constants], (1, out, rows, columns),
        x=[x.shape[1], height, width], y=[out, rows, columns], kernel=[kh, kw], stride=[sh, sw], padding=[ph, pw],
        dilation=[dh, dw], groups=groups,
    )  # fmt: skip
    return Value(made.number, (1, out, columns)) if line else made


def _affine(
    low: Lowering, op: str, x: Value, scale: Tensor | None, shift: Tensor | None, inner: int, **more: Any
) -> Value:
    """y = x·scale + shift per channel, of which each has ``inner`` numbers in a row."""
    channels = len(scale) if scale is not None else len(shift) if shift is not None else 1
    ones, zeros = torch.ones(channels), torch.zeros(channels)
    constants = [scale if scale is not None else ones, shift if shift is not None else zeros]
    return low.emit(op, [x, *constants], x.shape, channels=channels, inner=inner, **more)


def _group_norm(
    low: Lowering, x: Value, scale: Tensor | None, shift: Tensor | None, n: int, channels: int, inner: int, groups: int, eps: float
) -> tuple[Value]:  # fmt: skip
    return (
        _affine(low, "normalize", x, scale, shift, inner, rows=n * groups, cols=channels // groups * inner, eps=eps),
    )


def _layer_norm(
    low: Lowering, x: Value, shape: list[int], scale: Tensor | None, shift: Tensor | None, eps: float
) -> tuple[Value]:
    cols = math.prod(shape)
    flat = [None if one is None else one.reshape(-1) for one in (scale, shift)]
    return (_affine(low, "normalize", x, flat[0], flat[1], 1, rows=x.numel // cols, cols=cols, eps=eps),)


def _batch_norm(
    low: Lowering, x: Value, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, _momentum: float, eps: float
) -> tuple[Value]:  # fmt: skip
    scale = (variance.double() + eps).rsqrt() * (1 if weight is None else weight.double())
    shift = (0 if bias is None else bias.double()) - mean.double() * scale
    return (_affine(low, "affine", x, scale, shift, math.prod(x.shape[2:])),)


def _last(low: Lowering, x: Value, axes: Sequence[int]) -> tuple[Value, list[int]]:
    """The value with some axes moved to its end, and the order of its axes now."""
    chosen = sorted(axis % len(x.shape) for axis in axes)
    order = [axis for axis in range(len(x.shape)) if axis not in chosen] + chosen
    return low.rearranged(x, x.places.permute(order)), order


def _reduce(name: str) -> Callable[..., Value]:
    def write(
        low: Lowering, x: Value, axes: Sequence[int] | int | None = None, keepdim: bool = False, **_: Any
    ) -> Value:
        several = range(len(x.shape)) if axes is None or axes == [] else [axes] if isinstance(axes, int) else axes
        moved, _order = _last(low, x, several)
        gone = {axis % len(x.shape) for axis in several}
        cols = math.prod(x.shape[axis] for axis in gone)
        shape = [1 if i in gone else size for i, size in enumerate(x.shape) if keepdim or i not in gone]
        return low.emit("reduce", [moved], shape, fn=name, rows=x.numel // cols, cols=cols)

    return write


def _softmax(low: Lowering, x: Value, axis: int, *_: Any) -> Value:
    moved, order = _last(low, x, [axis])
    cols = x.shape[axis]
    made = low.emit("softmax", [moved], moved.shape, rows=x.numel // cols, cols=cols)
    back = torch.arange(made.numel).reshape(made.shape).permute([order.index(i) for i in range(len(order))])
    return low.rearranged(made, back)


def _cat(low: Lowering, parts: Sequence[Value | Tensor], axis: int = 0) -> Value:
    shape = list(parts[0].shape)
    axis %= len(shape)
    chunks = [math.prod(part.shape[axis:]) for part in parts]
    outer = math.prod(shape[:axis])
    shape[axis] = sum(part.shape[axis] for part in parts)
    return low.emit("cat", parts, shape, outer=outer, chunks=chunks)


def _pad(low: Lowering, x: Value, padding: list[int], fill: float = 0.0) -> Value:
    places = functional.pad(x.places + 1, padding) - 1
    return low.emit("take", [x], places.shape, table=low.constant(places), fill=float(fill))


def _resampling(name: str) -> Callable[..., Value]:
    """Pooling by means, and enlarging: a matrix for the rows and one for the columns of every channel, read off the operation itself."""

    def write(low: Lowering, x: Value, *args: Any, **kwargs: Any) -> Value:
        target = getattr(torch.ops.aten, name)
        height, width = x.shape[2:]

        def applied(planes: Tensor) -> Tensor:
            made: Tensor = target(planes[None], *args, **kwargs)[0]
            return made

        whole = applied(torch.ones(1, height, width))[0]
        peak = int(whole.abs().argmax())
        row, column = divmod(peak, whole.shape[1])
        rows = applied(torch.eye(height)[:, :, None].expand(height, height, width))[:, :, column].T / whole[row, column]
        columns = applied(torch.eye(width)[:, None, :].expand(width, height, width))[:, row, :].T
        probe = torch.linspace(-1, 1, height * width).sin().reshape(1, height, width)
        if not torch.allclose(rows @ probe @ columns.T, applied(probe), atol=_TOLERANCE):
            raise NotExportable(
                f"A page knows {name} only where rows and columns are apart; it shows what was computed beforehand."
            )
        size = (len(rows), len(columns))
        return low.emit(
            "separable",
            [x, rows, columns],
            (*x.shape[:2], *size),
            planes=math.prod(x.shape[:2]),
            x=[height, width],
            y=list(size),
        )

    return write


def _max_pool(
    low: Lowering,
    x: Value,
    kernel: list[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil: bool = False,
) -> tuple[Value]:
    given = [list(one) for one in (kernel, stride or kernel, padding, dilation)]
    pairs = [one * 2 if len(one) == 1 else one for one in given]
    shape = functional.max_pool2d(torch.zeros(x.shape), pairs[0], pairs[1], pairs[2], pairs[3], ceil).shape
    return (
        low.emit(
            "maxpool", [x], shape, planes=math.prod(x.shape[:2]), x=list(x.shape[2:]), y=list(shape[2:]),
            kernel=pairs[0], stride=pairs[1], padding=pairs[2], dilation=pairs[3],
        ),
    )  # fmt: skip


def _filled(_: Lowering, x: Value, value: float, **_options: Any) -> Tensor:
    return torch.full(x.shape, float(value))


OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: _unary(name) for name in ("relu", "sigmoid", "tanh", "silu", "exp", "log", "log1p", "sqrt", "rsqrt", "neg", "abs", "sin",
                                       "cos", "erf", "reciprocal", "logical_not")},
    "leaky_relu": _unary("leaky_relu", 0.01), "elu": _unary("elu", 1.0, 1.0, 1.0), "hardtanh": _unary("clamp", -1.0, 1.0),
    "clamp": _unary("clamp", -math.inf, math.inf), "gelu": _gelu,
    **{name: _binary(short) for name, short in {"add": "add", "sub": "sub", "mul": "mul", "div": "div", "maximum": "max",
                                                "minimum": "min", "gt": "gt", "lt": "lt", "ge": "ge", "le": "le", "eq": "eq"}.items()},
    "full_like": _filled, "rsub": _swapped, "pow": _power, "where": _where,
    "addmm": _addmm, "mm": _product, "bmm": _product, "linear": _linear, "convolution": _convolution,
    "native_group_norm": _group_norm, "native_layer_norm": _layer_norm, "_native_batch_norm_legit_no_training": _batch_norm,
    **{name: _reduce(short) for name, short in {"mean": "mean", "sum": "sum", "amax": "max", "any": "max"}.items()},
    "_softmax": _softmax, "cat": _cat, "constant_pad_nd": _pad, "max_pool2d_with_indices": _max_pool,
    **{name: _resampling(name) for name in ("avg_pool2d", "_adaptive_avg_pool2d", "upsample_nearest2d", "upsample_bilinear2d",
                                            "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")},
}  # fmt: skip
"""By the name that `torch.ops.aten` has for it."""
