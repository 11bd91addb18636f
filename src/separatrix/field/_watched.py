"""One half of a field, E or D, called so that neither the library's tensors nor its own earlier results change under it.

A user's function may write into the tensor it is given (``x.mul_(s)``, ``ReLU(inplace=True)``) and may return memory that
its next call overwrites (a preallocated buffer). Both are seen when the field is examined (`separatrix.field._contract`), and
from then on that half is given copies, or its results are copied. Every other half costs no copy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from separatrix.errors import FieldError, InputError

_DRAWING = threading.RLock()  # one evaluation at a time puts torch's global generator back


class Watched:
    """A function from tensor to tensor, and what was learnt about its manners.

    Attributes:
        function: the user's own.
        role: ``"encode"`` or ``"decode"``, for sentences.
        writes: it writes into the tensor that it is given, so it is given a copy.
        reuses: it returns memory that it writes to again, so its result is copied.
        passes_on: it returns its input, or a view of it; the library writes to neither.
        draws: it advances torch's global generator, which is put back after every call.
        known: it was examined; until then the worst is assumed.
    """

    def __init__(self, function: Callable[..., Any], role: str) -> None:
        self.function, self.role = function, role
        self.writes = self.reuses = self.draws = True  # until the contrary is known
        self.passes_on = self.known = False

    def __call__(self, x: Tensor) -> Tensor:
        if self.writes or self.draws or self.reuses:
            return self._guarded(x)
        before = version(x)
        output = self.function(x)
        if version(x) != before and self._does_write(x):
            self.writes = True
            raise FieldError(
                f"{self.role} has changed the tensor that it was given, which it did not do when it was first called; "
                f"let it begin with x = x.clone(), and give that data anew."
            )
        return output if isinstance(output, Tensor) else tensor_from(output, self.role)

    def _guarded(self, x: Tensor) -> Tensor:
        """Make the call with copies, and with torch's generator put back, where those are needed."""
        version(x)  # a sentence for what is no tensor
        given = x.clone() if self.writes else x
        with generators_kept(x.device) if self.draws else nullcontext():
            output = tensor_from(self.function(given), self.role)
        return output.clone() if self.reuses else output

    def _does_write(self, x: Tensor) -> bool:
        """Say whether the change of ``x`` was this function's doing: another thread may write to what ``x`` is a view of."""
        copy = x.detach().clone()
        before = version(copy)
        with torch.no_grad():
            self.function(copy)
        return version(copy) != before

    def examine(self, x: Tensor, held: list[Tensor]) -> Tensor:
        """The same value as a call, learning from it; ``held`` are its earlier results, which are kept alive meanwhile.

        The copy that it is given is compared bit by bit, since ``x.data.mul_`` and NumPy leave no other trace.
        """
        if not self.known:
            self.known, self.writes, self.reuses = True, False, False
        given = x.detach().clone()
        before = version(given)
        output = tensor_from(self.function(given), self.role)
        self.writes |= version(given) != before or not same_bits(given, x.detach())
        if _memory(output) == _memory(given) is not None:
            self.passes_on = True
        else:
            # All of them are alive, so memory that two of them share is kept by the function itself.
            self.reuses |= any(_memory(output) == _memory(earlier) is not None for earlier in held)
            held.append(output)
        return output.detach().clone()

    def learn(self, other: Watched) -> None:
        """Take over what is known of another, of which this is a copy."""
        self.known, self.writes, self.reuses = other.known, other.writes, other.reuses
        self.passes_on, self.draws = other.passes_on, other.draws


@contextmanager
def generators_kept(device: torch.device) -> Iterator[None]:
    """Torch's global generators, of the CPU and of ``device``, are afterwards as before; one thread at a time."""
    with _DRAWING:
        states = generator_states(device)
        try:
            yield
        finally:
            restore_generators(states, device)


def generator_states(device: torch.device) -> tuple[Tensor, ...]:
    """States of the global generators that a computation on ``device`` may advance."""
    own = (torch.cuda.get_rng_state(device),) if device.type == "cuda" else ()
    return (torch.get_rng_state(), *own)


def restore_generators(states: tuple[Tensor, ...], device: torch.device) -> None:
    """Inverse of :func:`generator_states`."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Say whether two tensors have one form and the same bytes: NaN equals itself, and −0 does not equal 0."""
    same_form = a.dtype == b.dtype and a.shape == b.shape and a.device == b.device
    return same_form and torch.equal(_bytes(a), _bytes(b))


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else tensor.reshape(-1)


def version(x: Tensor) -> int:
    """Return how often torch has written to the tensor's memory; 0 where that is not counted."""
    try:
        return x._version
    except AttributeError:
        raise InputError(f"A field takes tensors, not {_a(x)}; convert with torch.as_tensor(values).") from None
    except RuntimeError:  # inference tensors
        return 0


def _a(value: Any) -> str:
    kind = type(value).__name__
    return f"{'a' if kind[0] not in 'aeiou' else 'an'} {kind}"


def _memory(tensor: Tensor) -> int | None:
    """Return where the tensor's storage begins; None if it has none (no elements, or an exotic layout)."""
    try:
        return tensor.untyped_storage().data_ptr() or None
    except (RuntimeError, NotImplementedError):
        return None


def tensor_from(output: Any, role: str) -> Tensor:
    """The output if it is a tensor; otherwise one sentence that says how to get one."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, (tuple, list)):
        remedy = f"take the part that is the {'latent (for a VAE the mean)' if role == 'encode' else 'reconstruction'}"
        remedy += f", for example {role}=lambda x: model.{role}(x)[0]"
    elif isinstance(output, torch.distributions.Distribution):
        remedy = f"a field needs one value per input: {role}=lambda x: model.{role}(x).mean"
    elif hasattr(output, "latent_dist"):
        remedy = f"use the posterior mean: {role}=lambda x: model.{role}(x).latent_dist.mode()"
    elif hasattr(output, "sample") and isinstance(output.sample, Tensor):
        remedy = f"{role}=lambda z: model.{role}(z).sample"
    else:
        remedy = f"wrap it so that {role} returns one tensor"
    raise FieldError(f"{role} returned {_a(output)} instead of a tensor; {remedy}.")
