"""A model with a latent field must be a deterministic self-map, evaluated latent by latent. Tested once per field.

The first evaluation of a field, through whatever function, examines it at the points of that evaluation (`examined`).
What passed costs nothing at any later door; what failed is refused at every one, in the same sentence.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from separatrix.errors import first_line
from separatrix.field._findings import FieldCheck, Finding
from separatrix.field._fingerprints import unregistered
from separatrix.field._watched import Watched, generator_states, restore_generators, same_bits, version
from separatrix.numerics.counter_random import gaussian
from separatrix.words import one_line
from separatrix.work import out_of_memory

if TYPE_CHECKING:
    from separatrix.field._field import LatentField

POINTS = 4
_SQUEEZED = "name the axis in squeeze(dim), or use flatten(1), so that a batch of one keeps its batch axis"
ROUNDING = 2e3  # batch composition may change results by this many rounding units, not more


@dataclass(frozen=True)
class Examined:
    """Holds what was found, at which points (the first ``given`` are the caller's), and their image, or the error in its place.

    ``scratch`` are the captured tensors and buffers that the evaluations wrote to or replaced: no part of what the model is.
    """

    check: FieldCheck
    points: Tensor
    given: int
    image: Tensor | None = None
    error: Exception | None = None
    scratch: frozenset[str] = frozenset()

    __repr__ = one_line


def examined(field: LatentField, latents: Tensor | None = None, data: Tensor | None = None) -> Examined:
    """Test what a model must be, whatever the points: finite weights, closing shapes, determinism, independence of the batch.

    Also learnt: whether a half writes into its input or reuses its output (then it is given copies), and whether it draws
    from torch's global generator. The generator and the model are untouched afterwards. Stops at the first failure that makes
    the later tests meaningless.

    Args:
        field: the field.
        latents: ``(n, *latent)`` where to test; a few N(0, I) points if neither is given.
        data: instead: inputs of the encoder, whose latents are the points.

    Raises:
        Exception: whatever the model raises for data that it does not take.

    Cost: 4 encodings of data, and 10 map evaluations (twice as many of a model that is refused), which no result counts as its own.
    """
    count = min(POINTS, field.batches.size)
    while True:
        try:
            found = _examined(field, latents, data, count)
            if found.error is None or not out_of_memory(found.error) or count == 1:
                return found
        except Exception as error:
            if not out_of_memory(error) or count == 1:
                raise
        count //= 2


def _examined(field: LatentField, latents: Tensor | None, data: Tensor | None, count: int) -> Examined:
    before, elsewhere, trial = generator_states(field.device), _other_generators(), None
    try:
        with field.guest():
            held, weights = _write_counts(field), weights_finding(field)
            if weights.passed and latents is None and data is not None:
                latents = field.encoder.examine(data[:count], [])
                if latents.shape[1:] != field.latent_shape:  # a misfit of these data, which their reader explains
                    latents = None
            z, given = points_for(field, latents, count)
            if not weights.passed:
                return Examined(FieldCheck((weights,)), z, given)
            trial = _Trial(field, z)
            check = FieldCheck((weights, *trial.findings()))
            now = _write_counts(field)
            scratch = frozenset(name for name in held.keys() | now.keys() if held.get(name) != now.get(name))
            return Examined(check, z, given, trial.image, trial.error, scratch)
    finally:
        # Only what the model has drawn: another thread's draws would be repeated. After an error nobody knows.
        if (trial is None or trial.draws) and not all(map(same_bits, before, generator_states(field.device))):
            restore_generators(before, field.device)
        if trial is not None and trial.replayed:
            _restore_others(elsewhere)


def points_for(field: LatentField, latents: Tensor | None, count: int = POINTS) -> tuple[Tensor, int]:
    """``count`` latents at most, of which two differ, and how many are given ones: a batch of equals hides a dependence."""
    drawn = torch.from_numpy(gaussian(seed=0, first=0, count=count, width=field.latent_dim))
    drawn = drawn.to(field.device, field.dtype).reshape(count, *field.latent_shape)
    if latents is None or not len(latents):
        return drawn, count
    z = latents[:count].detach().to(field.device, field.dtype)
    if count == 1 or (len(z) > 1 and not all(same_bits(row, z[0]) for row in z[1:])):
        return z, len(z)
    z = z[: count - 1]
    size = z[0].abs().amax().nan_to_num(0.0, 0.0, 0.0)
    beside = z[:1].nan_to_num(0.0, 0.0, 0.0) + drawn[:1] * torch.where(size > 0, size, torch.ones_like(size))
    return torch.cat([z, beside]), len(z)


class _Trial:
    """The evaluations of one examination and what they show."""

    def __init__(self, field: LatentField, z: Tensor) -> None:
        self.field, self.z = field, z
        self._before, self._elsewhere = generator_states(field.device), _other_generators()
        self.image: Tensor | None = None
        self.error: Exception | None = None
        self.draws = True  # until the contrary is known
        self.replayed = False
        self._held: dict[str, list[Tensor]] = {"encode": [], "decode": []}

    def findings(self) -> Iterator[Finding]:
        closes = self._closes()
        yield closes
        for words in self.field.taken_by_place:
            yield Finding("outputs", None, words, "where another one is meant, return that alone")
        if self.image is None:
            return
        if (self.image.dtype, self.image.layout, self.image.device) != (self.z.dtype, self.z.layout, self.z.device):
            yield _other_format(self.z, self.image)
            return
        # Between two evaluations of the same points come others: a cache of the last ones shows.
        alone = self._alone()
        again = self._map(self.z)
        advanced = not all(map(same_bits, self._before, generator_states(self.field.device)))
        self.draws = advanced and _seeded(lambda: self._map(self.z)).shared
        for half in self.field.halves:
            half.draws = self.draws
        if torch.equal(self.image.nan_to_num(), again.nan_to_num()):
            yield Finding("deterministic", True, "two evaluations agree to the last bit")
            yield self._batch_independent(alone)
        else:
            yield self._indeterminate(again)
        yield from map(_inputs, self.field.halves)
        yield from map(_outputs, self.field.halves)

    def _map(self, z: Tensor) -> Tensor:
        decode, encode = self.field.decoder, self.field.encoder
        return encode.examine(decode.examine(z, self._held["decode"]), self._held["encode"])

    def _closes(self) -> Finding:
        name, wanted = "shapes", tuple(self.z.shape)
        refusals = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)
        try:
            x = self.field.decoder.examine(self.z, self._held["decode"])
        except refusals as error:
            self.error = error
            if more := _unbound(self.field.decoder.function):
                given = ", ".join(f"{argument}=…" for argument in more)
                return Finding(
                    name,
                    False,
                    f"decode needs {' and '.join(more)} beside the latents, as a conditional decoder does",
                    f"bind {' and '.join(more)}: decode=lambda z: model.decode(z, {given}), one field per condition",
                )
            return Finding(
                name,
                False,
                f"decode does not accept latents of shape {wanted} ({first_line(error)})",
                "give the latent_shape that the decoder was built for",
            )
        try:
            image = self.field.encoder.examine(x, self._held["encode"])
        except refusals as error:
            self.error = error
            return Finding(
                name,
                False,
                f"encode does not accept what decode returns, shape {tuple(x.shape)} ({first_line(error)})",
                "resize or convert the decoder's output to the encoder's input inside encode",
            )
        if tuple(image.shape) != wanted and image.shape == self.z.squeeze().shape:
            return Finding(
                name,
                False,
                f"encode(decode(z)) has shape {tuple(image.shape)} for latents of shape {wanted}, which have lost their axes of "
                "length 1",
                _SQUEEZED,
            )
        if tuple(image.shape) != wanted:
            return Finding(
                name,
                False,
                f"encode(decode(z)) has shape {tuple(image.shape)} for latents of shape {wanted}",
                f"give latent_shape={tuple(image.shape[1:])} if that is the latent, or take the right output of the encoder",
            )
        self.image = image
        return Finding(name, True, f"latent {wanted[1:]} → data {tuple(x.shape[1:])} → latent {wanted[1:]}")

    def _alone(self) -> list[Tensor] | Exception:
        """The first and the last row, each in a batch of its own."""
        try:
            return [self._map(self.z[row : row + 1]) for row in (0, len(self.z) - 1)]
        except (RuntimeError, ValueError) as error:
            return error

    def _batch_independent(self, rows: list[Tensor] | Exception) -> Finding:
        assert self.image is not None
        remedy = "put BatchNorm layers in eval mode (model.eval()), or hand separatrix the modules so that it can"
        if any("quantized.dynamic" in type(p).__module__ for module in self.field.modules for p in module.modules()):
            remedy = "quantise statically: dynamic quantisation takes its scale from the whole batch"
        if isinstance(rows, Exception):
            detail = f"f works on a batch but not on a single latent ({first_line(rows)})"
            return Finding("batch independence", False, detail, remedy)
        if other := [row for row in rows if row.shape != self.z[:1].shape]:
            detail = f"f(z) of a single latent has shape {tuple(other[0].shape)} instead of {tuple(self.z[:1].shape)}"
            return Finding("batch independence", False, detail, _SQUEEZED)
        alone, together = torch.cat(rows), torch.stack([self.image[0], self.image[-1]])
        unit = torch.finfo(self.image.dtype).eps * (1 + float(self.image.abs().nan_to_num().max()))
        apart = float((alone - together).abs().nan_to_num().max()) / unit
        if apart > ROUNDING:
            detail = f"f(z) depends on the other latents of the batch (by {apart * unit:.2g})"
            return Finding("batch independence", False, detail, remedy)
        return Finding("batch independence", True, f"alone and in a batch agree to {apart:.0f} rounding units")

    def _indeterminate(self, again: Tensor) -> Finding:
        """Random numbers if the same numbers give the same image, or if some were drawn; else a state."""
        assert self.image is not None
        if self.image.shape == again.shape:
            apart = float((self.image - again).abs().nan_to_num().max())
            detail = f"two evaluations of f at the same points differ by up to {apart:.2g}"
        else:
            detail = f"two evaluations of f at the same points have shapes {tuple(self.image.shape)} and {tuple(again.shape)}"
        self.replayed = True
        restore_generators(self._before, self.field.device)
        _restore_others(self._elsewhere)
        same = torch.equal(self._map(self.z).nan_to_num(), self.image.nan_to_num())
        if same or _seeded(lambda: self._map(self.z)).any:
            words = "the model draws random numbers"
            remedy = (
                "return the posterior mean instead of a sample, and fix the noise or the mask of a masked autoencoder"
            )
        else:
            words = "the model keeps a state from call to call (a counter, a cache, a generator of its own)"
            remedy = "reset that state in every call, or leave it out of encode and decode"
        return Finding("deterministic", False, f"{detail}: {words}", remedy)


def _other_format(z: Tensor, image: Tensor) -> Finding:
    own, given = (str(t.dtype).removeprefix("torch.") for t in (z, image))
    if image.layout != z.layout:
        return Finding("format", False, "encode(decode(z)) is a sparse tensor", "return a dense one, with .to_dense()")
    if image.device != z.device:
        where = f"encode(decode(z)) is on the device {image.device} for latents on {z.device}"
        return Finding("format", False, where, "keep the whole model on one device, and return what it computes there")
    remedy = f"return them as they came, encode=lambda x: model.encode(x).to(torch.{own})"
    if image.is_complex():
        remedy = "return real numbers, such as torch.view_as_real(z).flatten(1)"
    elif image.is_floating_point():
        remedy += f", or give dtype=torch.{given} if the model computes in that"
    return Finding("format", False, f"encode(decode(z)) is {given} for {own} latents", remedy)


def _unbound(function: Any) -> list[str]:
    """Arguments that a decoder must be given beside the latents."""
    function = getattr(function, "function", function)  # behind what unwraps its output
    try:
        parameters = list(inspect.signature(getattr(function, "forward", function)).parameters.values())
    except (TypeError, ValueError):
        return []
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters[1:] if p.default is p.empty and p.kind not in fixed]


def weights_finding(field: LatentField) -> Finding:
    """Test whether every weight and buffer holds a finite number."""
    for module in field.modules:
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if is_lazy(tensor):
                return Finding(
                    "weights",
                    False,
                    f"the weight {name} of {field.name} has no values yet, its layer is made on first use",
                    "run the model once on data, or load its weights, before it becomes a field",
                )
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                kind = "NaN" if bool(tensor.isnan().any()) else "infinity"
                return Finding(
                    "weights",
                    False,
                    f"the weight {name} of {field.name} contains {kind}",
                    "load an undamaged checkpoint, one saved before training diverged",
                )
    count = sum(p.numel() for module in field.modules for p in module.parameters())
    return Finding("weights", True, f"{count:,} parameters, all finite" if field.modules else "no modules found")


def _inputs(half: Watched) -> Finding:
    if half.writes:
        return Finding(
            f"{half.role}'s input",
            None,
            f"{half.role} writes into the tensor that it is given",
            "it is given copies here; elsewhere let it begin with x = x.clone(), or leave out inplace=True",
        )
    return Finding(f"{half.role}'s input", True, f"{half.role} leaves the tensor that it is given as it is")


def _outputs(half: Watched) -> Finding:
    if half.reuses:
        return Finding(
            f"{half.role}'s output",
            None,
            f"{half.role} returns the same memory again, so that a later call overwrites an earlier result",
            "its results are copied here; elsewhere let it return output.clone()",
        )
    shared = "its input or a view of it, to which nothing is written here" if half.passes_on else "memory of its own"
    return Finding(f"{half.role}'s output", True, f"{half.role} returns {shared}")


@dataclass(frozen=True)
class _Seeded:
    any: bool
    shared: bool


class _Draws(TorchDispatchMode):
    """Sees, in this thread only, whether operations draw random numbers, and whether from torch's global generator."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.any = self.shared = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.any = True
            self.shared |= not any(isinstance(a, torch.Generator) for a in (*args, *(kwargs or {}).values()))
        return func(*args, **(kwargs or {}))


def _seeded(evaluate: Callable[[], Any]) -> _Seeded:
    mode = _Draws()
    try:
        with mode:
            evaluate()
    except Exception:  # what a stranger's model does in here says nothing about its numbers
        return _Seeded(True, True)
    return _Seeded(mode.any, mode.shared)


def _write_counts(field: LatentField) -> dict[str, tuple[int, int]]:
    """Return the tensors that the model holds beside its state dict, and how often each was written to."""
    found = unregistered(field.modules, (field.encoder.function, field.decoder.function))
    return {name: (id(value), version(value)) for name, value in found.items() if isinstance(value, Tensor)}


def _other_generators() -> tuple[Any, Any]:
    return np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002 — the global state is the point


def _restore_others(states: tuple[Any, Any]) -> None:
    np.random.set_state(states[0])  # noqa: NPY002
    random.setstate(states[1])
