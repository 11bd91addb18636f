"""This file tells what one evaluation of a field takes of memory."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from separatrix.field._field import LatentField


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
