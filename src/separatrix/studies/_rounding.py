"""This file tells what other number formats do to f."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.errors import FieldError
from separatrix.field import LatentField

_AT_ONCE = 64


@dataclass(frozen=True)
class Rounding:
    """‖f_a(z) − f_b(z)‖ as a share of the spread, the same map in two formats: median and largest over the points."""

    median: float
    largest: float


def rounding_in(field: LatentField, dtype: torch.dtype, z: Tensor, unit: float) -> Rounding | None:
    """Return what computing in ``dtype`` instead of the field's own format does to f(z); None if there is no such copy.

    Cost: 2 evaluations per latent.
    """
    try:
        twin = field.to(dtype=dtype)
        with field.guest(), twin.guest():
            parts = z.split(_AT_ONCE)
            apart = torch.cat([twin.bare(part.to(dtype)).double() - field.bare(part).double() for part in parts])
    except (FieldError, RuntimeError):  # some operations do not exist in every format
        return None
    sizes = apart.flatten(1).norm(dim=1).nan_to_num() / unit
    return Rounding(float(sizes.quantile(0.5)), float(sizes.max()))
