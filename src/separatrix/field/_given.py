"""A model that is given tells here what it offers: its halves, the shape of its latents, where and in which format its weights are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import InputError


def halves(model: object, made_by: str = "") -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return encoder and decoder of one model, its methods of these names.

    Raises:
        InputError: it has none; the message says what to give instead, and ``made_by`` whom.
    """
    encode, decode = getattr(model, "encode", None), getattr(model, "decode", None)
    if callable(encode) and callable(decode):
        return encode, decode
    what = f"{made_by} returned a {type(model).__name__}, which" if made_by else f"This {type(model).__name__}"
    if callable(getattr(model, "encoder", None)) and callable(getattr(model, "decoder", None)):
        remedy = "give its parts (model.encoder, model.decoder) if these are the maps"
    else:
        remedy = "add them, or give a pair (encode, decode) of functions"
    raise InputError(f"{what} has no methods encode and decode; {remedy}.")


def declared_shape(model: object) -> tuple[int, ...] | None:
    """Return the shape that a model gives its latents in the attribute ``latent_shape`` or ``latent_dim``, None if it does not."""
    for name in ("latent_shape", "latent_dim"):
        value = getattr(model, name, None)
        if isinstance(value, int):
            return (value,)
        if isinstance(value, (tuple, list)) and all(isinstance(size, int) for size in value):
            return tuple(value)
    return None


def require_target(dtype: object, device: torch.device | str | int | None) -> None:
    """Raise an InputError unless one can compute in this format (None is any) on this device.

    >>> require_target(torch.float64, "cpu")
    """
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise InputError(f"dtype must be a floating number format such as torch.float64, not {dtype!r}.")
    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:  # torch asserts that it was compiled with CUDA
        raise InputError(
            f"The device {str(device)!r} is not available here; use 'cpu' or one that torch lists."
        ) from error


def first_floating(modules: Sequence[nn.Module]) -> Tensor | None:
    """Return the first floating parameter or buffer, which tells format and device; None if there is none."""
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                return tensor
    return None


def is_without_numbers(modules: Sequence[nn.Module]) -> bool:
    """Say whether a weight is on the meta device, where it has a shape and no values."""
    return any(tensor.is_meta for module in modules for tensor in (*module.parameters(), *module.buffers()))
