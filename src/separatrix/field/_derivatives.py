"""Derivatives of a latent map, by autograd where its gradient is the map's and by central differences elsewhere.

All functions expect to be called inside ``field.guest()``; :class:`separatrix.field._field.LatentField` does that.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from separatrix.errors import FieldError
from separatrix.numerics.counter_random import gaussian
from separatrix.protocol import DENSE_LIMIT
from separatrix.work import out_of_memory

if TYPE_CHECKING:
    from separatrix.field._field import LatentField

# Torch has one stack of forward-mode levels, and one choice of attention kernels, for all threads: in two at once tangents
# become 0 in silence.
_FORWARD_MODE = threading.RLock()
_ROWS_AT_ONCE = 256  # rows of Jacobians in one backward pass; larger batches are slower on a CPU
_WITNESSES, _WITNESSES_AT_ONCE = 8, 4  # points at which autograd is compared with differences
_AGREEMENT = 1e-3  # relative error that autograd is allowed where differences are exact
_ROUNDING = 8.0  # rounding of f, in units of ε·|f|, that is allowed to hide in a difference


def vjp(field: LatentField, z: Tensor, cotangent: Tensor) -> Tensor:
    """J(z)ᵀ·u for a batch. Without a gradient it costs 2k evaluations and is limited to small latents."""
    if not field.differentiable:
        dense = jacobian(field, z)
        return (dense.mT @ cotangent.flatten(1).unsqueeze(-1)).reshape(z.shape)
    gradient = _autograd_vjp(field, z, cotangent)
    return torch.zeros_like(z) if gradient is None else gradient


def jvp(field: LatentField, z: Tensor, tangent: Tensor) -> Tensor:
    """J(z)·t for a batch, by forward-mode autograd or by central differences (2 evaluations)."""
    if not field.differentiable:
        return _difference_jvp(field, z, tangent)
    return field.batches(lambda point, t: _autograd_jvp(field, point, t), z, tangent)


def _autograd_jvp(field: LatentField, z: Tensor, tangent: Tensor) -> Tensor:
    # The fused attention kernels have neither a forward-mode nor a second derivative; the plain formula has both.
    with _FORWARD_MODE, sdpa_kernel(SDPBackend.MATH):
        try:
            return torch.func.jvp(field.bare, (z,), (tangent,))[1]
        except (RuntimeError, NotImplementedError) as error:  # some operation of the model has no forward mode
            if out_of_memory(error):
                raise
            return _reverse_twice(field, z, tangent)


def _reverse_twice(field: LatentField, z: Tensor, tangent: Tensor) -> Tensor:
    """J·t as the derivative of u ↦ Jᵀu along t; exact, at about twice the price of forward mode."""
    with torch.enable_grad():
        point = z.detach().clone().requires_grad_()
        output = field.bare(point)
        dual = torch.zeros_like(output, requires_grad=True)
        (pulled,) = torch.autograd.grad(output, point, dual, create_graph=True)
        (product,) = torch.autograd.grad(pulled, dual, tangent)
    return product.detach()


def jacobian(field: LatentField, z: Tensor) -> Tensor:
    """Dense ``(n, k, k)`` Jacobians, from k vector products per latent, many rows in one pass."""
    n, k = len(z), field.latent_dim
    identity = torch.eye(k, dtype=z.dtype, device=z.device).reshape(k, *field.latent_shape)
    if not field.differentiable and k > DENSE_LIMIT:
        raise FieldError(
            f"{field.name} gives no gradients and has {k} latent dimensions; "
            f"a Jacobian from differences is limited to {DENSE_LIMIT} dimensions."
        )
    rows = []
    for first in range(0, n * k, _ROWS_AT_ONCE):
        index = torch.arange(first, min(first + _ROWS_AT_ONCE, n * k), device=z.device)
        point, direction = z[index // k], identity[index % k]
        product = vjp(field, point, direction) if field.differentiable else _difference_jvp(field, point, direction)
        rows.append(product.flatten(1))
    dense = torch.cat(rows).reshape(n, k, k) if rows else z.new_zeros((0, k, k))
    return dense if field.differentiable else dense.mT.contiguous()


def sees_gradient(field: LatentField) -> bool:
    """Tell whether autograd's derivative is the map's: ⟨u, J·t⟩ by autograd against central differences, u and t random.

    A ``torch.no_grad`` inside a user's function would otherwise silently read as J = 0, everywhere stable; a detached
    part or a straight-through estimator would read as the Jacobian of another map.

    Each of eight points is a witness. Its differences over two lengths, √ε and √ε/8, tell how far a difference can be
    trusted there: rounding and kinks make the two disagree, a wrong gradient does not. A witness contradicts autograd if
    autograd is farther from both than they are from each other, and half of them decide: a false "blind" would cost
    the products of large latents, and kinks and rounding alone mislead single witnesses (3 of 8 at worst, measured on
    1600 random networks down to half precision).

    Cost: about 60 evaluations.
    """
    contradictions = 0
    for first in range(0, _WITNESSES, _WITNESSES_AT_ONCE):
        drawn = gaussian(seed=0, first=3 * first, count=3 * _WITNESSES_AT_ONCE, width=field.latent_dim)
        z, t, u = (
            torch.from_numpy(drawn).to(field.device, field.dtype).reshape(3, _WITNESSES_AT_ONCE, *field.latent_shape)
        )
        try:
            gradient = _autograd_vjp(field, z, u)
        except RuntimeError as error:  # NumPy inside, out= arguments, in-place writes that autograd does not take
            if out_of_memory(error):
                raise
            return False
        if gradient is None:
            return False
        contradictions += int(_contradicted(field, z, t, u, gradient).sum())
    return contradictions < _WITNESSES // 2


def _contradicted(field: LatentField, z: Tensor, t: Tensor, u: Tensor, gradient: Tensor) -> Tensor:
    """``(n,)`` bool: do differences along ``t`` contradict ⟨gradient, t⟩? NaN contradicts nothing."""
    eps = torch.finfo(z.dtype).eps
    claimed = _inner(gradient, t)
    long, short = (_inner(u, _difference_jvp(field, z, t, eps**0.5 / part)) for part in (1, 8))
    rounding = eps * _norm(u * field.bare(z)) * _norm(t) / _step(z, eps**0.5)
    doubt = 3 * (long - short).abs() + _AGREEMENT * (long.abs() + claimed.abs()) + _ROUNDING * rounding
    return torch.minimum((claimed - long).abs(), (claimed - short).abs()) > doubt


def _autograd_vjp(field: LatentField, z: Tensor, cotangent: Tensor) -> Tensor | None:
    """J(z)ᵀ·u, or None where autograd sees no way from the image to z."""
    blind = False

    def pulled(point: Tensor, u: Tensor) -> Tensor:
        nonlocal blind
        with torch.enable_grad():
            point = point.detach().clone().requires_grad_()
            output = field.bare(point)
            if output.requires_grad:
                (gradient,) = torch.autograd.grad(output, point, u, allow_unused=True)
                if gradient is not None:
                    return gradient.detach()
        blind = True
        return torch.zeros_like(u)

    gradient = field.batches(pulled, z, cotangent)
    return None if blind else gradient


def _difference_jvp(field: LatentField, z: Tensor, tangent: Tensor, relative: float | None = None) -> Tensor:
    """(f(z + hτ) − f(z − hτ))·‖t‖/2h with τ = t/‖t‖: the length of the step does not depend on that of the tangent.

    ``relative`` is h over the size of z; by default ε^(1/3), which balances truncation against rounding.
    """
    per_row = (-1, *[1] * (z.ndim - 1))
    size = _norm(tangent).reshape(per_row)
    step = _step(z, relative or torch.finfo(z.dtype).eps ** (1 / 3)).reshape(per_row)
    shift = (step * tangent / size.clamp(min=torch.finfo(torch.float64).tiny)).to(z.dtype)
    change = field.bare(z + shift) - field.bare(z - shift)
    return (change * (size / (2 * step))).to(z.dtype)


def _step(z: Tensor, relative: float) -> Tensor:
    """``(n,)`` float64, row by row, so that no derivative depends on the other latents of its batch."""
    largest = z.flatten(1).abs().amax(dim=1) if z.numel() else z.new_zeros(len(z))
    return relative * (1 + largest.to(torch.float64))


def _norm(z: Tensor) -> Tensor:
    return torch.linalg.vector_norm(z.flatten(1), dim=1, dtype=torch.float64)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    return (a.to(torch.float64) * b.to(torch.float64)).flatten(1).sum(dim=1)
