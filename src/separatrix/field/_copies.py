"""Copies of the callables that make a field: in another format, on another device, or with the weights of now.

The originals are never touched. A copy computes what its original computes and shares no weight with it, or there is none.
"""

from __future__ import annotations

import copy
import functools
import inspect
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FieldError, SeparatrixError, first_line
from separatrix.field._guest import cells_of, parts_of, uncompiled

_MAX_DEPTH = 4  # how far closures of closures are followed
_OF_TORCH = frozenset(vars(nn.Module())) | {"_compiled_call_impl"}  # attributes that a module has for itself
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
_REMEDY = "hand LatentField modules, bound methods or plain functions around them."


def transplanted(
    *callables: Callable[..., Any], dtype: torch.dtype | None = None, device: torch.device | None = None
) -> tuple[Callable[..., Any], ...]:
    """Return copies of the callables whose modules and captured tensors have another dtype or device.

    Modules and tensors shared between callables stay shared between the copies.

    Raises:
        FieldError: something that holds weights cannot be copied.

    >>> net = nn.Linear(2, 2)
    >>> (double,) = transplanted(lambda z: net(z), dtype=torch.float64)
    >>> double(torch.zeros(1, 2, dtype=torch.float64)).dtype, net.weight.dtype
    (torch.float64, torch.float32)
    """
    copier = Copier(dtype=dtype, device=device)
    return tuple(copier.copied(function) for function in callables)


class Copier:
    """Makes copies that belong together: what is one object in the originals is one object in the copies.

    What `torch.compile` made is copied as what it was made of, and a model inside `DataParallel` without its wrapper: a copy
    is evaluated by one process, now and then, and must not add to the compiled code of a training.

    Args:
        dtype: of the floating-point weights of the copies; None for that of the originals.
        device: of the copies; None for that of the originals.
        memo: copies that were made already, by the identity of their originals, as in `copy.deepcopy`.

    Attributes:
        shared: names of what cannot be copied and holds no weights, such as locks; the copies hold the originals.
    """

    def __init__(
        self,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        memo: dict[int, Any] | None = None,
    ) -> None:
        self.dtype, self.device = dtype, device
        self.memo: dict[int, Any] = {} if memo is None else memo
        self.shared: list[str] = []
        self._alive: list[Any] = []  # an identity in the memo must not be given to a new object

    def copied(self, value: Any) -> Any:
        """A copy of a callable or a module; the value itself if it holds no weights.

        Raises:
            FieldError: something that holds weights cannot be copied.
        """
        try:
            return self._of(value, _MAX_DEPTH)
        except (SeparatrixError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a user's __deepcopy__ or a library's `to` may raise
            raise FieldError(f"The model cannot be copied ({first_line(error)}); {_REMEDY}") from error

    def _of(self, value: Any, depth: int) -> Any:
        value = uncompiled(value)
        if id(value) in self.memo:
            return self.memo[id(value)]
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, Tensor):
            return self._remember(value, self._tensor(value))
        if isinstance(value, torch.ScriptMethod):
            raise FieldError(f"The method {value.name} of a ScriptModule cannot be copied; {_REMEDY}")
        if not _holds_weights(value, depth, set()):
            return value
        parts = parts_of(value)
        if inspect.isfunction(value):
            return self._function(value, parts, depth)
        if inspect.ismethod(value):
            return types.MethodType(self._of(value.__func__, depth - 1), self._of(value.__self__, depth - 1))
        if _is_container(value) or isinstance(value, (functools.partial, functools._lru_cache_wrapper)):
            twins = {name: self._of(part, depth - 1) for name, part in parts.items()}
            return self._remember(value, _refilled(value, twins))
        return self._object(value, parts, depth)

    def _remember(self, value: Any, twin: Any) -> Any:
        self.memo[id(value)] = twin
        self._alive.append(value)
        return twin

    def _tensor(self, value: Tensor) -> Tensor:
        dtype = self.dtype if value.is_floating_point() else None
        twin = value.detach().to(device=self.device, dtype=dtype, copy=True)
        return nn.Parameter(twin, value.requires_grad) if isinstance(value, nn.Parameter) else twin

    def _function(self, value: types.FunctionType, parts: dict[str, Any], depth: int) -> types.FunctionType:
        cells = cells_of(value)
        closure = tuple(
            types.CellType() if name in cells else cell
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        )
        names = dict(value.__globals__)
        twin = types.FunctionType(value.__code__, names, value.__name__, None, closure)
        self._remember(value, twin)  # before its parts, of which it may be one
        twins = {name: self._of(part, depth - 1) for name, part in parts.items()}
        for name, cell in zip(value.__code__.co_freevars, closure, strict=True):
            if name in cells:
                cell.cell_contents = twins.pop(name)
        twin.__defaults__ = tuple(twins.pop(f"default {i}") for i in range(len(value.__defaults__ or ()))) or None
        twin.__kwdefaults__ = {name: twins.pop(f"default {name}") for name in value.__kwdefaults__ or {}} or None
        names.update(twins)
        twin.__dict__.update({name: self.memo.get(id(held), held) for name, held in vars(value).items()})
        return twin

    def _object(self, value: Any, parts: dict[str, Any], depth: int) -> Any:
        twin = copy.copy(value)
        if twin is value:
            raise FieldError(f"A {type(value).__name__} that holds weights cannot be copied; {_REMEDY}")
        self._remember(value, twin)
        for name, part in parts.items():
            made = self._of(part, depth - 1)
            if name in getattr(twin, "__dict__", {}):
                vars(twin)[name] = made
            else:  # a slot
                object.__setattr__(twin, name, made)
        return twin

    def _module(self, value: nn.Module) -> nn.Module:
        for part in reversed(list(value.modules())):  # inner ones first
            self._prepare(part)
        try:
            twin = self._deeply(value)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            self._share_what_holds_no_weights(value, error)
            twin = self._deeply(value)
        if self.dtype is not None or self.device is not None:
            twin = self._remember(value, twin.to(device=self.device, dtype=self.dtype))
        pairs = [(part, self.memo[id(part)]) for part in value.modules() if id(part) in self.memo]
        for part, twin_part in pairs:
            for table in ("_parameters", "_buffers"):  # `to` makes new tensors, and a closure may hold the same ones
                if isinstance(held := getattr(part, table), dict):  # a ScriptModule has none of its own
                    self.memo.update(
                        {id(t): getattr(twin_part, table).get(n) for n, t in held.items() if t is not None}
                    )
        for part, twin_part in pairs:
            if not isinstance(twin_part, _Bare):
                self._mend(part, twin_part)
        return twin

    def _prepare(self, part: nn.Module) -> None:
        """Put into the memo what `copy.deepcopy` is to find there instead of making it."""
        if type(part).__name__ == "FullyShardedDataParallel" or any(
            type(weight).__name__ == "DTensor" for weight in part.parameters(recurse=False)
        ):
            raise FieldError(
                "The weights are sharded over several processes, and separatrix evaluates in one; gather them into a model of "
                "its own first."
            )
        inner = "module" if isinstance(part, _PARALLEL) else "_orig_mod"  # the latter is torch.compile's
        if id(part) not in self.memo and inner in dict(part.named_children()):
            self._remember(part, _Bare(inner, self._deeply(getattr(part, inner))))
        _cut_from_the_graph(vars(part), self.memo, _MAX_DEPTH)

    def _deeply(self, value: Any) -> Any:
        trial = dict(self.memo)  # a copy that fails leaves half-made things behind
        twin = copy.deepcopy(value, trial)
        self._alive.append(trial.pop(id(trial), None))
        self.memo.update(trial)
        return twin

    def _share_what_holds_no_weights(self, value: nn.Module, error: Exception) -> None:
        stand_ins = {id(part): part for part in value.modules()}
        for part in value.modules():
            for name, held in _leaves({name: held for name, held in vars(part).items() if name not in _OF_TORCH}):
                try:
                    copy.deepcopy(held, {**self.memo, **stand_ins})
                except Exception:
                    if _holds_weights(held, _MAX_DEPTH, set()):
                        raise FieldError(
                            f"The model cannot be copied: {type(part).__name__}.{name} holds weights and refuses "
                            f"({first_line(error)}); {_REMEDY}"
                        ) from error
                    self._remember(held, held)
                    self.shared.append(f"{type(part).__name__}.{name}")

    def _mend(self, part: nn.Module, twin: nn.Module) -> None:
        """Copy what `copy.deepcopy` leaves as it is: functions on a module, which may close over it; and convert plain tensors."""
        for name, held in vars(part).items():
            made = vars(twin).get(name)
            if isinstance(made, Tensor):
                vars(twin)[name] = made.to(device=self.device, dtype=self.dtype if made.is_floating_point() else None)
            elif (
                name not in _OF_TORCH
                and any(_is_function(leaf) for _, leaf in _leaves({name: held}))
                and _holds_weights(held, _MAX_DEPTH, set())
            ):
                self.memo.pop(id(held), None)
                vars(twin)[name] = self._of(held, _MAX_DEPTH)


class _Bare(nn.Module):
    """Stands in a copy where `torch.compile` or `DataParallel` stood, under which the module inside keeps its name."""

    def __init__(self, inner: str, module: nn.Module) -> None:
        super().__init__()
        self._inner = inner
        self.add_module(inner, module)

    def forward(self, *args: Any, **options: Any) -> Any:
        return self._modules[self._inner](*args, **options)  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        inner = self.__dict__["_modules"].get(self._inner)
        return inner if name == self._inner and inner is not None else getattr(inner, name)


def _refilled(value: Any, twins: dict[str, Any]) -> Any:
    """The same container, partial or cached function with other contents."""
    if isinstance(value, functools.partial):
        arguments = [twins[f"arg{i}"] for i in range(len(value.args))]
        return functools.partial(twins["func"], *arguments, **{name: twins[name] for name in value.keywords})
    if isinstance(value, functools._lru_cache_wrapper):
        return functools.lru_cache(**value.cache_parameters())(twins["__wrapped__"])
    if isinstance(value, dict):
        table = copy.copy(value)
        table.update({key: twins[repr(key)] for key in value})
        return table
    if isinstance(value, list):
        row = copy.copy(value)
        row[:] = twins.values()
        return row
    return type(value)._make(twins.values()) if hasattr(value, "_make") else type(value)(twins.values())


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict))


def _is_function(value: Any) -> bool:
    return inspect.isroutine(value) or isinstance(value, functools.partial)


def _holds_weights(value: Any, depth: int, seen: set[tuple[int, int]]) -> bool:
    """Is a module or a tensor among the parts, or among theirs?"""
    if isinstance(value, (nn.Module, Tensor)):
        return True
    value = uncompiled(value)
    if depth == 0 or (id(value), depth) in seen:
        return False
    seen.add((id(value), depth))
    return any(_holds_weights(part, depth - 1, seen) for part in parts_of(value).values())


def _leaves(held: dict[str, Any], depth: int = _MAX_DEPTH) -> Iterator[tuple[str, Any]]:
    """Return what lies in containers in containers, under the name of the outermost one; modules and tensors left out."""
    for name, value in held.items():
        if _is_container(value) and depth > 0:
            items: Iterable[Any] = value.values() if isinstance(value, dict) else value
            for item in items:
                yield from _leaves({name: item}, depth - 1)
        elif not isinstance(value, (nn.Module, Tensor)):
            yield name, value


def _cut_from_the_graph(value: Any, memo: dict[int, Any], depth: int) -> None:
    """A module may remember tensors of its last forward pass (``self.mean = …``); they belong to a graph, which cannot be copied."""
    if isinstance(value, Tensor):
        if value.grad_fn is not None and id(value) not in memo:
            memo[id(value)] = value.detach().clone()
    elif depth > 0 and _is_container(value):
        for item in value.values() if isinstance(value, dict) else value:
            _cut_from_the_graph(item, memo, depth - 1)
