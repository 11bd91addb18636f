"""The contract of a latent field as assertions, for the tests of any adapter.

A field is a deterministic self-map, evaluated latent by latent, whose model is a guest: whatever is done with
it, also when it fails, leaves weights, modes, hooks, gradients and random states as they were.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from separatrix.errors import FieldError
from separatrix.field import LatentField
from separatrix.field._watched import same_bits
from separatrix.numerics.counter_random import gaussian
from separatrix.protocol import DENSE_LIMIT

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)
_DIRECTIONS = 3  # directions in which derivatives are compared


def assert_is_latent_field(field: LatentField, latents: Tensor | None = None) -> None:
    """Every clause of the contract, checked on a few latents.

    In this order: shape, number format and device are as declared and values finite; the map is
    deterministic; each row is computed from its own latent alone; jvp, vjp, jacobian and central differences
    are one derivative; the model is untouched afterwards, and also after an error in the middle of an
    evaluation.

    Args:
        field: the field to check.
        latents: ``(n, *latent_shape)`` with n ≥ 2, where to check; by default 4 draws from N(0, I).

    Raises:
        AssertionError: with one sentence that names the broken clause.

    Cost: about 100 map evaluations per latent, and a dense Jacobian up to 512 dimensions.

    >>> assert_is_latent_field(LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(3,)))
    >>> assert_is_latent_field(LatentField.from_map(lambda z: z - z.mean(dim=0), latent_shape=(3,)))
    Traceback (most recent call last):
    ...
    AssertionError: model: the image of a latent depends on the other latents in its batch (...).
    """
    z = _draws(field, 4, seed=0) if latents is None else torch.as_tensor(latents).to(field.device, field.dtype)
    _require(
        z.shape[1:] == field.latent_shape and len(z) >= 2,
        f"{field.name}: the check needs two or more latents {field.latent_shape}, not {tuple(z.shape)}.",
    )
    _require(
        bool(torch.isfinite(z).all()), f"{field.name}: the check needs finite latents; leave out NaN and infinity."
    )
    with assert_model_untouched(field):
        assert_is_self_map(field, z)
    with assert_model_untouched(field):
        assert_is_deterministic(field, z)
        assert_is_batch_independent(field, z)
        field(z)
        assert_derivatives_agree(field, z)
    assert_is_good_guest(field, z)


def assert_is_self_map(field: LatentField, z: Tensor) -> None:
    """f(z) has the shape, number format and device of z, and is finite; no gradient graph is kept."""
    image = _image(field, z)
    for what, is_, should in (
        ("shape", tuple(image.shape), tuple(z.shape)),
        ("dtype", image.dtype, field.dtype),
        ("device", image.device, z.device),
    ):
        _require(is_ == should, f"{field.name}: f returns {what} {is_} for latents of {what} {should}.")
    _require(bool(torch.isfinite(image).all()), f"{field.name}: f returns NaN or infinity for finite latents.")
    _require(not image.requires_grad, f"{field.name}: f returns a tensor that still carries its gradient graph.")


def assert_is_deterministic(field: LatentField, z: Tensor) -> None:
    """The same latents give the same bits, whatever the global random state is."""
    first = _image(field, z)
    with _random_states_kept(field.device):
        torch.manual_seed(1)
        second = _image(field, z)
        torch.manual_seed(2)
        third = _image(field, z)
    _require(
        torch.equal(first, second) and torch.equal(first, third),
        f"{field.name}: the same latents gave different images (dropout, sampling or masking is active); "
        "return the mean, and leave out what draws random numbers.",
    )


def assert_is_batch_independent(field: LatentField, z: Tensor) -> None:
    """f(z)[i] is f(z[i]), up to the rounding of differently sized matrix products."""
    together = _image(field, z)
    try:
        alone = torch.cat([_image(field, z[i : i + 1]) for i in range(len(z))])
    except (RuntimeError, ValueError) as error:
        raise AssertionError(f"{field.name}: a batch of one latent cannot be evaluated ({error}).") from error
    backwards = _image(field, z.flip(0)).flip(0)
    bound = _rounding(field.dtype) * (1 + float(together.abs().max()))
    gap = max(float((together - other).abs().max()) for other in (alone, backwards))
    _require(
        gap <= bound,
        f"{field.name}: the image of a latent depends on the other latents in its batch "
        f"(a difference of {gap:.1e}; batch normalisation in training mode does that).",
    )


def assert_derivatives_agree(field: LatentField, z: Tensor) -> None:
    """⟨u, Jt⟩ = ⟨Jᵀu, t⟩, the dense Jacobian gives the same products, and Jt is the difference along t.

    Differences are taken in float64 where the field can be, and only where those to both sides agree: a kink
    of a piecewise linear network is not a wrong derivative.
    """
    rounding = _rounding(field.dtype)
    tolerance = 10 * rounding if field.differentiable else rounding**0.5
    dense = field.jacobian(z) if field.latent_dim <= DENSE_LIMIT else None
    exact = _in_float64(field)
    for k in range(_DIRECTIONS):
        tangent, cotangent = _like(z, seed=10 + k), _like(z, seed=20 + k)
        forward = field.jvp(z, tangent)
        size = 1 + float(forward.abs().max()) + float(cotangent.abs().max())
        if field.differentiable or dense is not None:
            backward = field.vjp(z, cotangent)
            gap = float(((forward * cotangent).flatten(1).sum(1) - (backward * tangent).flatten(1).sum(1)).abs().max())
            _require(
                gap <= tolerance * size**2 * field.latent_dim,
                f"{field.name}: jvp and vjp are not transposes, ⟨u, Jt⟩ − ⟨Jᵀu, t⟩ = {gap:.1e}.",
            )
        if dense is not None:
            product = (dense @ tangent.flatten(1).unsqueeze(-1)).reshape(z.shape)
            gap = float((product - forward).abs().max())
            _require(
                gap <= tolerance * size * field.latent_dim,
                f"{field.name}: the dense Jacobian and jvp differ by {gap:.1e}.",
            )
        difference, smooth = _central_difference(exact, z.to(exact.dtype), tangent.to(exact.dtype))
        gap = float(torch.where(smooth, (difference - forward).abs(), 0.0).max())
        _require(
            gap <= 10 * rounding**0.5 * size,
            f"{field.name}: jvp is not the derivative of f, central differences are {gap:.1e} away "
            "(a detach or no_grad inside the model does that).",
        )


def assert_is_good_guest(field: LatentField, z: Tensor) -> None:
    """Nothing is left behind by evaluations, by derivatives, or by an error around the model or inside it."""
    with assert_model_untouched(field):
        field.reconstruct(field.decode(z))
        field.jvp(z, torch.ones_like(z))
        field.vjp(z, torch.ones_like(z))
    with assert_model_untouched(field), _expected_fault(field), field.guest():
        _fail()
    operations = _OperationCount()
    with operations:
        field(z)
    if operations.seen:
        faulty = _OperationCount(fault_at=1 + operations.seen // 2)
        with assert_model_untouched(field), _expected_fault(field, faulty), faulty:
            field(z)


@contextmanager
def assert_model_untouched(field: LatentField) -> Iterator[None]:
    """The model behind the field, and all global states, are after the block what they were before it.

    Compared are the bytes of parameters and buffers, their gradients and ``requires_grad``, the training flag
    and hooks of every submodule, the random states of torch, NumPy and Python, and whether gradients are
    recorded.

    >>> net = torch.nn.Linear(2, 2)
    >>> field = LatentField.from_map(net, latent_shape=(2,))
    >>> with assert_model_untouched(field):
    ...     _ = net.eval()
    Traceback (most recent call last):
    ...
    AssertionError: model: the training flag of the model (Linear, module 0 of the field) has changed.
    """
    before = _snapshot(field)
    yield
    after = _snapshot(field)
    for what in {**before, **after}:  # in the order of the snapshot, so that the first change is named
        same = what in before and what in after and _same(before[what], after[what])
        _require(same, f"{field.name}: {what} has changed.")


def _image(field: LatentField, z: Tensor) -> Tensor:
    """f(z) of a field that need not be admitted: the contract has finer sentences than a refusal."""
    with field.guest():
        return field.encoder(field.decoder(z)).clone()


def _require(condition: bool, broken: str) -> None:
    # Not an assert statement: python -O would drop the whole contract.
    if not condition:
        raise AssertionError(broken)


def _snapshot(field: LatentField) -> dict[str, Any]:
    state: dict[str, Any] = {
        "torch's random state": torch.get_rng_state(),
        "NumPy's random state": np.random.get_state(legacy=False),  # noqa: NPY002 — the legacy state is the global one
        "Python's random state": random.getstate(),
        "torch's recording of gradients": torch.is_grad_enabled(),
    }
    if field.device.type == "cuda":
        state["the GPU's random state"] = torch.cuda.get_rng_state(field.device)
    for index, module in enumerate(field.modules):
        for path, part in module.named_modules():
            # Encoder and decoder often have parts of the same name: "0" of module 0 is not "0" of module 1.
            where = f"{path or 'the model'} ({type(part).__name__}, module {index} of the field)"
            state[f"the training flag of {where}"] = part.training
            for hooks in _HOOKS:
                state[f"{hooks} of {where}"] = tuple(getattr(part, hooks, ()))
            for name, tensor in _own_tensors(part):
                state[f"{name} of {where}"] = tensor.detach().clone()
                state[f"requires_grad of {name} of {where}"] = tensor.requires_grad
                state[f"the gradient of {name} of {where}"] = None if tensor.grad is None else tensor.grad.clone()
    return state


def _own_tensors(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from part.named_parameters(recurse=False)
    yield from part.named_buffers(recurse=False)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return same_bits(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    return bool(a == b)


@contextmanager
def _random_states_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


class _Fault(Exception):
    """The error that the contract injects."""


def _fail() -> None:
    raise _Fault


@contextmanager
def _expected_fault(field: LatentField, count: _OperationCount | None = None) -> Iterator[None]:
    try:
        yield
    except _Fault:
        return
    except RuntimeError:  # TorchScript's interpreter raises an error of its own where it meets ours
        if count is None or not count.raised:
            raise
        return
    raise AssertionError(f"{field.name}: an error inside the model was swallowed.")


class _OperationCount(TorchDispatchMode):
    """Counts tensor operations and fails once, at number ``fault_at``: an error inside a model as it is."""

    def __init__(self, fault_at: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = 0
        self.fault_at = fault_at
        self.raised = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen += 1
        if self.seen == self.fault_at:
            self.raised = True
            raise _Fault
        return func(*args, **(kwargs or {}))


def _in_float64(field: LatentField) -> LatentField:
    try:
        return field.to(dtype=torch.float64)
    except FieldError:
        return field


def _central_difference(field: LatentField, z: Tensor, tangent: Tensor) -> tuple[Tensor, Tensor]:
    """(f(z + ht) − f(z − ht))/2h, and where f is smooth: the two one-sided quotients agree within √h."""
    length = float(torch.finfo(field.dtype).eps ** (1 / 3) * (1 + z.abs().max()))
    ahead, here, behind = field(z + length * tangent), field(z), field(z - length * tangent)
    bend = (ahead - 2 * here + behind).abs() / length
    return (ahead - behind) / (2 * length), bend <= length**0.5


def _draws(field: LatentField, count: int, seed: int) -> Tensor:
    draws = torch.from_numpy(gaussian(seed, 0, count, field.latent_dim))
    return draws.to(field.device, field.dtype).reshape(count, *field.latent_shape)


def _like(z: Tensor, seed: int) -> Tensor:
    return torch.from_numpy(gaussian(seed, 0, len(z), z[0].numel())).to(z.device, z.dtype).reshape(z.shape)


def _rounding(dtype: torch.dtype) -> float:
    """Return what sums of a few thousand products may differ by when they are taken in another order."""
    return 100 * float(torch.finfo(dtype).eps)
