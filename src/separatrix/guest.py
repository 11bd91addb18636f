"""The model is a guest: find the modules behind a callable, borrow them, give them back as they were, copy them.

Users hand over modules, bound methods, lambdas and partials. This file is the only one that looks inside them.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_MAX_DEPTH = 4  # how far closures of closures are followed


def modules_behind(*callables: Callable[..., Any]) -> tuple[nn.Module, ...]:
    """The outermost modules that the callables use, each once, in order of appearance.

    Looks through bound methods, `functools.partial`, closures, referenced globals and attributes of callable objects.

    >>> net = nn.Linear(2, 2)
    >>> modules_behind(net.forward, lambda z: net(z)) == (net,)
    True
    """
    found: dict[int, nn.Module] = {}
    for function in callables:
        for module in _walk(function, _MAX_DEPTH):
            found.setdefault(id(module), module)
    return tuple(found.values())


def _walk(value: Any, depth: int) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif depth > 0:
        for part in _parts(value).values():
            yield from _walk(part, depth - 1)


def _parts(value: Any) -> dict[str, Any]:
    """What a callable is made of: the values it would use that may be, or lead to, modules or tensors."""
    if isinstance(value, functools.partial):
        return {"func": value.func, **{f"arg{i}": a for i, a in enumerate(value.args)}, **value.keywords}
    if inspect.ismethod(value):
        return {"self": value.__self__}
    if inspect.isfunction(value):
        return {**_cells(value), **_globals_used(value), **_defaults(value)}
    if isinstance(value, (list, tuple)):
        return {str(i): part for i, part in enumerate(value)}
    if isinstance(value, dict):
        return {repr(key): part for key, part in value.items()}
    if inspect.isclass(value) or inspect.ismodule(value) or inspect.isbuiltin(value):
        return {}
    return dict(getattr(value, "__dict__", {}))


def _cells(function: types.FunctionType) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for cell_name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells[cell_name] = cell.cell_contents
        except ValueError:  # a name the enclosing function has not assigned yet
            continue
    return cells


def _defaults(function: types.FunctionType) -> dict[str, Any]:
    """Default arguments, under names that no variable can have."""
    positional = {f"default {i}": part for i, part in enumerate(function.__defaults__ or ())}
    return {**positional, **{f"default {name}": part for name, part in (function.__kwdefaults__ or {}).items()}}


def _globals_used(function: types.FunctionType) -> dict[str, Any]:
    used = {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
    # Library modules and classes are shared code, not this model's parts.
    return {name: value for name, value in used.items() if not inspect.ismodule(value) and not inspect.isclass(value)}


@contextmanager
def borrowed(modules: tuple[nn.Module, ...], device: torch.device) -> Iterator[None]:
    """Evaluation mode, no gradients, private random state; everything is put back afterwards, also after an error.

    The `training` flags are set one by one (not through ``eval()``, which a module may override with side effects)
    and restored one by one, so a deliberately mixed model comes back mixed.
    """
    in_training = [part for module in modules for part in module.modules() if part.training]
    cpu_state = torch.get_rng_state()
    cuda_state = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    for part in in_training:
        part.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for part in in_training:
            part.training = True
        torch.set_rng_state(cpu_state)
        if cuda_state is not None:
            torch.cuda.set_rng_state(cuda_state, device)


def fingerprint(modules: tuple[nn.Module, ...]) -> str | None:
    """SHA-256 over names, shapes, dtypes and bytes of all parameters and buffers; None if no module was found."""
    if not modules:
        return None
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            if not isinstance(tensor, Tensor):
                continue
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            data = tensor.detach().cpu().contiguous()
            digest.update(data.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def transplanted(
    *callables: Callable[..., Any],
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
    known: Mapping[int, Any] | None = None,
) -> tuple[Callable[..., Any], ...]:
    """Copies of the callables whose modules and captured tensors have another dtype or device.

    The originals are not touched. Modules shared between callables stay shared between the copies. ``known`` are copies
    that were made already, by the identity of their originals.
    """
    memo: dict[int, Any] = dict(known or {})
    return tuple(_transplant(function, dtype, device, memo, _MAX_DEPTH) for function in callables)


def _transplant(
    value: Any, dtype: torch.dtype | None, device: torch.device | None, memo: dict[int, Any], depth: int
) -> Any:
    if id(value) in memo:
        return memo[id(value)]
    twin = value
    if isinstance(value, nn.Module):
        twin = copy.deepcopy(value).to(device=device, dtype=dtype)
    elif isinstance(value, Tensor):
        twin = value.detach().to(device=device, dtype=dtype if value.is_floating_point() else None, copy=True)
    elif depth > 0:
        parts = _parts(value)
        twins = {name: _transplant(part, dtype, device, memo, depth - 1) for name, part in parts.items()}
        if any(twins[name] is not parts[name] for name in parts):
            twin = _rebuilt(value, twins)
    memo[id(value)] = twin
    return twin


def _rebuilt(value: Any, parts: dict[str, Any]) -> Any:
    """The same callable with its parts replaced."""
    if isinstance(value, functools.partial):
        arguments = [parts[f"arg{i}"] for i in range(len(value.args))]
        return functools.partial(parts["func"], *arguments, **{name: parts[name] for name in value.keywords})
    if inspect.ismethod(value):
        return types.MethodType(value.__func__, parts["self"])
    if inspect.isfunction(value):
        cells = _cells(value)
        closure = tuple(
            types.CellType(parts[name]) if name in cells else cell
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        )
        own = {*cells, *_defaults(value)}
        names = {**value.__globals__, **{name: part for name, part in parts.items() if name not in own}}
        defaults = tuple(parts[f"default {i}"] for i in range(len(value.__defaults__ or ())))
        twin = types.FunctionType(value.__code__, names, value.__name__, defaults or None, closure)
        twin.__kwdefaults__ = {name: parts[f"default {name}"] for name in value.__kwdefaults__ or {}} or None
        return twin
    if isinstance(value, (list, tuple)):
        return type(value)(parts[str(i)] for i in range(len(value)))
    if isinstance(value, dict):
        return type(value)((key, parts[repr(key)]) for key in value)
    twin = copy.copy(value)
    twin.__dict__.update(parts)
    return twin
