"""This file tells what one orbit costs: memory at the peak of one evaluation, and what other number formats do to f."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

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


def memory_per_orbit(field: LatentField, z: Tensor) -> int | None:
    """Bytes of tensors alive at once at the peak of one evaluation, per latent; None where nothing can be seen.

    Counted on the tensors that operations return, so the same on every device; scratch memory inside a kernel is not seen.
    The difference between two latents and one, so that the weights do not count.

    Cost: 3 evaluations.
    """
    if len(z) < 2:
        return None
    field.admit(z)  # which would be alive, too
    with field.guest():
        one, two = _peak(field, z[:1]), _peak(field, z[:2])
    return max(two - one, 0) or None


def _peak(field: LatentField, z: Tensor) -> int:
    alive = _Alive()
    with alive:
        field.bare(z)
    return alive.peak


class _Alive(TorchDispatchMode):
    """Bytes of the storages that operations have made and that still exist."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._holders: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, (tuple, list)) else (output,):
            if isinstance(tensor, Tensor):
                self._add(tensor)
        return output

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not self._holders.get(place):
            self.now += size
            self.peak = max(self.peak, self.now)
        self._holders[place] = self._holders.get(place, 0) + 1
        weakref.finalize(tensor, self._drop, place, size)

    def _drop(self, place: int, size: int) -> None:
        self._holders[place] -= 1
        if not self._holders[place]:
            self.now -= size
