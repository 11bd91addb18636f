"""What a look at a model in training must leave as it was: random states, modes of torch, and the model itself."""

from __future__ import annotations

import copy
import random
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from separatrix.field import LatentField
from separatrix.guest import transplanted

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_DEPTH = 4  # containers in containers of a module that are looked through


@contextmanager
def untouched() -> Iterator[None]:
    """Inside: no autocast, no inference mode. Afterwards every global random state is what it was, also after an error."""
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002  # the global generator of the training is what is protected
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with (
            torch.random.fork_rng(devices),
            torch.inference_mode(False),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
        ):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def frozen(field: LatentField, *, keep_hooks: bool = False) -> tuple[LatentField, str]:
    """A copy of the field with the weights of now, and a sentence about what the copy lacks (empty if nothing).

    Training goes on while the copy is searched, and whatever the model does to itself in a forward pass, such as counting
    calls, it does to the copy. Hooks of the user are left out, because what they write to (a list of activations that a loss
    is made of) is shared with the copy; those of torch itself, such as weight norm's, are part of the map and stay.

    Raises:
        RuntimeError, TypeError: the modules cannot be copied.
    """
    memo: dict[int, Any] = {}
    dropped = 0
    for part in (part for module in field.modules for part in module.modules()):
        if not keep_hooks:
            dropped += _leave_hooks_out(part, memo)
        _cut_from_the_graph(vars(part), memo, _DEPTH)
    known: dict[int, nn.Module] = {id(module): copy.deepcopy(module, memo) for module in field.modules}
    for twin_module in known.values():
        for part in twin_module.modules():
            part.training = False  # a field is evaluated in eval mode, so there is nothing to warn about
    encode, decode = transplanted(field._encode, field._decode, known=known)
    twin = LatentField(
        encode,
        decode,
        latent_shape=field.latent_shape,
        dtype=field.dtype,
        device=field.device,
        name=field.name,
        units=field.units,
        modules=tuple(known.values()),
        details=field.details,
    )
    said = (
        f"{dropped} of the model's hooks were left out of the snapshots; keep_hooks=True keeps them." if dropped else ""
    )
    return twin, said


def _leave_hooks_out(part: nn.Module, memo: dict[int, Any]) -> int:
    """Tell `copy.deepcopy` what to put in the place of the tables of hooks; how many hooks that leaves out."""
    dropped = 0
    for name in _HOOKS:
        table = getattr(part, name, None)
        if table and id(table) not in memo:
            kept = OrderedDict((key, hook) for key, hook in table.items() if _of_torch(hook))
            dropped += len(table) - len(kept)
            memo[id(table)] = kept
    return dropped


def _cut_from_the_graph(value: Any, memo: dict[int, Any], depth: int) -> None:
    """What a module remembers of its last forward pass (``self.mean = …``) belongs to a graph, which cannot be copied."""
    if isinstance(value, Tensor):
        if value.grad_fn is not None:
            memo[id(value)] = value.detach().clone()
    elif depth > 0 and isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            _cut_from_the_graph(item, memo, depth - 1)


def _of_torch(hook: Any) -> bool:
    owner = getattr(hook, "__module__", None) or type(hook).__module__
    return str(owner).split(".")[0] == "torch"
