"""transformers' ViTMAE: encoder tokens → decoder → image → encoder, unmasked and in fixed order."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FileError
from separatrix.field import LatentField
from separatrix.models._adapter import ModelAdapter
from separatrix.models._folders import ModelFolder, load_pretrained, optional, origin_details, refuse_code
from separatrix.models._preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from separatrix.models._registry import Family, LoadRequest

LATENTS = ("patches", "all", "mean")


class MaskedAutoencoder(ModelAdapter):
    """ViTMAE without its mask, which is deterministic: every patch is seen, in reading order.

    The latent is one of

    * ``"patches"`` (the default): the patch tokens ``(p, d)``. The decoder also reads a class token; it is given the one
      that the encoder makes of a grey image, always the same.
    * ``"all"``: class token and patch tokens ``(p + 1, d)``.
    * ``"mean"``: the mean patch token ``(d,)``; the decoder reads it at every position.

    Args:
        model: a ViTMAEForPreTraining; its config is set to mask nothing.
        latent: see above.
        preprocessing: by default ImageNet's normalisation on both sides.
    """

    family = "ViTMAE"
    grey: Tensor

    def __init__(self, model: nn.Module, latent: str = "patches", preprocessing: Preprocessing | None = None) -> None:
        super().__init__()
        config: Any = model.config
        config.mask_ratio = 0.0
        config.image_size = square_side(config, "image_size")  # transformers takes a pair too
        self.model = model
        self.latent = latent
        self.preprocessing = preprocessing or Preprocessing.same_on_both_sides(IMAGENET_MEAN, IMAGENET_STD)
        self.patches = (config.image_size // config.patch_size) ** 2
        shapes = {"patches": (self.patches,), "all": (self.patches + 1,), "mean": ()}
        self.latent_shape = (*shapes[latent], config.hidden_size)
        self.units = f"the encoder's tokens after its last normalisation ({latent})"
        if config.norm_pix_loss:
            self.notes = (
                "Trained with norm_pix_loss: the decoder returns each patch normalised by its own mean and deviation, "
                "which no one can undo; these values are taken as if they were the image.",
            )
        weight = next(model.parameters())
        grey = torch.full((1, config.num_channels, config.image_size, config.image_size), 0.5, device=weight.device)
        with torch.no_grad():
            self.register_buffer("grey", self._tokens(grey.to(weight.dtype))[:, :1])

    @property
    def model_class(self) -> str:
        """``"ViTMAEForPreTraining"``."""
        return type(self.model).__name__

    def encode(self, x: Tensor) -> Tensor:
        """Tokens of images in [0, 1]."""
        tokens = self._tokens(x)
        if self.latent == "all":
            return tokens
        return tokens[:, 1:] if self.latent == "patches" else tokens[:, 1:].mean(dim=1)

    def decode(self, z: Tensor) -> Tensor:
        """Images in [0, 1] (not cut off)."""
        assert self.preprocessing is not None
        if self.latent != "all":
            patches = z if self.latent == "patches" else z.unsqueeze(1).expand(-1, self.patches, -1)
            z = torch.cat([self.grey.expand(len(z), -1, -1), patches], dim=1)
        order = torch.arange(self.patches, device=z.device).expand(len(z), -1)
        model: Any = self.model
        return self.preprocessing.to_image(model.unpatchify(model.decoder(z, ids_restore=order).logits))

    def _tokens(self, x: Tensor) -> Tensor:
        assert self.preprocessing is not None
        # transformers sorts the patches by this noise, also when none is masked, and draws it if it is not given.
        noise = torch.arange(self.patches, device=x.device, dtype=x.dtype).expand(len(x), -1)
        model: Any = self.model
        return model.vit(self.preprocessing.to_encoder(x), noise=noise).last_hidden_state


def normalisation(folder: ModelFolder) -> tuple[list[float], list[float]]:
    """Mean and deviation of the encoder's input from ``preprocessor_config.json``; ImageNet's if there is none."""
    given = folder.read_json("preprocessor_config.json") if folder.has("preprocessor_config.json") else {}
    channels = folder.config.get("num_channels", 3)

    def of(name: str, default: tuple[float, ...]) -> list[float]:
        value = given.get(name, default)
        values = list(value) if isinstance(value, list | tuple) else [value]
        numbers = all(isinstance(one, int | float) and math.isfinite(one) for one in values)
        if not numbers or len(values) not in (1, channels):
            raise FileError(
                f"{folder.path / 'preprocessor_config.json'} says {name} = {value}, which is not one finite number, nor "
                f"one for each of {channels} channels; copy or download it again."
            )
        return [float(one) for one in values]

    mean, std = of("image_mean", IMAGENET_MEAN), of("image_std", IMAGENET_STD)
    if min(std) <= 0:
        raise FileError(
            f"{folder.path / 'preprocessor_config.json'} says image_std = {std}, but deviations are positive; copy or "
            "download it again."
        )
    return mean, std


def square_side(config: Any, name: str) -> int:
    """A size in pixels in a config of transformers, which may be one number or a pair of equal ones.

    Raises:
        FileError: it is anything else.
    """
    value = getattr(config, name)
    sides = list(value) if isinstance(value, list | tuple) else [value]
    whole = all(isinstance(side, int) and side > 0 for side in sides)
    if not whole or len(sides) not in (1, 2) or len(set(sides)) != 1:
        raise FileError(
            f"config.json says {name} = {value}, which is neither one whole number of pixels nor a square; only square "
            "images and patches are known here."
        )
    return int(sides[0])


def _load(request: LoadRequest) -> LatentField:
    folder = request.folder
    assert folder is not None
    request.refuse_weights("has its own weights")
    refuse_code(folder, request.allow_code)
    with optional("transformers", "transformers"):
        import transformers
    model = load_pretrained(transformers.ViTMAEForPreTraining, folder)
    mean, std = normalisation(folder)
    adapter = MaskedAutoencoder(
        model, request.choice("latent", "patches", LATENTS), Preprocessing.same_on_both_sides(mean, std)
    )
    return adapter.field(f"ViTMAE {folder.origin}", **origin_details(folder), transformers=transformers.__version__)


VIT_MAE = Family(
    name="ViTMAE",
    form="hf:facebook/vit-mae-base or a folder of it",
    load=_load,
    recognises=lambda folder: folder.model_type == "vit_mae",
    options={"latent": "patches (default), all (with the class token) or mean (of the patch tokens)"},
    verified="random weights, up to the base configuration",
)
