"""Models by name: published checkpoints whose files are described here and lie where the user keeps them."""

from __future__ import annotations

import os
from pathlib import Path

from separatrix.errors import FileError, InputError
from separatrix.field import LatentField
from separatrix.models._burgess import load_burgess_vae
from separatrix.models._registry import Family, LoadRequest
from separatrix.models._taef2 import load_taef2

DATA_VARIABLE = "SEPARATRIX_DATA"
_OBJECTIVES = ("VAE", "betaH", "betaB", "btcvae", "factor")
_BURGESS = tuple(f"burgess/{objective}_{data}" for data in ("mnist", "dsprites") for objective in _OBJECTIVES)


def _place(request: LoadRequest, inside: str) -> Path:
    """Where the files are: the weights that were given, else their place in $SEPARATRIX_DATA."""
    if request.weights is not None:
        return request.weights
    if root := os.environ.get(DATA_VARIABLE):
        return Path(root) / "weights" / inside
    raise FileError(
        f"The files of {request.spec} are not part of separatrix; give their place with weights=, or set "
        f"{DATA_VARIABLE} to the folder that holds weights/{inside}."
    )


def _load_taef2(request: LoadRequest) -> LatentField:
    shape = request.latent_shape
    if shape is not None and (len(shape) != 3 or shape[0] != 32):
        raise InputError(f"Latents of TAEF2 have the shape (32, height/8, width/8), not {shape}; give such a shape.")
    size = (8 * shape[1], 8 * shape[2]) if shape else (request.number("height", 64), request.number("width", 64))
    place = _place(request, "taef2")
    model = load_taef2(place if os.path.isdir(place) else place.parent, size)
    return model.field(f"TAEF2 3×{size[0]}×{size[1]} → {'×'.join(map(str, model.latent_shape))}")


def _load_burgess(request: LoadRequest) -> LatentField:
    name = request.spec.removeprefix("burgess/")
    model = load_burgess_vae(_place(request, f"burgess_vae/{name}.safetensors"))
    if request.latent_shape not in (None, (model.latent_dim,)):
        raise InputError(f"{request.spec} has latents of shape ({model.latent_dim},); leave latent_shape out.")
    return model.field(f"Burgess {name}", family=BURGESS_PRESETS.name)


TAEF2_PRESET = Family(
    name="TAEF2",
    form="taef2",
    load=_load_taef2,
    names=("taef2",),
    options={"height": "pixels, a multiple of 8 (64)", "width": "pixels, a multiple of 8 (64)"},
    verified="published weights: reconstruction of four photographs at 256 px, orbits at 32 px",
)
BURGESS_PRESETS = Family(
    name="Burgess VAE",
    form="burgess/VAE_mnist",
    load=_load_burgess,
    names=_BURGESS,
    verified="all ten published checkpoints",
)
