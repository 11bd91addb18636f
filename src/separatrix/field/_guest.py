"""The model is a guest: find the modules behind a callable, borrow them, give them back as they were.

Users hand over modules, bound methods, lambdas and partials. `parts_of` is the only place that looks inside them.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

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


def uncompiled(value: Any) -> Any:
    """The function that `torch.compile` was given; any other value as it is.

    >>> uncompiled(torch.tanh) is torch.tanh
    True
    """
    while inspect.isfunction(value) and hasattr(value, "_torchdynamo_orig_callable"):
        value = value._torchdynamo_orig_callable
    return value


def _walk(value: Any, depth: int) -> Iterator[nn.Module]:
    value = uncompiled(value)
    if isinstance(value, nn.Module):
        yield value
    elif depth > 0:
        for part in parts_of(value).values():
            yield from _walk(part, depth - 1)


def parts_of(value: Any) -> dict[str, Any]:
    """Return what a callable is made of: the values it would use that may be, or lead to, modules or tensors."""
    if isinstance(value, functools.partial):
        return {"func": value.func, **{f"arg{i}": a for i, a in enumerate(value.args)}, **value.keywords}
    if inspect.ismethod(value):
        return {"self": value.__self__, "func": value.__func__}
    if inspect.isfunction(value):
        return {**cells_of(value), **_globals_used(value), **_defaults(value)}
    if isinstance(value, (list, tuple)):
        return {str(i): part for i, part in enumerate(value)}
    if isinstance(value, dict):
        return {repr(key): part for key, part in value.items()}
    if inspect.isclass(value) or inspect.ismodule(value) or inspect.isbuiltin(value):
        return {}
    return {**_slots(value), **getattr(value, "__dict__", {})}


def _slots(value: Any) -> dict[str, Any]:
    """Attributes that are kept in ``__slots__`` and were assigned."""
    names = [name for kind in type(value).__mro__ for name in _slot_names(kind)]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _slot_names(kind: type) -> Iterator[str]:
    slots = kind.__dict__.get("__slots__", ())
    for name in (slots,) if isinstance(slots, str) else slots:
        if name not in ("__dict__", "__weakref__"):
            hidden = name.startswith("__") and not name.endswith("__")
            yield f"_{kind.__name__.lstrip('_')}{name}" if hidden else name


def cells_of(function: types.FunctionType) -> dict[str, Any]:
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
    used = {name: function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__}
    # Library modules and classes are shared code, not this model's parts.
    return {name: value for name, value in used.items() if not inspect.ismodule(value) and not inspect.isclass(value)}


def _names(code: types.CodeType) -> Iterator[str]:
    """Names that the code looks up, and those of the functions that are made inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


class borrowed:
    """Evaluation mode without gradients; every part is in its former mode again when its last borrower is done.

    The `training` flags are set one by one (not through ``eval()``, which a module may override with side effects)
    and restored one by one, so a deliberately mixed model comes back mixed. Loans are counted over all threads: whoever
    is done first leaves the others in evaluation mode.
    """

    __slots__ = ("_gradients", "_lent", "_modules")

    def __init__(self, modules: tuple[nn.Module, ...]) -> None:
        self._modules = modules
        self._gradients = torch.no_grad()
        self._lent: list[int] = []

    def __enter__(self) -> None:
        if self._modules:
            with _LENDING:
                for module in self._modules:
                    for part in module.modules():
                        if part.training or (_LOANS and id(part) in _LOANS):
                            self._lend(part)
        self._gradients.__enter__()

    def _lend(self, part: nn.Module) -> None:
        loan = _LOANS.setdefault(id(part), _Loan(part))
        loan.borrowers += 1
        self._lent.append(id(part))
        if part.training:
            part.training = False

    def __exit__(self, *error: object) -> None:
        self._gradients.__exit__(*error)
        if not self._lent:
            return
        with _LENDING:
            for key in self._lent:
                loan = _LOANS[key]
                loan.borrowers -= 1
                if not loan.borrowers:
                    del _LOANS[key]
                    loan.part.training = True


@dataclass
class _Loan:
    """A part that was in training mode when it was borrowed; it is held, so that its id stays its own."""

    part: nn.Module
    borrowers: int = 0


_LENDING = threading.Lock()
_LOANS: dict[int, _Loan] = {}
