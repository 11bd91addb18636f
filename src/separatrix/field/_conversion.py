"""A field in another number format or on another device: a copy, which is tried before it is handed out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from separatrix.errors import FieldError, OutOfMemoryError, first_line
from separatrix.field._copies import transplanted
from separatrix.field._narrowing import Unnarrowed, WithoutNarrowing
from separatrix.work import out_of_memory

if TYPE_CHECKING:
    from separatrix.field._field import LatentField

_ROUNDINGS = 1e4  # of the original's format, through all of its layers: what a copy without casts may differ by


def converted(field: LatentField, dtype: torch.dtype, device: torch.device) -> LatentField:
    """Return a field around copies of its model; the user's own is left as it is.

    Raises:
        FieldError, OutOfMemoryError: as `LatentField.to`.
    """
    try:
        encode, decode = transplanted(field._encode, field._decode, dtype=dtype, device=device)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"There is no memory for a copy of {field.name} in {dtype} on {device}; use a machine with more of it."
        ) from error
    twin = _around(field, encode, decode, dtype, device)
    zero = torch.zeros((1, *field.latent_shape), dtype=dtype, device=device)
    try:
        with twin.guest():
            output = twin.batches(twin._once, zero)
            if _narrowed(twin, zero, output, field.dtype):
                down, up = (Unnarrowed(half, field.dtype, dtype) for half in (encode, decode))
                twin = _around(field, down, up, dtype, device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise FieldError(
            f"{field.name} cannot be evaluated as {dtype} on {device} ({first_line(error)}); "
            "pass the modules themselves to LatentField, without casts inside."
        ) from error
    twin.batches.asked = field.batches.asked
    if output.dtype != dtype:
        raise FieldError(
            f"{field.name} returns {output.dtype} for {dtype} latents; remove the cast inside encode or decode."
        )
    return twin


def _around(
    field: LatentField,
    encode: Callable[[Tensor], Any],
    decode: Callable[[Tensor], Any],
    dtype: torch.dtype,
    device: torch.device,
) -> LatentField:
    twin = field.with_halves(encode, decode, dtype=dtype, device=device, modules=None)
    twin.inherit(field)
    return twin


def _narrowed(twin: LatentField, z: Tensor, output: Tensor, own: torch.dtype) -> bool:
    """Tell whether the copy rounds to the original's format inside, and computes the same where it is kept from it."""
    if torch.promote_types(own, twin.dtype) is own:
        return False
    try:
        with WithoutNarrowing(own, twin.dtype) as casts:
            wide = twin.batches(twin._once, z)
    except (RuntimeError, TypeError, ValueError):  # formats that no longer agree: the model stays as it is
        return False
    allowed = _ROUNDINGS * torch.finfo(own).eps * float(output.abs().max())
    return casts.prevented and wide.dtype == output.dtype and float((wide - output).abs().max()) <= allowed
