"""Models by name: published checkpoints whose files are described here and lie where the user keeps them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from separatrix.errors import FileError, InputError
from separatrix.field import LatentField
from separatrix.models._burgess import load_burgess_vae
from separatrix.models._distilled import DistilledAutoencoder
from separatrix.models._registry import Family, LoadRequest
from separatrix.models._taef2 import TAEF2
from separatrix.models._vaelight import VAELight

DATA_VARIABLE = "SEPARATRIX_DATA"
_OBJECTIVES = ("VAE", "betaH", "betaB", "btcvae", "factor")
_SIDES = {"height": "pixels, a multiple of 8 (64)", "width": "pixels, a multiple of 8 (64)"}
_BURGESS = tuple(f"burgess/{objective}_{data}" for data in ("mnist", "dsprites") for objective in _OBJECTIVES)


def _place(request: LoadRequest, inside: str) -> Path:
    """Return where the files are: the weights that were given, else their place in $SEPARATRIX_DATA."""
    if request.weights is not None:
        return request.weights
    if root := os.environ.get(DATA_VARIABLE):
        return Path(root) / "weights" / inside
    raise FileError(
        f"The files of {request.spec} are not part of separatrix; give their place with weights=, or set "
        f"{DATA_VARIABLE} to the folder that holds weights/{inside}."
    )


def _load_distilled(request: LoadRequest, model: type[DistilledAutoencoder], **choices: Any) -> LatentField:
    shape, name = request.latent_shape, model.family
    if shape is not None and (len(shape) != 3 or shape[0] != model.channels):
        raise InputError(
            f"Latents of {name} have the shape ({model.channels}, height/8, width/8), not {shape}; give such a shape."
        )
    size = (8 * shape[1], 8 * shape[2]) if shape else (request.number("height", 64), request.number("width", 64))
    place = _place(request, request.spec)
    made = model.read(place if os.path.isdir(place) else place.parent, size, **choices)
    return made.field(f"{name} 3×{size[0]}×{size[1]} → {'×'.join(map(str, made.latent_shape))}")


def _load_taef2(request: LoadRequest) -> LatentField:
    return _load_distilled(request, TAEF2)


def _load_vaelight(request: LoadRequest) -> LatentField:
    units = request.choice("units", "scaled", ("scaled", "raw"))
    return _load_distilled(request, VAELight, scaled=units == "scaled")


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
    options=_SIDES,
    verified="published weights: reconstruction of four photographs at 256 px, orbits at 32 px",
)
VAELIGHT_PRESET = Family(
    name="VAElight",
    form="vaelight",
    load=_load_vaelight,
    names=("vaelight",),
    options={**_SIDES, "units": "scaled (as Stable Diffusion takes them; the default) or raw"},
    verified="published weights: reconstruction of four photographs at 256 px, the same arithmetic as its ONNX files",
)
BURGESS_PRESETS = Family(
    name="Burgess VAE",
    form="burgess/VAE_mnist",
    load=_load_burgess,
    names=_BURGESS,
    verified="all ten published checkpoints",
)
