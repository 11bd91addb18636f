"""From what the user types to a field: the function behind ``sx.load`` and the command line's MODEL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from separatrix.errors import FieldError, InputError
from separatrix.field import LatentField
from separatrix.models.base import positive
from separatrix.models.checkpoint import SAVED
from separatrix.models.python_objects import PYTHON
from separatrix.models.registry import FAMILIES, Family, LoadRequest
from separatrix.models.weights import PICKLED_SUFFIXES, unusable_weight


def load(
    spec: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    latent_shape: Sequence[int] | int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> LatentField:
    """A latent field from a spec.

    ============================  ========================================================================
    spec                          meaning
    ============================  ========================================================================
    ``package.module:factory``    imported, from the current directory too, and called without arguments
    ``path/to/file.py:factory``   the same from a file
    ``model.safetensors``         a model written by :func:`separatrix.models.save_model`
    ============================  ========================================================================

    A factory returns a LatentField, a pair ``(encode, decode)``, or an `nn.Module` with the methods
    ``encode`` and ``decode`` and the attribute ``latent_shape`` or ``latent_dim``. Further families register
    in :data:`separatrix.models.FAMILIES`.

    Args:
        spec: which model.
        weights: a safetensors file (or a ``.pt``/``.pth`` with tensors only) for the factory's module; for
            two modules its names begin with ``encoder.`` and ``decoder.``. Names and shapes must agree
            exactly.
        latent_shape: shape of one latent, where the model does not say.
        dtype: compute in this floating number format; by default that of the weights.
        device: compute there; by default where the weights are.

    Raises:
        InputError: the spec, the factory or an option cannot be used as given.
        FileError: a file is missing, damaged, unsafe, holds NaN, or does not fit the model.
        FieldError: a weight is NaN or infinite, or the model cannot compute in ``dtype`` on ``device``.

    >>> load("separatrix.models:BurgessVAE", dtype=torch.float64)
    LatentField(BurgessVAE 1×32×32 → 10: latent 10, 469,173 parameters, float64 on cpu)
    """
    spec = os.fspath(spec)
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise InputError(f"dtype must be a floating number format such as torch.float64, not {dtype!r}.")
    if device is not None:
        _require_device(device)
    if isinstance(latent_shape, int):
        latent_shape = (latent_shape,)
    if latent_shape is not None:
        latent_shape = tuple(positive("Every size in latent_shape", size) for size in latent_shape)
    request = LoadRequest(spec=spec, weights=None if weights is None else Path(weights), latent_shape=latent_shape)
    field = FAMILIES.find(spec).load(request)
    for module in field.modules:
        if trouble := unusable_weight(module):
            raise FieldError(f"{spec} has {trouble}, so every orbit would be lost; give it other weights.")
    return field.to(dtype=dtype, device=device)


def _require_device(device: torch.device | str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was compiled with CUDA
        raise InputError(
            f"The device {str(device)!r} is not available here; use 'cpu' or one that torch lists."
        ) from error


def _refuse_bare_weights(request: LoadRequest) -> LatentField:
    raise InputError(
        f"{request.spec} holds weights without their model; give the model as package.module:factory "
        f"and the file as its weights: weights={Path(request.spec).name!r}."
    )


WEIGHTS_ALONE = Family(
    name="weights alone",
    form='package.module:factory with weights="model.pt"',
    load=_refuse_bare_weights,
    suffixes=PICKLED_SUFFIXES,
)

for _family in (PYTHON, SAVED, WEIGHTS_ALONE):
    FAMILIES.register(_family)
