"""Encoder-only vision backbones, closed by a decoder that was trained on their features or given with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FileError, InputError, ModelWarning, first_line, warn
from separatrix.field import LatentField
from separatrix.field._fingerprints import weights_fingerprint
from separatrix.models._adapter import ModelAdapter
from separatrix.models._folders import (
    ModelFolder,
    find_folder,
    load_pretrained,
    one_sentence,
    optional,
    origin_details,
    refuse_code,
    require_safetensors,
)
from separatrix.models._outputs import unwrapped
from separatrix.models._preprocessing import Preprocessing
from separatrix.models._python_objects import object_from
from separatrix.models._registry import Family, LoadRequest
from separatrix.models._surrogate import load_decoder
from separatrix.models._vit_mae import normalisation, square_side
from separatrix.models._weights import fill, read_weights

FEATURES = ("patches", "mean")
POOR = 0.5  # share of the pixels' variance; below it a decoder is warned about
_CLASSES = {  # transformers' model_type: class of the vision tower
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
    "vit": "ViTModel",
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
    "siglip2": "Siglip2VisionModel",
    "siglip2_vision_model": "Siglip2VisionModel",
}
# What a folder may hold beyond the tower: the other tower, what joins the two, and what follows the last hidden state.
_DROPPED = (
    r"(^|\.)pooler\.|^text_model\.|^(text|visual)_projection\b|^logit_(scale|bias)$|^(classifier|decoder|head)\.|"
    r"(^|\.)mask_token$|^vision_model\.head\."
)
_TIMM_KNOWN = "only vision transformers are known here, for others write a factory and give path/to/file.py:factory"
_TIMM_HEADS = ("head.", "head_dist.", "fc.", "classifier.")


class Backbone(nn.Module):
    """Images in [0, 1] to the features of a vision transformer.

    Features are the patch tokens of the last hidden state, ``(p, d)`` (class and register tokens are left out), or their
    mean, ``(d,)``.

    Args:
        model: the backbone; called with a batch of pixel values.
        preprocessing: normalisation and size.
        patches: number p of patch tokens, the last ones.
        features: ``"patches"`` or ``"mean"``.
        prepare: what turns ``(n, 3, h, w)`` into the model's keyword arguments.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        patches: int,
        features: str = "patches",
        prepare: Callable[[Tensor], dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.preprocessing = preprocessing
        self.patches = patches
        self.features = features
        self.prepare = prepare or _as_pixel_values

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(n, p, d)`` or ``(n, d)`` of images ``(n, 3, h, w)``."""
        output = self.model(**self.prepare(self.preprocessing.to_encoder(x)))
        tokens = unwrapped(getattr(output, "last_hidden_state", output), "encode")[:, -self.patches :]
        return tokens.mean(dim=1) if self.features == "mean" else tokens

    @property
    def image_size(self) -> tuple[int, int]:
        """Return what the encoder is given."""
        assert self.preprocessing.size is not None
        return self.preprocessing.size

    def fingerprint(self) -> str:
        """SHA-256 of weights and preprocessing, and which features are taken: what a decoder is trained for."""
        return f"{weights_fingerprint((self,))}-{self.features}-{self.image_size[0]}x{self.image_size[1]}"


class DecodedBackbone(ModelAdapter):
    """A backbone and a decoder of its features as a self-map of the feature space."""

    family = "vision encoder"

    def __init__(self, backbone: Backbone, decoder: nn.Module, notes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.preprocessing = backbone.preprocessing
        self.notes = notes
        self.units = f"the encoder's features ({backbone.features} of the last hidden state)"
        with torch.no_grad():
            self.latent_shape = tuple(self.encode(torch.full((1, 3, *backbone.image_size), 0.5)).shape[1:])

    @property
    def model_class(self) -> str:
        """Name the classes, such as ``"Dinov2Model + SurrogateDecoder"``."""
        return f"{type(self.backbone.model).__name__} + {type(self.decoder).__name__}"

    def encode(self, x: Tensor) -> Tensor:
        """Features of images in [0, 1]."""
        features: Tensor = self.backbone(x)
        return features

    def decode(self, z: Tensor) -> Tensor:
        """Images in [0, 1] of features."""
        return unwrapped(self.decoder(z), "decode")


def load_backbone(request: LoadRequest) -> Backbone:
    """The encoder of a folder (transformers or timm), without a decoder.

    Raises:
        FileError: a file is missing, damaged or unsafe.
        InputError: a library is not installed, or an option cannot be used.
    """
    folder = request.folder or find_folder(request.spec)
    with one_sentence(folder, "vision encoder"):
        return _backbone(folder, request)


def _backbone(folder: ModelFolder, request: LoadRequest) -> Backbone:
    refuse_code(folder, request.allow_code)
    features = request.choice("features", "patches", FEATURES)
    if _is_timm(folder):
        return _timm_backbone(folder, request, features)
    if folder.model_type not in _CLASSES:
        raise InputError(f"{folder.origin} {folder.words()}, which is no vision encoder known here; {folder.remedy()}.")
    with optional("transformers", "transformers"):
        import transformers
    kind = getattr(transformers, _CLASSES[folder.model_type])
    more = {"add_pooling_layer": False} if folder.model_type == "vit" else {}
    model = load_pretrained(kind, folder, dropped=_DROPPED, **more)
    return vision_backbone(model, request, features, *normalisation(folder))


def vision_backbone(
    model: nn.Module,
    request: LoadRequest,
    features: str = "patches",
    mean: list[float] | None = None,
    std: list[float] | None = None,
) -> Backbone:
    """A vision tower of transformers with its preprocessing.

    Positions are those of the configured image size; another ``size`` option is a multiple of the patch for models that
    interpolate theirs (the DINO family).
    """
    config: Any = model.config
    patch = square_side(config, "patch_size")
    if not hasattr(config, "image_size"):  # SigLIP2 with free aspect: a fixed number of patches instead
        side = request.number("size", patch * round(config.num_patches**0.5))
    else:
        side = request.number("size", square_side(config, "image_size"))
    if side % patch:
        raise InputError(f"The option size must be a multiple of the patch, {patch} pixels, not {side}.")
    patches = (side // patch) ** 2
    normalise = Preprocessing(mean=mean or [0.5], std=std or [0.5], size=(side, side))
    prepare = _Patches(patch) if type(model).__name__.startswith("Siglip2") else None
    return Backbone(model, normalise, patches, features, prepare)


def _as_pixel_values(x: Tensor) -> dict[str, Any]:
    return {"pixel_values": x}


class _Patches:
    """SigLIP2's own input: the patches as rows, channels last within a patch, and where they lie."""

    def __init__(self, patch: int) -> None:
        self.patch = patch

    def __call__(self, x: Tensor) -> dict[str, Any]:
        n, c, h, w = x.shape
        rows, columns = h // self.patch, w // self.patch
        cut = x.reshape(n, c, rows, self.patch, columns, self.patch).permute(0, 2, 4, 3, 5, 1)
        return {
            "pixel_values": cut.reshape(n, rows * columns, -1),
            "pixel_attention_mask": torch.ones(n, rows * columns, dtype=torch.int64, device=x.device),
            "spatial_shapes": torch.tensor([[rows, columns]], device=x.device).expand(n, -1),
        }


def _is_timm(folder: ModelFolder) -> bool:
    return "architecture" in folder.config and "pretrained_cfg" in folder.config


def _timm_backbone(folder: ModelFolder, request: LoadRequest, features: str) -> Backbone:
    with optional("timm", None):
        import timm
    name = str(folder.config["architecture"])
    given = folder.config["pretrained_cfg"]
    if not isinstance(given, dict):
        raise FileError(f"{folder.origin} has a pretrained_cfg that is no object; copy or download the whole folder.")
    files = require_safetensors(folder)
    try:
        model = timm.create_model(name, pretrained=False, num_classes=0)
    except (RuntimeError, ValueError, TypeError) as error:
        raise FileError(
            f"{folder.origin} names no architecture of timm {timm.__version__} ({first_line(error)}); install the version "
            "that it was saved with."
        ) from error
    tensors = {key: value for key, value in read_weights(files[0]).items() if not key.startswith(_TIMM_HEADS)}
    fill(model, tensors, source=files[0], model=name)
    side = request.number("size", int(given.get("input_size", [3, 224, 224])[-1]))
    preprocessing = Preprocessing(mean=given.get("mean", 0.5), std=given.get("std", 0.5), size=(side, side))
    tower = _TimmFeatures(model.eval().requires_grad_(False))
    patches = getattr(getattr(model, "patch_embed", None), "num_patches", None)
    if not isinstance(patches, int):
        raise InputError(f"{name} of timm does not cut images into patches; {_TIMM_KNOWN}.")
    try:
        with torch.no_grad():
            probe = tower(preprocessing.to_encoder(torch.full((1, 3, side, side), 0.5)))
    except (AssertionError, RuntimeError, ValueError, TypeError) as error:  # timm asserts the size of its images
        raise InputError(
            f"{name} of timm does not encode images of {side}×{side} pixels ({first_line(error)}); give another option size."
        ) from error
    if not isinstance(probe, Tensor) or probe.ndim != 3 or probe.shape[1] < patches:
        shape = tuple(probe.shape) if isinstance(probe, Tensor) else type(probe).__name__
        raise InputError(f"{name} of timm makes features {shape}, not (batch, tokens, width); {_TIMM_KNOWN}.")
    return Backbone(tower, preprocessing, patches, features)


class _TimmFeatures(nn.Module):
    """A timm model's tokens before its head."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        features: Tensor = self.model.forward_features(pixel_values)  # type: ignore[operator]
        return features


def _load(request: LoadRequest) -> LatentField:
    folder = request.folder
    assert folder is not None
    request.refuse_weights("has its own weights")
    if request.decoder is None:
        raise InputError(
            f"{folder.origin} is an encoder without a decoder, so nothing closes the loop; train one with "
            f"separatrix train-decoder {request.spec} --data IMAGES, and give it as --decoder decoder.safetensors "
            '(decoder="decoder.safetensors").'
        )
    backbone = load_backbone(request)
    notes: tuple[str, ...] = ()
    report: dict[str, Any] = {}
    if request.decoder.endswith(".safetensors"):
        decoder, report = load_decoder(request.decoder, encoder=backbone.fingerprint())
        notes = (_quality(report),)
        if report.get("r2", 1.0) < POOR:
            warn(notes[0], ModelWarning)
    else:
        decoder = object_from(request.decoder)
        if not isinstance(decoder, nn.Module):
            raise InputError(
                f"{request.decoder} made a {type(decoder).__name__}; a decoder is an nn.Module that takes features "
                "and returns images in [0, 1]."
            )
        notes = ("The decoder was given, and nothing is known here of how well it reconstructs.",)
    adapter = DecodedBackbone(backbone, decoder, notes)
    return adapter.field(
        f"{type(backbone.model).__name__} {folder.origin}",
        **origin_details(folder),
        decoder=report | {"from": request.decoder},
    )


def _quality(report: dict[str, Any]) -> str:
    r2, psnr = report.get("r2", float("nan")), report.get("psnr", float("nan"))
    verdict = "poor: what the field shows is the decoder's more than the encoder's" if r2 < POOR else "usable"
    return f"The surrogate decoder explains {100 * r2:.0f} % of the variance of held-out pixels ({psnr:.1f} dB), which is {verdict}."


BACKBONE = Family(
    name="vision encoder",
    form="a folder of DINOv2, SigLIP2, ViT or CLIP with decoder=",
    load=_load,
    recognises=lambda folder: folder.model_type in _CLASSES or _is_timm(folder),
    options={
        "features": "patches (default) or mean, of the last hidden state",
        "size": "side of the encoder's images in pixels (that of its config)",
    },
    verified="random weights of DINOv2, ViT, CLIP, SigLIP and SigLIP2 with trained surrogate decoders; timm only by code",
)
