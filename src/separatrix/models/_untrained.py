"""The same architecture before training: what it does is done by no weight that was learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.field._copies import transplanted
from separatrix.field._guest import modules_behind


@checked
def untrained_copy(field: LatentField, seed: int = 0) -> LatentField:
    """A copy of the field with freshly initialised weights; the field itself is not touched.

    Layers are initialised by their own ``reset_parameters``, which is how torch makes them. Parameters that belong to no
    such layer are shuffled: they keep their values and lose their order. Buffers, such as the constants of preprocessing,
    stay, except the running statistics that a layer resets itself.

    Args:
        field: a field whose modules can be found behind its callables.
        seed: of the new weights.

    Raises:
        InputError: no module, or no parameter, is found behind the field's callables.

    >>> layer = nn.Linear(3, 3)
    >>> copy = untrained_copy(LatentField(layer, nn.Identity(), latent_shape=3))
    >>> bool((copy(torch.ones(1, 3)) == layer(torch.ones(1, 3))).any())
    False
    """
    encode, decode = transplanted(field._encode, field._decode, dtype=field.dtype, device=field.device)
    modules = modules_behind(encode, decode)
    if not any(True for module in modules for _ in module.parameters()):
        raise InputError(
            f"{field.name} has no parameters that could be initialised anew; hand LatentField the modules themselves."
        )
    with torch.random.fork_rng(devices=[field.device] if field.device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(seed)
        done: set[int] = set()
        for module in modules:
            for part in module.modules():
                _initialise(part, done)
    details = {"untrained": True, "seed": seed}
    return field.with_halves(encode, decode, name=f"{field.name}, untrained", modules=modules, details=details)


def _initialise(part: nn.Module, done: set[int]) -> None:
    own = [parameter for parameter in part.parameters(recurse=False) if id(parameter) not in done]
    done.update(map(id, own))
    reset: Callable[[], Any] | None = getattr(part, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    for parameter in own:
        order = torch.randperm(parameter.numel()).to(parameter.device)
        parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
