"""This file leads from what the user types to a field: the function behind ``sx.load`` and the command line's MODEL."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from separatrix.arguments import checked, sizes
from separatrix.errors import FieldError
from separatrix.field import LatentField
from separatrix.field._given import require_target
from separatrix.models._backbones import BACKBONE
from separatrix.models._checkpoint import SAVED
from separatrix.models._diffusers_models import DIFFUSERS
from separatrix.models._folders import find_folder, one_sentence
from separatrix.models._language_models import LANGUAGE_MODEL
from separatrix.models._onnx_pairs import ONNX
from separatrix.models._presets import BURGESS_PRESETS, TAEF2_PRESET, VAELIGHT_PRESET
from separatrix.models._programs import PROGRAM
from separatrix.models._python_objects import PYTHON
from separatrix.models._registry import FAMILIES, Family, LoadRequest
from separatrix.models._sparse_autoencoders import SPARSE
from separatrix.models._vit_mae import VIT_MAE
from separatrix.models._weights import unusable_weight


@checked
def load(
    spec: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    latent_shape: Sequence[int] | int | None = None,
    decoder: str | os.PathLike[str] | None = None,
    options: Mapping[str, object] | None = None,
    allow_code: bool = False,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> LatentField:
    """A latent field from a spec.

    ==================================  ===================================================================
    spec                                meaning
    ==================================  ===================================================================
    ``package.module:factory``          imported, from the current directory too, and called without arguments
    ``path/to/file.py:factory``         the same from a file
    ``model.safetensors``               a model written by :func:`separatrix.models.save_model`
    ``hf:org/name@revision#subfolder``  a model of the Hugging Face hub, or of its cache
    ``path/to/folder``                  the same files in a folder: an autoencoder of diffusers, ViTMAE, a vision encoder
                                        (with ``decoder``), a causal language model, a sparse autoencoder, an ONNX pair
    ``encoder.onnx``                    an ONNX pair with ``decoder="decoder.onnx"``
    ``model.pt2``, ``model.pt``         a program, with ``allow_code=True`` only
    ``taef2``, ``vaelight``,            published models by name
    ``burgess/VAE_mnist``
    ==================================  ===================================================================

    A factory returns a LatentField, a pair ``(encode, decode)``, or an `nn.Module` with the methods
    ``encode`` and ``decode`` and the attribute ``latent_shape`` or ``latent_dim``; a distribution stands for its mean, a
    tuple for its first entry. A function of one argument with ``latent_shape`` given is a self-map Z→Z. Further families
    register in :data:`separatrix.models.FAMILIES`; docs/models.md shows each.

    Args:
        spec: which model.
        weights: a safetensors file (or a ``.pt``/``.pth`` with tensors only) for the factory's module; for
            two modules its names begin with ``encoder.`` and ``decoder.``. Names and shapes must agree
            exactly.
        latent_shape: shape of one latent, where the model does not say.
        decoder: the decoder of an encoder without one: a file of ``separatrix train-decoder``, a factory, or the second
            file of a pair.
        options: choices of the family, such as ``{"latent": "mean"}``; a wrong name lists them.
        allow_code: run what only files from a trusted author should: pickles, TorchScript, .pt2, code in a hub folder.
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
    require_target(dtype, device)
    request = LoadRequest(
        spec=spec,
        weights=None if weights is None else Path(weights),
        latent_shape=None if latent_shape is None else sizes("latent_shape", latent_shape),
        decoder=None if decoder is None else os.fspath(decoder),
        allow_code=allow_code,
        options={name: str(value) for name, value in (options or {}).items()},
    )
    family = FAMILIES.find(spec)
    if not family.takes_folders:
        family.require_options(request.options)
    field = family.load(request)
    for module in field.modules:
        if trouble := unusable_weight(module):
            raise FieldError(f"{spec} has {trouble}, so every orbit would be lost; give it other weights.")
    return field.to(dtype=dtype, device=device)


def _load_folder(request: LoadRequest) -> LatentField:
    folder = find_folder(request.spec)
    family = FAMILIES.recognise(folder)
    family.require_options(request.options)
    with one_sentence(folder, family.name):
        return family.load(replace(request, folder=folder))


FOLDER = Family(
    name="model folder",
    form="hf:org/name@revision#subfolder or path/to/folder",
    load=_load_folder,
    schemes=("hf",),
    takes_folders=True,
    verified="local folders and the hub's cache layout; no download was possible where this was tested",
)

for _family in (
    PYTHON,
    SAVED,
    PROGRAM,
    FOLDER,
    DIFFUSERS,
    VIT_MAE,
    BACKBONE,
    LANGUAGE_MODEL,
    SPARSE,
    ONNX,
    TAEF2_PRESET,
    VAELIGHT_PRESET,
    BURGESS_PRESETS,
):
    FAMILIES.register(_family)
