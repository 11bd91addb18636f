"""Count how often tensors are asked something: what makes an accelerator stand still until all that was computed before is there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# The size, or the values, of what these return depend on the numbers in a tensor.
ASKING = {
    "_local_scalar_dense",
    "_unique",
    "_unique2",
    "bincount",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
TO_THE_CPU = {"cpu", "tolist"}


class Questions(TorchFunctionMode):
    """Count the questions in a block, one entry of ``asked`` for each, its name.

    On an accelerator each of them waits for the device. They are seen on a CPU as well; copies to the CPU where Python asks for them.

    >>> with Questions() as counted:
    ...     largest = torch.arange(3.0).max()
    ...     value = largest.item()
    >>> counted.asked
    ['_local_scalar_dense']
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._operations = _Operations(self.asked)

    def __enter__(self) -> Questions:
        super().__enter__()  # type: ignore[no-untyped-call]
        self._operations.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        self._operations.__exit__(*error)  # type: ignore[no-untyped-call]
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if name in TO_THE_CPU or (name == "to" and "cpu" in [one for one in args[1:] if isinstance(one, str)]):
            self.asked.append(name)
        return function(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    def __init__(self, asked: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._asked = asked

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = operation._schema.name.removeprefix("aten::")
        by_mask = name in INDEXING and any(
            isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1]
        )
        open_size = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        if name in ASKING or by_mask or open_size:
            self._asked.append(name)
        return operation(*args, **(kwargs or {}))
