"""This file tells what encoders and decoders return, in its usual shapes, as one tensor."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FieldError

_MEAN = re.compile(r"(^|_)(mu|mean|means|loc)s?(_|\d|$)", re.IGNORECASE)
_VARIANCE = re.compile(r"var|std|sigma|scale|(^|_)logs", re.IGNORECASE)
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

    Of a tuple, the mean is taken where the names in the function's ``return`` tell which that is (some return the log variance
    first), else the first part with one row per input: a vector quantiser may return its loss, one number, first.

    Attributes:
        by_place: what the first output was of which nothing but its place or its name in the source said what to take, in
            words; None as long as there was none. Known only once the model has run.
    """

    def __init__(self, function: Any, role: str) -> None:
        self.function = function
        self.role = role
        self.by_place: str | None = None
        self._mean = place_of_mean(function) if role == "encode" else None

    def __call__(self, x: Tensor) -> Tensor:
        output = self.function(x)
        if not isinstance(output, (tuple, list)) or len(output) < 2 or _named_part(output) is not None:
            return unwrapped(output, self.role)
        place, words = self._place(output, len(x))
        if self.by_place is None:
            self.by_place = f"{self.role} returned {_a_kind(output)} of {len(output)}, of which {words} is taken"
        return unwrapped(output[place], self.role)

    def _place(self, output: Any, count: int) -> tuple[int, str]:
        if self._mean is not None and self._mean[0] < len(output):
            place, name = self._mean
            return place, "the first" if place == 0 else f"{name}, number {place + 1},"
        for place, part in enumerate(output):
            # One row per input, and no whole numbers: neither a loss nor the indices of a code book.
            if not isinstance(part, Tensor) or (part.is_floating_point() and part.ndim and len(part) == count):
                return place, "the first" if place == 0 else f"number {place + 1}, the first with a row per input,"
        return 0, "the first"


def place_of_mean(function: Any) -> tuple[int, str] | None:
    """Tell which part of the tuple that a function returns is the mean, by the names in its source, and its name.

    None where there is no source, or where it does not name a mean and a variance.

    >>> place_of_mean(place_of_mean) is None
    True
    """
    try:
        function = function.forward if isinstance(function, nn.Module) else function
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError, ValueError):
        return None
    found: set[tuple[int, str]] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Return) or not isinstance(node.value, ast.Tuple):
            continue
        names = [_last_name(part) for part in node.value.elts]
        if any(_VARIANCE.search(name) for name in names):
            means = [place for place, name in enumerate(names) if _MEAN.search(name) and not _VARIANCE.search(name)]
            found |= {(place, names[place]) for place in means[:1]}
    return found.pop() if len(found) == 1 else None


def _last_name(part: ast.expr) -> str:
    """Return the last name, such as ``fc_mu`` of ``self.fc_mu(h)``; empty where a part has no name."""
    while isinstance(part, ast.Call):
        part = part.func
    if isinstance(part, ast.Attribute):
        return part.attr
    return part.id if isinstance(part, ast.Name) else ""


def is_plain_module(function: Any) -> bool:
    """Tell whether it is a module of torch.nn itself, whose output is known to be a tensor."""
    return isinstance(function, nn.Module) and type(function).__module__.startswith("torch.nn.modules")
