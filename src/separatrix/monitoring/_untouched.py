"""This file tells what a look at a model in training must leave as it was: random states, modes of torch, and the model itself."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from separatrix.field import LatentField
from separatrix.field._copies import Copier

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@contextmanager
def untouched(*modules: nn.Module, keep_hooks: bool = False) -> Iterator[None]:
    """Inside: no autocast, no inference mode, no compiled code, no global hooks. Afterwards all is what it was, also after an error.

    That is: every global random state, the modes of torch, and of the ``modules`` the training flags, which parameters take
    gradients, and their gradients. Compiled code is left out because what the copies ask of it would count towards the limit
    of recompilations, after which the training itself would run other code.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002  # the global generator of the training is what is protected
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    parts = [(part, part.training) for module in modules for part in module.modules()]
    weights = [(weight, weight.requires_grad, weight.grad) for module in modules for weight in module.parameters()]
    try:
        with (
            torch.random.fork_rng(devices),
            torch.inference_mode(False),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
            _without_compiled_code(),
            nullcontext() if keep_hooks else _without_global_hooks(),
        ):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        for part, training in parts:
            if part.training != training:
                part.training = training
        for weight, requires_grad, gradient in weights:
            if weight.requires_grad != requires_grad:
                weight.requires_grad_(requires_grad)
            if weight.grad is not gradient:
                weight.grad = gradient


def _without_compiled_code() -> AbstractContextManager[Any]:
    in_use = "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance")  # the latter since torch 2.6
    return torch.compiler.set_stance("force_eager") if in_use else nullcontext()


@contextmanager
def _without_global_hooks() -> Iterator[None]:
    tables = [getattr(nn.modules.module, f"_global{name}") for name in _HOOKS]
    kept = [dict(table) for table in tables]
    for table in tables:
        table.clear()
    try:
        yield
    finally:
        for table, hooks in zip(tables, kept, strict=True):
            table.update(hooks)


def frozen(field: LatentField, *, keep_hooks: bool = False) -> tuple[LatentField, str]:
    """A copy of the field with the weights of now, and a sentence about what the copy lacks (empty if nothing).

    Training goes on while the copy is searched, and whatever the model does to itself in a forward pass, such as counting
    calls, it does to the copy. Hooks of the user are left out, because what they write to (a list of activations that a loss
    is made of) is shared with the copy; those of torch itself, such as weight norm's, are part of the map and stay.

    Raises:
        FieldError: something that holds weights cannot be copied.
    """
    memo: dict[int, Any] = {}
    dropped = 0
    if not keep_hooks:
        dropped = sum(_leave_hooks_out(part, memo) for module in field.modules for part in module.modules())
    copier = Copier(memo=memo)
    modules = tuple(copier.copied(module) for module in field.modules)
    encode, decode = copier.copied(field._encode), copier.copied(field._decode)
    for part in (part for module in modules for part in module.modules()):
        part.training = False  # a field is evaluated in eval mode, so there is nothing to warn about
    twin = field.with_halves(encode, decode, modules=modules)
    said = []
    if dropped:
        said.append(f"{dropped} of the model's hooks were left out of the snapshots; keep_hooks=True keeps them.")
    if copier.shared:
        said.append(f"{', '.join(copier.shared)} cannot be copied; the snapshots use the model's own.")
    return twin, " ".join(said)


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


def _of_torch(hook: Any) -> bool:
    owner = getattr(hook, "__module__", None) or type(hook).__module__
    return str(owner).split(".")[0] == "torch"
