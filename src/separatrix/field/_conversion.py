"""A field in another number format or on another device: a copy, which is tried before it is handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from separatrix.errors import FieldError, OutOfMemoryError, first_line
from separatrix.field._copies import transplanted
from separatrix.work import out_of_memory

if TYPE_CHECKING:
    from separatrix.field._field import LatentField


def converted(field: LatentField, made: type[LatentField], dtype: torch.dtype, device: torch.device) -> LatentField:
    """Return the field ``made`` around copies of its model; the user's own is left as it is.

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
    twin = made(
        encode,
        decode,
        latent_shape=field.latent_shape,
        dtype=dtype,
        device=device,
        name=field.name,
        units=field.units,
        details=field.details,
    )
    twin.inherit(field)
    try:
        with twin.guest():
            zero = torch.zeros((1, *field.latent_shape), dtype=dtype, device=device)
            output = twin.batches(twin._once, zero)
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
