"""A fingerprint names the numbers that a model holds, as one SHA-256: its state dict, and what a state dict leaves out.

Two models of one fingerprint hold the same tensors. They need not behave alike (a Python attribute may differ), so whoever
must know compares answers too (`separatrix.ood._golden`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.field._guest import parts_of

_MAX_DEPTH = 4  # how far closures of closures are followed
_MOST_PARTS = 1000  # of one object; a longer list is data


def weights_fingerprint(modules: Sequence[nn.Module]) -> str | None:
    """SHA-256 over names, shapes, dtypes and bytes of what the state dicts hold as tensors; None without a module."""
    return _digest(modules, {}) if modules else None


def fingerprint(
    modules: Sequence[nn.Module], callables: Sequence[Callable[..., Any]] = (), scratch: Collection[str] = ()
) -> str | None:
    """:func:`weights_fingerprint` and what :func:`unregistered` finds, without ``scratch``; None where there is nothing."""
    rest = {name: value for name, value in unregistered(modules, callables).items() if name not in scratch}
    return _digest(modules, rest) if modules or rest else None


def unregistered(modules: Sequence[nn.Module], callables: Sequence[Callable[..., Any]] = ()) -> dict[str, Any]:
    """Return what a state dict does not hold as a tensor: packed weights, non-persistent buffers, tensors that callables capture.

    >>> scale = torch.ones(2)
    >>> list(unregistered((), (lambda z: scale * z,)))
    ['captured 0.scale']
    """
    found: dict[str, Any] = {}
    for index, module in enumerate(modules):
        state = module.state_dict()
        found |= {f"packed {index}.{name}": value for name, value in state.items() if not _is_plain(value)}
        buffers = module.named_buffers()
        found |= {f"buffer {index}.{name}": value for name, value in buffers if name not in state}
    for index, function in enumerate(callables):
        found |= dict(_captured(function, f"captured {index}", _MAX_DEPTH))
    return found


def _captured(value: Any, path: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
    elif depth > 0 and not isinstance(value, nn.Module):
        parts = parts_of(value)
        for name, part in parts.items() if len(parts) <= _MOST_PARTS else ():
            yield from _captured(part, f"{path}.{name}", depth - 1)


def _is_plain(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.is_quantized and not hasattr(value, "__tensor_flatten__")


def _digest(modules: Sequence[nn.Module], rest: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            if _is_plain(tensor):
                digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
                digest.update(_bytes(tensor))
    for name, value in sorted(rest.items()):
        for part in _parts(value):
            digest.update(f"{name} ".encode())
            digest.update(part)
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    data = tensor.detach().cpu().contiguous()
    return data.reshape(-1).view(torch.uint8).numpy().tobytes()


def _parts(value: Any) -> Iterator[bytes]:
    """The numbers in a packed weight, whichever way it is packed; what is no number of the model is left out."""
    if isinstance(value, Tensor):
        if value.is_quantized:
            yield from _parts((value.int_repr(), value.dequantize()))
        elif hasattr(value, "__tensor_flatten__"):
            yield from _parts([getattr(value, name) for name in value.__tensor_flatten__()[0]])
        else:
            yield f"{tuple(value.shape)} {value.dtype}".encode()
            yield _bytes(value)
    elif isinstance(value, torch.ScriptObject):
        yield from _parts(value.__getstate__())
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _parts(part)
    elif isinstance(value, dict):
        for name in sorted(value, key=str):
            yield from _parts((str(name), value[name]))
    elif value is None or isinstance(value, (bool, int, float, str, bytes, torch.dtype)):
        yield repr(value).encode()
