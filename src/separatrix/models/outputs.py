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
    part = _named_part(output)
    if part is not None:
        return unwrapped(part, role)
    if isinstance(output, (tuple, list)) and output and output[0] is not output:
        return unwrapped(output[0], role)
    raise FieldError(
        f"{role} returned {_a_kind(output)} instead of a tensor; wrap it so that {role} "
        "returns one tensor, for a variational encoder the posterior mean."
    )


def _named_part(output: Any) -> Any:
    """The part of a record whose name says that it is the result; None if there is none."""
    if getattr(output, "latent_dist", None) is not None:
        return output.latent_dist
    if callable(getattr(output, "mode", None)) and isinstance(getattr(output, "mean", None), Tensor):
        return output.mean  # diffusers' DiagonalGaussianDistribution, which is no torch distribution
    parts = (getattr(output, name, None) for name in _NAMED)
    return next((part for part in parts if isinstance(part, Tensor)), None)


def _a_kind(output: Any) -> str:
    kind = type(output).__name__
    return f"{'a' if kind[0] not in 'aeiou' else 'an'} {kind}"


class Unwrapping:
    """A callable whose result is unwrapped; copied with its model, because the callable is an attribute.

    Attributes:
        by_place: what the first output was of which nothing but its place said what to take, in words; None as long as
            there was none. Known only once the model has run.
    """

    def __init__(self, function: Any, role: str) -> None:
        self.function = function
        self.role = role
        self.by_place: str | None = None

    def __call__(self, x: Tensor) -> Tensor:
        output = self.function(x)
        several = isinstance(output, (tuple, list)) and len(output) > 1
        if several and self.by_place is None and _named_part(output) is None:
            self.by_place = f"{self.role} returned {_a_kind(output)} of {len(output)}, of which the first is taken"
        return unwrapped(output, self.role)


def is_plain_module(function: Any) -> bool:
    """Whether it is a module of torch.nn itself, whose output is known to be a tensor."""
    return isinstance(function, nn.Module) and type(function).__module__.startswith("torch.nn.modules")
