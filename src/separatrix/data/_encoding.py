"""E(x) for more data than fit through a network at once; a sentence for data that do not fit it at all."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data._images import shape_words
from separatrix.errors import FieldError, InputError, first_line
from separatrix.field import LatentField

_LARGEST_BATCH = 256  # beyond this, batches get slower on a CPU (page faults) and no faster on an accelerator
_NUMBERS_PER_BATCH = 2**22  # what large images are held to: 16 MB of float32

_REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)  # how networks refuse a shape


@checked
def encode_range(field: LatentField, batch: Callable[[int, int], Tensor], first: int, last: int) -> Tensor:
    """Latents of the data ``first … last − 1``, where ``batch(a, b)`` gives the data a … b − 1.

    At most one batch of data exists at a time. The result
    depends on how the data fall into batches only by rounding.

    Cost: half a map evaluation (one encoding) per item.

    Raises:
        InputError: the encoder does not take data of this shape, or makes latents that are not the field's.
    """
    size = max(1, min(_LARGEST_BATCH, _NUMBERS_PER_BATCH // batch(first, first + 1).numel()))
    with field.guest():
        return torch.cat([_encode(field, batch(a, min(a + size, last))) for a in range(first, last, size)])


def decode_all(field: LatentField, latents: Tensor) -> Tensor:
    """D(z) of each of ``(n, *latent_shape)``, on the CPU, a batch at a time. Cost: one decoding per latent."""
    with field.guest():
        parts = latents.split(_LARGEST_BATCH) if len(latents) else [latents]
        return torch.cat([field.decode(part.to(field.device, field.dtype)).detach().cpu() for part in parts])


def _encode(field: LatentField, x: Tensor) -> Tensor:
    try:
        latents = field.encode(x.to(field.dtype).to(field.device))
    except _REFUSALS as error:
        raise _misfit(field, x.shape[1:], f"refuses it ({first_line(error)})") from error
    if latents.shape != (len(x), *field.latent_shape):
        outcome = f"makes {shape_words(latents.shape[1:]) or 'single numbers'} of it"
        raise _misfit(field, x.shape[1:], f"{outcome} where the latent space is {shape_words(field.latent_shape)}")
    return latents.to(field.dtype)


def _misfit(field: LatentField, given: torch.Size, outcome: str) -> InputError:
    expected = _decoded_shape(field)
    if expected is None or expected == given:
        remedy = "check that encode takes data as load_images gives them, by field.check()"
        return InputError(f"The data have shape {shape_words(given)}, and the encoder {outcome}; {remedy}.")
    return InputError(
        f"The data have shape {shape_words(given)} where the model's decoder makes {shape_words(expected)}, "
        f"and the encoder {outcome}; {_remedy(given, expected)}."
    )


def _decoded_shape(field: LatentField) -> torch.Size | None:
    """Shape of one decoded latent, which is what the encoder must take, or None if the decoder fails too."""
    try:
        return field.decode(torch.zeros((1, *field.latent_shape), dtype=field.dtype, device=field.device)).shape[1:]
    except (*_REFUSALS, FieldError):
        return None


def _remedy(given: torch.Size, expected: torch.Size) -> str:
    if math.prod(given) == math.prod(expected):
        return f"reshape them with x.reshape(-1, {', '.join(map(str, expected))})"
    if len(given) == len(expected) == 3 and given[0] == expected[0]:
        return f"resize them with load_images(data, size=({expected[1]}, {expected[2]}))"
    if len(given) == len(expected) == 3 and given[1:] == expected[1:] and given[0] == 1:
        return f"repeat the grey channel with x.expand(-1, {expected[0]}, -1, -1)"
    if len(given) == len(expected) == 3 and given[1:] == expected[1:] and expected[0] == 1:
        return "average the colours with x.mean(1, keepdim=True)"
    return f"give data of shape {shape_words(expected)}"
