"""The latent vector field of a model: f(z) = E(D(z)), v(z) = f(z) − z, and their derivatives."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.arguments import checked, sizes, whole
from separatrix.errors import FieldError, InputError
from separatrix.field import _derivatives as derivatives
from separatrix.field._check import findings
from separatrix.field._contract import Examined, examined
from separatrix.field._conversion import converted
from separatrix.field._findings import FieldCheck
from separatrix.field._fingerprints import fingerprint, weights_fingerprint
from separatrix.field._given import declared_shape, first_floating, halves, is_without_numbers, require_target
from separatrix.field._guest import borrowed, modules_behind
from separatrix.field._watched import Watched
from separatrix.words import printable
from separatrix.work import Batches, out_of_memory, usual_size


class LatentField:
    """A trained encoder E: X→Z and decoder D: Z→X read as a dynamical system on the latent space Z.

    The *latent map* is f = E∘D: Z→Z, the *velocity* v(z) = f(z) − z, and z_{t+1} = f(z_t) an *orbit*
    (Fumero et al., ICLR 2026). Nothing is trained, and the model is a guest: its parameters, mode, hooks and the global
    random state are the same after every call as before it, also after an exception. A field never changes:
    :meth:`to` returns another one.

    Args:
        encode: maps a batch of data to a batch of latents; an `nn.Module`, a bound method or any function. A variational
            encoder must return its posterior *mean*. Or one model with the methods ``encode`` and ``decode``, alone.
        decode: maps a batch of latents to a batch of data, in the value range and size that ``encode`` expects.
        latent_shape: shape of one latent without the batch axis, such as ``(32,)``, ``(4, 8, 8)`` or ``(196, 768)``; a
            model that is given alone may say it itself, as its attribute ``latent_shape`` or ``latent_dim``.
        example: instead of ``latent_shape``: one batch of data, which is encoded to see the shape.
        dtype: of the latents; by default that of the model's parameters, or float32.
        device: of the latents; by default that of the model's parameters, or the CPU.
        name: how results call this field.
        units: what one unit of the latent space is, where the model leaves a choice (such as a scaling factor).
        modules: the modules (`nn.Module`) behind the callables, if they cannot be found from them.
        details: what else was decided when the model was loaded (family, revision, preprocessing); JSON-ready.

    Raises:
        InputError: neither a latent shape nor an example was given, the latent is empty, or there is no such device.
        FieldError: the weights are on the device ``meta``, or the example cannot be encoded to a batch of latents.

    >>> field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,))
    >>> field(torch.zeros(3, 1)).tolist()
    [[0.0], [0.0], [0.0]]
    >>> field.velocity(torch.tensor([[0.957504]])).abs().item() < 1e-6
    True
    """

    def __init__(
        self,
        encode: Callable[..., Any],
        decode: Callable[..., Any] | None = None,
        *,
        latent_shape: Sequence[int] | int | None = None,
        example: Tensor | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        name: str = "model",
        units: str = "the model's own latent units",
        modules: Sequence[nn.Module] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        if decode is None:
            model = encode
            encode, decode = halves(model)
            latent_shape = declared_shape(model) if latent_shape is None and example is None else latent_shape
        for role, function in (("encode", encode), ("decode", decode)):
            if not callable(function):
                raise InputError(
                    f"{role} must be callable (a module, a method or a function), not {type(function).__name__}."
                )
        require_target(dtype, device)
        self.encoder, self.decoder = Watched(encode, "encode"), Watched(decode, "decode")
        self.examined: Examined | None = None
        self._fingerprints: dict[frozenset[str], str | None] = {}
        self.modules: tuple[nn.Module, ...] = tuple(modules) if modules is not None else modules_behind(encode, decode)
        weight = first_floating(self.modules)
        self.dtype: torch.dtype = dtype or (torch.float32 if weight is None else weight.dtype)
        self.device: torch.device = torch.device(device or ("cpu" if weight is None else weight.device))
        self.batches = Batches()
        self.name = printable(name)
        if self.device.type == "meta" or is_without_numbers(self.modules):
            raise FieldError(
                f"{name} is on the device meta, which holds shapes and no numbers; materialise it first, with "
                "module.to_empty(device='cpu') and then module.load_state_dict(…)."
            )
        self.units = units
        self.details: Mapping[str, Any] = dict(details or {})
        if latent_shape is None:
            if example is None:
                raise InputError(
                    "LatentField needs latent_shape=(…) or example=x (one batch of data) to know the latent space."
                )
            with self.guest():
                latent_shape = self.encoder(example.to(self.device)).shape[1:]
        self.latent_shape: tuple[int, ...] = sizes("latent_shape", latent_shape)

    @classmethod
    def from_map(cls, function: Callable[..., Any], latent_shape: Sequence[int] | int, **options: Any) -> LatentField:
        """Any self-map Z→Z as a field: data space is the latent space and the decoder is the identity."""
        return cls(function, _identity, latent_shape=latent_shape, **options)

    @classmethod
    def of(cls, given: Any) -> LatentField:
        """The field itself, or that of a model with the methods encode and decode that says how its latents are shaped.

        Raises:
            InputError: it is neither; the message says what to write.
        """
        if isinstance(given, cls):
            return given
        halves(given)
        if declared_shape(given) is None:
            raise InputError(
                f"This {type(given).__name__} does not say how its latents are shaped; make a field of it first, "
                "sx.LatentField(model, latent_shape=(…))."
            )
        return cls(given, name=type(given).__name__)

    @property
    def latent_dim(self) -> int:
        """Number of latent coordinates k."""
        return math.prod(self.latent_shape)

    @property
    def halves(self) -> tuple[Watched, Watched]:
        """E and D as they are called: watched, and given copies where that is needed."""
        return self.encoder, self.decoder

    @property
    def _encode(self) -> Callable[..., Any]:
        return self.encoder.function

    @property
    def _decode(self) -> Callable[..., Any]:
        return self.decoder.function

    @property
    def taken_by_place(self) -> tuple[str, ...]:
        """Sentences on outputs that were tuples, of which the first entry is taken; known only once the model has run."""
        words = (getattr(function, "by_place", None) for function in (self._decode, self._encode))
        return tuple(word for word in words if isinstance(word, str))

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of all weights, buffers and captured tensors, without those that an evaluation writes to; None without any."""
        scratch = self.examined.scratch if self.examined is not None else frozenset()
        if scratch not in self._fingerprints:
            self._fingerprints[scratch] = fingerprint(self.modules, (self._encode, self._decode), scratch)
        return self._fingerprints[scratch]

    @cached_property
    def weights_fingerprint(self) -> str | None:
        """SHA-256 of the state dicts alone, or None where no module could be found behind the callables."""
        return weights_fingerprint(self.modules)

    def guest(self) -> AbstractContextManager[None]:
        """Borrow the model: evaluation mode, no gradients; put back when the last of its borrowers is done.

        Every public method does this by itself; a loop enters it once, around all its evaluations.
        """
        return borrowed(self.modules)

    def examine(self, latents: Tensor | None = None) -> Examined:
        """Test what a model must be at these points, and learn its manners (`separatrix.field._contract`)."""
        found = examined(self, latents)
        if found.error is not None and out_of_memory(found.error):
            with self.guest():
                self.batches(self._once, found.points[:1])  # says so in its own words
        if found.check.ok:
            self.examined = found
        return found

    def admit(self, latents: Tensor | None = None, data: Tensor | None = None) -> None:
        """Examine the field where it is evaluated first; refuse what is no deterministic self-map.

        Every evaluation does this by itself; what the model raises is left to the evaluation that follows.

        Raises:
            FieldError: the model draws random numbers, keeps a state, or lets latents of one batch act on each other.

        Cost: none for a field that was admitted before; else 10 map evaluations, which no result counts as its own.
        """
        if self.examined is not None:
            return
        if latents is not None and (not isinstance(latents, Tensor) or latents.shape[1:] != self.latent_shape):
            return
        try:
            found = examined(self, latents, data)
        except Exception:
            return
        if found.error is None:
            found.check.require()
            self.examined = found

    def inherit(self, other: LatentField) -> None:
        """Take over what is known of another field, of which this is a copy."""
        self.examined = other.examined
        for mine, its in zip(self.halves, other.halves, strict=True):
            mine.learn(its)

    def forget(self) -> None:
        """Forget what was learnt of the model, since its weights were replaced."""
        self.examined = None
        self._fingerprints.clear()
        for known in ("weights_fingerprint", "differentiable"):
            vars(self).pop(known, None)

    def encode(self, x: Tensor) -> Tensor:
        """E(x): data ``(n, …)`` to latents ``(n, *latent_shape)``."""
        with self.guest():
            if self.examined is None:
                self.admit(data=x)
            self._see(x)
            return self.batches(self.encoder, x)

    def decode(self, z: Tensor) -> Tensor:
        """D(z): latents ``(n, *latent_shape)`` to data ``(n, …)``."""
        with self.guest():
            if self.examined is None:
                self.admit(z)
            return self.batches(self._decoded, z)

    def reconstruct(self, x: Tensor) -> Tensor:
        """F(x) = D(E(x))."""
        return self.decode(self.encode(x))

    def __call__(self, z: Tensor) -> Tensor:
        """f(z) = E(D(z)), shape kept. Cost: 1 map evaluation per latent."""
        with self.guest():
            return self.bare(z)

    def bare(self, z: Tensor) -> Tensor:
        """f(z) without the guest context; for loops that hold :meth:`guest` themselves, and for autograd."""
        if isinstance(z, Tensor) and z.shape[:1] == (0,):
            return z  # many models fail at no rows (a reshape with −1), and there is nothing to evaluate
        if self.examined is None:
            self.admit(z)
        # A graph keeps all parts in memory, so derivatives split their rows before they come here.
        return self._once(z) if torch.is_grad_enabled() else self.batches(self._once, z)

    def with_halves(self, encode: Callable[..., Any], decode: Callable[..., Any], **changed: Any) -> LatentField:
        """A field of these halves that says of itself what this one says; ``changed`` are arguments of the constructor."""
        said = ("latent_shape", "dtype", "device", "name", "units", "modules", "details")
        return LatentField(encode, decode, **{name: getattr(self, name) for name in said} | changed)

    @checked
    def with_batch_size(self, most: int | None) -> LatentField:
        """The same field, of which at most so many latents (or data) ever go through the network at once.

        Without a number the size follows from the model by a fixed rule (`separatrix.work._batches`). In either case it is halved
        where memory runs out.

        Raises:
            InputError: fewer than one.

        >>> sizes = []
        >>> field = LatentField.from_map(lambda z: sizes.append(len(z)) or z / 2, latent_shape=(1,)).with_batch_size(2)
        >>> field(torch.ones(4, 1)).flatten().tolist(), max(sizes)
        ([0.5, 0.5, 0.5, 0.5], 2)
        """
        if most == self.batches.asked or most is None:
            return self
        whole("batch_size", most, 1)
        twin = copy.copy(self)
        twin.batches = Batches(most)
        return twin

    @checked
    def with_latent_shape(self, shape: Sequence[int]) -> LatentField:
        """Return the same field on latents of another shape: a convolutional model takes images of other sizes too.

        >>> LatentField.from_map(torch.tanh, latent_shape=(1, 4, 4)).with_latent_shape((1, 8, 8)).latent_dim
        64
        """
        if tuple(shape) == self.latent_shape:
            return self
        twin = copy.copy(self)
        twin.latent_shape = sizes("latent_shape", shape)
        twin.batches = Batches(self.batches.asked)
        twin._fingerprints = {}
        twin.forget()
        return twin

    def _once(self, z: Tensor) -> Tensor:
        f_z = self.encoder(self._decoded(z))
        if f_z.shape != z.shape and z.shape[1:] == self.latent_shape:  # not so when the field was examined
            raise FieldError(
                f"encode(decode(z)) has shape {tuple(f_z.shape)} for latents of shape {tuple(z.shape)}, which it had not before; "
                "return the same shape in every call and for every batch."
            )
        return f_z

    def _decoded(self, z: Tensor) -> Tensor:
        x = self.decoder(z)
        self._see(x)
        return x

    def _see(self, x: Tensor) -> None:
        """The size of the data decides on the usual batch."""
        if self.batches.usual is None and isinstance(x, Tensor) and x.ndim and len(x):
            parameters = sum(p.numel() for module in self.modules for p in module.parameters())
            self.batches.usual = usual_size(self.latent_dim, x.numel() // len(x), parameters, self.device)

    def velocity(self, z: Tensor) -> Tensor:
        """v(z) = f(z) − z. Cost: 1 map evaluation per latent."""
        return self(z) - z

    @cached_property
    def differentiable(self) -> bool:
        """False if autograd sees no way from z to f(z), or only a part (no_grad, detach); derivatives are then differences."""
        self.admit()
        if any(half.known and half.reuses for half in self.halves):
            return False  # autograd would write its graph into the model's own buffer
        with self.guest():
            return derivatives.sees_gradient(self)

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """J_f(z)·tangent, batched over the first axis. Cost: about 4 map evaluations per latent."""
        with self.guest():
            if self.examined is None:
                self.admit(z)
            return derivatives.jvp(self, z, tangent)

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """J_f(z)ᵀ·cotangent, batched over the first axis. Cost: about 2 map evaluations per latent."""
        with self.guest():
            if self.examined is None:
                self.admit(z)
            return derivatives.vjp(self, z, cotangent)

    def jacobian(self, z: Tensor) -> Tensor:
        """Dense Jacobians over flattened latents: ``(n, *latent_shape)`` to ``(n, k, k)``, J[n, i, j] = ∂f_i/∂z_j.

        Cost: about 2k map evaluations per latent. For large k use :meth:`jvp` and :meth:`vjp`.

        >>> field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,))
        >>> field.jacobian(torch.zeros(1, 2)).tolist()
        [[[0.5, 0.0], [0.0, 0.5]]]
        """
        with self.guest():
            if self.examined is None:
                self.admit(z)
            return derivatives.jacobian(self, z)

    def to(
        self,
        *targets: torch.dtype | torch.device | str,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> LatentField:
        """The same field in another number format or on another device; the user's model is copied, never converted.

        Args:
            targets: a number format, a device, or both, in any order, as `torch.nn.Module.to` takes them.
            dtype, device: the same by name.

        Raises:
            InputError: there is no such device, the format is not a floating one, or one of the two is given twice.
            FieldError: the model cannot be copied, or the copy does not compute in that format (a cast is hidden inside the
                callables).
            OutOfMemoryError: there is no room for a copy.

        >>> LatentField.from_map(torch.tanh, latent_shape=(1,)).to(torch.float64).dtype
        torch.float64
        """
        for target in targets:
            is_format = isinstance(target, torch.dtype)
            if (dtype if is_format else device) is not None:
                raise InputError("field.to takes one number format and one device, and one of them is given twice.")
            dtype, device = (target, device) if isinstance(target, torch.dtype) else (dtype, target)
        require_target(dtype, device)
        dtype, device = dtype or self.dtype, torch.device(device or self.device)
        return self if (dtype, device) == (self.dtype, self.device) else converted(self, dtype, device)

    def check(self, starts: Tensor | None = None) -> FieldCheck:
        """Test everything a latent field must be: finite weights, closing shapes and formats, determinism, independence of the batch.

        Also noted: halves that write into their input or return one buffer again and again (they get copies), outputs of which
        the first entry is taken, train mode, whether there are gradients, whether float64 is available. Stops at the first failure
        that makes the later tests meaningless. The model is untouched afterwards.

        Args:
            starts: ``(n, *latent)`` points to test at; a few N(0, I) points if not given.

        Cost: about 100 map evaluations.

        >>> print(LatentField.from_map(torch.tanh, latent_shape=(2,)).check().ok)
        True
        """
        return FieldCheck(tuple(findings(self, starts)))

    def describe(self) -> dict[str, Any]:
        """JSON-ready identity: name, latent, format, units, weight fingerprint, and what loading decided."""
        identity = {
            "name": self.name,
            "latent_shape": list(self.latent_shape),
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
            "units": self.units,
            "parameters": sum(p.numel() for module in self.modules for p in module.parameters()),
            "fingerprint": self.fingerprint,
            "weights": self.weights_fingerprint,
        }
        return {**identity, "details": dict(self.details)} if self.details else identity

    @property
    def title(self) -> str:
        """The field in one line: its name, its latents, its parameters, its format and its device."""
        parameters = sum(p.numel() for module in self.modules for p in module.parameters())
        return (
            f"{self.name}: latent {'×'.join(map(str, self.latent_shape))}, "
            f"{parameters:,} parameters, {str(self.dtype).removeprefix('torch.')} on {self.device}"
        )

    def __repr__(self) -> str:
        return f"LatentField({self.title})"


def check(field: LatentField | nn.Module, starts: Tensor | None = None) -> FieldCheck:
    """Test everything that :meth:`LatentField.check` tests, of a field or of a model that says how its latents are shaped.

    >>> check(LatentField.from_map(lambda z: z / 2, latent_shape=3)).ok
    True
    """
    return LatentField.of(field).check(starts)


def _identity(z: Tensor) -> Tensor:
    return z
