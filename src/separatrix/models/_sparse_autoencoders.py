"""Sparse autoencoders of language models in SAELens' format: a folder with cfg.json and sae_weights.safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FileError
from separatrix.field import LatentField
from separatrix.models._adapter import ModelAdapter
from separatrix.models._folders import origin_details
from separatrix.models._registry import Family, LoadRequest
from separatrix.models._weights import fill, read_weights

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
ARCHITECTURES = ("standard", "gated", "jumprelu", "topk")
_FOLDED = ("none", "expected_average_only_in", None)  # the latter has to be folded into the weights, as SAELens does
_UNIT_NORM = 1e-3  # how far a norm may be from 1, which allows for weights in half precision


class SparseAutoencoder(ModelAdapter):
    """Activations a to sparse codes c and back.

    ``"codes"`` (the default) is f(c) = encode(decode(c)) on the code space, ``"activations"`` f(a) = decode(encode(a)) on
    the activation space: the same dynamics seen from its other end, since each is a half step of the other.

    With p = a − b_dec if ``apply_b_dec_to_input``, else a, and u = p·W_enc + b_enc:

    * standard: relu(u)
    * jumprelu: u where u > threshold, else 0
    * topk: the k largest relu(u), else 0
    * gated: relu(p·(W_enc·exp(r_mag)) + b_mag) where p·W_enc + b_gate > 0, else 0

    and decode(c) = c·W_dec + b_dec.

    Args:
        config: cfg.json.
        space: ``"codes"`` or ``"activations"``.

    Raises:
        FileError: the configuration is of a kind that is not known here.
    """

    family = "sparse autoencoder"
    W_enc: Tensor
    W_dec: Tensor
    b_enc: Tensor
    b_dec: Tensor
    b_gate: Tensor
    r_mag: Tensor
    b_mag: Tensor
    threshold: Tensor

    def __init__(self, config: Mapping[str, Any], space: str = "codes") -> None:
        super().__init__()
        self.architecture = str(config.get("architecture", "standard"))
        self.space = space
        try:
            ins, codes = int(config["d_in"]), int(config["d_sae"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise FileError("cfg.json does not say d_in and d_sae; copy or download the whole folder.") from error
        if ins < 1 or codes < 1:
            raise FileError(
                f"cfg.json says d_in = {ins} and d_sae = {codes}, but both are at least 1; copy or download the whole folder."
            )
        kind = config.get("activation_fn", config.get("activation_fn_str", "relu"))
        if self.architecture == "standard" and kind == "topk":
            self.architecture = "topk"  # as older versions of SAELens wrote it
        normalise = config.get("normalize_activations", "none")
        if self.architecture not in ARCHITECTURES or kind not in ("relu", "topk") or normalise not in _FOLDED:
            raise FileError(
                f"cfg.json describes a sparse autoencoder of architecture {self.architecture!r}, activation {kind!r} and "
                f"normalisation {normalise!r}; known here are {', '.join(ARCHITECTURES)} without normalisation at run time."
            )
        given = config.get("activation_fn_kwargs")
        nested = given.get("k") if isinstance(given, Mapping) else None
        k = config.get("k") or nested or 0
        self.k = k if isinstance(k, int) else 0
        if self.architecture == "topk" and not 0 < self.k <= codes:
            raise FileError(f"cfg.json says k = {k!r} of {codes} codes; a top-k autoencoder needs 0 < k ≤ d_sae.")
        subtract = config.get("apply_b_dec_to_input", True)
        if not isinstance(subtract, bool):  # the text "false" would count as true
            raise FileError(f"cfg.json says apply_b_dec_to_input = {subtract!r}; write true or false there.")
        self.subtract = subtract
        for name, shape in self._shapes(ins, codes).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape), requires_grad=False))
        self.latent_shape = (codes,) if space == "codes" else (ins,)
        metadata = config.get("metadata")
        hook = config.get("hook_name") or (metadata.get("hook_name") if isinstance(metadata, Mapping) else None)
        self.units = f"{space} of the sparse autoencoder" + (f" at {hook}" if isinstance(hook, str) else "")
        if normalise == "expected_average_only_in":
            self.notes = ("Activations are taken as scaled already: SAELens folds the expected norm into the weights.",)

    def _shapes(self, ins: int, codes: int) -> dict[str, tuple[int, ...]]:
        shared: dict[str, tuple[int, ...]] = {"W_enc": (ins, codes), "W_dec": (codes, ins), "b_dec": (ins,)}
        match self.architecture:
            case "gated":
                return {**shared, "b_gate": (codes,), "r_mag": (codes,), "b_mag": (codes,)}
            case "jumprelu":
                return {**shared, "b_enc": (codes,), "threshold": (codes,)}
        return {**shared, "b_enc": (codes,)}

    def to_codes(self, a: Tensor) -> Tensor:
        """c: activations ``(n, d_in)`` to codes ``(n, d_sae)``."""
        p = a - self.b_dec if self.subtract else a
        if self.architecture == "gated":
            gate = p @ self.W_enc + self.b_gate > 0
            return torch.relu(p @ (self.W_enc * self.r_mag.exp()) + self.b_mag) * gate
        u = p @ self.W_enc + self.b_enc
        if self.architecture == "jumprelu":
            return torch.relu(u) * (u > self.threshold)
        c = torch.relu(u)
        if self.architecture == "topk":
            # The k-th largest as a threshold would keep more than k where codes tie at 0, which changes nothing.
            best = c.topk(self.k, dim=-1)
            return torch.zeros_like(c).scatter(-1, best.indices, best.values)
        return c

    def to_activations(self, c: Tensor) -> Tensor:
        """Activations ``(n, d_in)`` of codes ``(n, d_sae)``."""
        return c @ self.W_dec + self.b_dec

    def encode(self, x: Tensor) -> Tensor:
        """Go from data space to latent space, whichever of the two that is."""
        return self.to_codes(x) if self.space == "codes" else self.to_activations(x)

    def decode(self, z: Tensor) -> Tensor:
        """Go from latent space to data space."""
        return self.to_activations(z) if self.space == "codes" else self.to_codes(z)

    def describe(self) -> dict[str, Any]:
        """JSON-ready."""
        return super().describe() | {"architecture": self.architecture, "space": self.space, "k": self.k or None}


def _load(request: LoadRequest) -> LatentField:
    folder = request.folder
    assert folder is not None
    request.refuse_weights("has its own weights")
    config = folder.read_json(CONFIG)
    # On the meta device nothing is allocated, whatever sizes a stranger's file claims.
    with torch.device("meta"):
        adapter = SparseAutoencoder(config, request.choice("space", "codes", ("codes", "activations")))
    tensors = read_weights(folder.path / WEIGHTS)
    scaling = tensors.pop("scaling_factor", None)  # which old files have; SAELens folds it in when it saves
    if scaling is not None and not bool((scaling == 1).all()):
        raise FileError(
            f"{folder.path / WEIGHTS} scales its codes by a scaling_factor; fold it into W_dec with SAELens and save again."
        )
    tensors = {name: tensor.to(torch.float32) for name, tensor in tensors.items()}
    fill(adapter, tensors, source=folder.path / WEIGHTS, model="the autoencoder of cfg.json", assign=True)
    # With it, SAELens takes the largest of codes times the norms of W_dec's rows: the same codes only where these are 1.
    if config.get("rescale_acts_by_decoder_norm") and not bool(
        ((adapter.W_dec.norm(dim=1) - 1).abs() <= _UNIT_NORM).all()
    ):
        raise FileError(
            f"{folder.path / CONFIG} says rescale_acts_by_decoder_norm, and the rows of W_dec have other norms than 1; fold "
            "them with SAELens' sae.fold_W_dec_norm() and save again."
        )
    return adapter.field(f"SAE ({adapter.architecture}) {folder.origin}", **origin_details(folder))


SPARSE = Family(
    name="sparse autoencoder",
    form="hf:org/name#layer or a folder with cfg.json and sae_weights.safetensors",
    load=_load,
    recognises=lambda folder: folder.has(CONFIG, WEIGHTS),
    options={"space": "codes (default) or activations"},
    verified="random weights in SAELens' format: standard, gated, jumprelu, topk",
)
