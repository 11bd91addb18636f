"""Derivatives of a latent map, by autograd where there is a gradient and by central differences where there is none.

All functions expect to be called inside ``field.guest()``; :class:`separatrix.field.LatentField` does that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from separatrix.errors import FieldError
from separatrix.numerics.counter_random import gaussian
from separatrix.protocol import DENSE_LIMIT

if TYPE_CHECKING:
    from separatrix.field import LatentField

_ROWS_AT_ONCE = 256  # rows of Jacobians in one backward pass; larger batches are slower on a CPU


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
    return torch.func.jvp(field.bare, (z,), (tangent,))[1]


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
    """Whether autograd's derivative is the map's: false only if it is absent or zero where differences are not.

    A ``torch.no_grad`` inside a user's function would otherwise silently read as J = 0, everywhere stable.
    Cost: about 20 evaluations.
    """
    z = torch.from_numpy(gaussian(seed=0, first=0, count=4, width=field.latent_dim)).to(field.device, field.dtype)
    z = z.reshape(4, *field.latent_shape)
    output = field.bare(z)
    cotangent = torch.ones_like(output)
    gradient = _autograd_vjp(field, z, cotangent)
    if gradient is not None and bool(gradient.ne(0).any()):
        return True
    difference = _difference_jvp(field, z, torch.ones_like(z))
    noise = 1e3 * torch.finfo(z.dtype).eps * (1 + output.abs().max())
    return not bool((difference.abs() > noise / _difference_length(z)).any()) and gradient is not None


def _autograd_vjp(field: LatentField, z: Tensor, cotangent: Tensor) -> Tensor | None:
    with torch.enable_grad():
        point = z.detach().clone().requires_grad_()
        output = field.bare(point)
        if not output.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(output, point, cotangent, allow_unused=True)
    return None if gradient is None else gradient.detach()


def _difference_length(z: Tensor) -> float:
    # eps^(1/3) balances truncation against rounding for a central difference.
    return float(torch.finfo(z.dtype).eps ** (1 / 3) * (1 + z.abs().max())) if z.numel() else 1.0


def _difference_jvp(field: LatentField, z: Tensor, tangent: Tensor) -> Tensor:
    length = _difference_length(z)
    return (field.bare(z + length * tangent) - field.bare(z - length * tangent)) / (2 * length)
