"""Casts inside a model to its own number format: nothing happens there, but in a copy of a wider format they would round.

Normalisations of language models are computed ``x.to(torch.float32)`` whatever the model's format is. Its float64 copy would then have the
precision of float32 and not know it: points polished to 1e-13 would be 1e-7 apart, and one attractor would be counted as many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_BY_NAME = {
    Tensor.float: torch.float32,
    Tensor.half: torch.float16,
    Tensor.bfloat16: torch.bfloat16,
    Tensor.double: torch.float64,
}


class WithoutNarrowing(TorchFunctionMode):
    """Inside, tensors of the copy's format stay in it where the original's own would lose nothing.

    A cast to a format that is coarser than the model's own rounds in the original too: it is part of the map, and stays.

    Args:
        own: the original's format.
        copy: the wider format of the copy.

    Attributes:
        prevented: a cast that would have rounded was met.

    >>> with WithoutNarrowing(torch.float32, torch.float64):
    ...     torch.ones(1, dtype=torch.float64).float().dtype, torch.ones(1, dtype=torch.float64).half().dtype
    (torch.float64, torch.float16)
    """

    def __init__(self, own: torch.dtype, copy: torch.dtype) -> None:
        super().__init__()
        self.own, self.copy = own, copy
        self.prevented = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function, with the copy's format where one was asked for that narrows it."""
        named = dict(kwargs or {})
        if args and isinstance(args[0], Tensor) and args[0].dtype is self.copy:
            if self._narrows(_BY_NAME.get(func)):
                self.prevented = True
                return args[0]
            wanted = (*args[1:], named.get("dtype"))
            if any(self._narrows(part) for part in wanted):
                self.prevented = True
                args = (args[0], *(self.copy if self._narrows(part) else part for part in args[1:]))
                named |= {"dtype": self.copy} if self._narrows(named.get("dtype")) else {}
        return func(*args, **named)

    def _narrows(self, dtype: Any) -> bool:
        """Tell whether it is narrower than the copy's format, and no narrower than the original's own."""
        return (
            isinstance(dtype, torch.dtype)
            and dtype.is_floating_point
            and dtype is not self.copy
            and torch.promote_types(self.own, dtype) is dtype
            and torch.promote_types(self.copy, dtype) is self.copy
        )


class Unnarrowed:
    """A half of a field that is evaluated `WithoutNarrowing`; copied with its model, because the callable is an attribute."""

    def __init__(self, function: Callable[[Tensor], Any], own: torch.dtype, copy: torch.dtype) -> None:
        self.function = function
        self.own, self.copy = own, copy

    def __call__(self, x: Tensor) -> Any:
        with WithoutNarrowing(self.own, self.copy):
            return self.function(x)
