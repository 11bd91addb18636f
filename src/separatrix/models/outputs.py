"""What encoders and decoders return, in its usual shapes, as one tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FieldError

_NAMED = ("latents", "latent", "sample", "logits", "last_hidden_state")


def unwrapped(output: Any, role: str) -> Tensor:
    """The one tensor in what a model returned: the posterior mean of a distribution, the first of a tuple, or the field
    of an output record that is its result.

    A distribution is never sampled: the latent map has to be deterministic, so a variational encoder stands for its
    mean (for a Gaussian also its mode).

    Args:
        output: a tensor; a tuple or list that begins with one of the forms; an object with ``latent_dist``,
            ``latents``, ``latent``, ``sample``, ``logits`` or ``last_hidden_state``; a distribution.
        role: ``"encode"`` or ``"decode"``, for messages.

    Raises:
        FieldError: it is none of these.

    >>> unwrapped((torch.ones(2), torch.zeros(2)), "encode").tolist()
    [1.0, 1.0]
    >>> unwrapped(torch.distributions.Normal(torch.zeros(1), 2.0), "encode").tolist()
    [0.0]
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, torch.distributions.Distribution):
        return output.mean
    if getattr(output, "latent_dist", None) is not None:
        return unwrapped(output.latent_dist, role)
    if callable(getattr(output, "mode", None)) and isinstance(getattr(output, "mean", None), Tensor):
        return output.mean  # diffusers' DiagonalGaussianDistribution, which is no torch distribution
    for name in _NAMED:
        if isinstance(getattr(output, name, None), Tensor):
            return getattr(output, name)
    if isinstance(output, (tuple, list)) and output and output[0] is not output:
        return unwrapped(output[0], role)
    kind = type(output).__name__
    raise FieldError(
        f"{role} returned {'a' if kind[0] not in 'aeiou' else 'an'} {kind} instead of a tensor; wrap it so that {role} "
        "returns one tensor, for a variational encoder the posterior mean."
    )


class Unwrapping:
    """A callable whose result is unwrapped; copied with its model, because the callable is an attribute."""

    def __init__(self, function: Any, role: str) -> None:
        self.function = function
        self.role = role

    def __call__(self, x: Tensor) -> Tensor:
        return unwrapped(self.function(x), self.role)


def is_plain_module(function: Any) -> bool:
    """Whether it is a module of torch.nn itself, whose output is known to be a tensor."""
    return isinstance(function, nn.Module) and type(function).__module__.startswith("torch.nn.modules")
