"""Image autoencoders of diffusers: AutoencoderKL, AutoencoderTiny, VQModel, AutoencoderDC and others with their face."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FileError, InputError, first_line
from separatrix.field import LatentField
from separatrix.models._adapter import ModelAdapter
from separatrix.models._folders import ModelFolder, load_pretrained, optional, origin_details, refuse_code
from separatrix.models._outputs import unwrapped
from separatrix.models._preprocessing import Preprocessing
from separatrix.models._registry import Family, LoadRequest

_STARTS = ("Autoencoder", "Asymmetric", "VQModel")
_LARGEST_DEFAULT = 256  # pixels; SD's 512 would give 16 384 latent dimensions before anyone asked for them
_UNIT_RANGE = ("AutoencoderRAE",)  # takes and returns [0, 1]; the others −1 to 1


class DiffusersAutoencoder(ModelAdapter):
    """An autoencoder of diffusers as a self-map of its latents.

    Encoding gives the posterior mean. Latents are in the units of the diffusion model, (z − shift)·scale, unless
    ``scaled`` is False: the same dynamics in other units, but N(0, I) is the data-free start only in the scaled ones.

    Args:
        model: the autoencoder.
        image_size: ``(height, width)`` of the images that the field decodes.
        scaled: latents in scaled units.

    Raises:
        InputError: the model does not take such images.
        FileError: its scaling factor or shift is no finite number, or the factor is 0.
    """

    family = "diffusers"

    def __init__(self, model: nn.Module, image_size: tuple[int, int], scaled: bool = True) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        scale, shift = _number(config, "scaling_factor", 1.0), _number(config, "shift_factor", 0.0)
        if scale == 0:
            raise FileError(
                "config.json says scaling_factor = 0, which would make every latent 0; copy or download it again."
            )
        self.scale, self.shift = (scale, shift) if scaled else (1.0, 0.0)
        self.units = (
            f"scaled latents (z − {self.shift:g})·{self.scale:g}, as the diffusion model takes them"
            if scaled
            else "the encoder's own latents, without the diffusion model's scaling factor "
            f"{scale:g} and shift {shift:g}"
        )
        name = type(model).__name__
        self.preprocessing = Preprocessing() if name in _UNIT_RANGE else Preprocessing.symmetric()
        self.quantised = name == "VQModel"
        if self.quantised:
            self.notes = (
                "The decoder quantises: f is constant on cells and jumps between them, so its Jacobian is 0 almost "
                "everywhere and says nothing about stability; read the orbits, not ρ.",
            )
        channels = int(config.get("in_channels") or 3)
        device = next(model.parameters()).device
        try:
            with torch.no_grad():
                probe = self.encode(torch.full((1, channels, *image_size), 0.5, device=device))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InputError(
                f"{name} does not encode images {channels}×{image_size[0]}×{image_size[1]} ({first_line(error)}); "
                "give other sides by the options height and width, multiples of its reduction."
            ) from error
        self.latent_shape = tuple(probe.shape[1:])

    @property
    def model_class(self) -> str:
        """Name the class, such as ``"AutoencoderKL"``."""
        return type(self.model).__name__

    def encode(self, x: Tensor) -> Tensor:
        """The posterior mean of images in [0, 1], in the field's units."""
        assert self.preprocessing is not None
        encoded = self.model.encode(self.preprocessing.to_encoder(x))  # type: ignore[operator]
        return (unwrapped(encoded, "encode") - self.shift) * self.scale

    def decode(self, z: Tensor) -> Tensor:
        """Images in [0, 1] (a little beyond, they are not cut off)."""
        assert self.preprocessing is not None
        if self.quantised:
            # The straight-through estimator is a trick of training; seen as the derivative it would be a wrong one.
            with torch.no_grad():
                return self._decoded(z)
        return self._decoded(z)

    def _decoded(self, z: Tensor) -> Tensor:
        assert self.preprocessing is not None
        decoded = self.model.decode(z / self.scale + self.shift)  # type: ignore[operator]
        return self.preprocessing.to_image(unwrapped(decoded, "decode"))

    def describe(self) -> dict[str, Any]:
        """JSON-ready."""
        return super().describe() | {"scaling_factor": self.scale, "shift_factor": self.shift}


def _number(config: Any, name: str, default: float) -> float:
    """A finite number of a config, the default where it is left out or null."""
    value = default if (given := config.get(name)) is None else given
    if not isinstance(value, int | float) or not math.isfinite(value):  # JSON as Python reads it may hold NaN
        raise FileError(f"config.json says {name} = {value!r}, which is no finite number; copy or download it again.")
    return float(value)


def _recognises(folder: ModelFolder) -> bool:
    return folder.diffusers_class.startswith(_STARTS)


def _load(request: LoadRequest) -> LatentField:
    folder = request.folder
    assert folder is not None
    request.refuse_weights("has its own weights")
    refuse_code(folder, request.allow_code)
    with optional("diffusers", "diffusers"):
        import diffusers
    kind = getattr(diffusers, folder.diffusers_class, None)
    if not isinstance(kind, type) or not (hasattr(kind, "encode") and hasattr(kind, "decode")):
        raise FileError(
            f"{folder.origin} holds a {folder.diffusers_class}, which diffusers {diffusers.__version__} does not know as "
            "an autoencoder; install the version that its config.json names."
        )
    model = load_pretrained(kind, folder, low_cpu_mem_usage=False)
    side = _default_side(folder)
    size = (request.number("height", side), request.number("width", side))
    adapter = DiffusersAutoencoder(model, size, request.choice("units", "scaled", ("scaled", "raw")) == "scaled")
    if request.latent_shape not in (None, adapter.latent_shape):
        raise InputError(
            f"{request.spec} makes latents of shape {adapter.latent_shape} of {size[0]}×{size[1]} pixels, not "
            f"{request.latent_shape}; choose the image's sides by the options height and width."
        )
    name = f"{adapter.model_class} {folder.origin}"
    return adapter.field(name, **origin_details(folder), diffusers=diffusers.__version__)


def _default_side(folder: ModelFolder) -> int:
    sample = folder.config.get("sample_size", _LARGEST_DEFAULT)
    sample = sample[0] if isinstance(sample, list) and sample else sample
    return min(sample, _LARGEST_DEFAULT) if isinstance(sample, int) and sample > 0 else _LARGEST_DEFAULT


DIFFUSERS = Family(
    name="diffusers",
    form="hf:org/name@revision#vae or a folder of it",
    load=_load,
    recognises=_recognises,
    options={
        "height": "pixels (the config's sample_size, at most 256)",
        "width": "pixels",
        "units": "scaled (as the diffusion model takes them; the default) or raw",
    },
    verified="random weights: AutoencoderKL, AsymmetricAutoencoderKL, -Tiny, -DC, -RAE and VQModel",
)
