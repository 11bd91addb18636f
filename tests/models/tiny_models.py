"""One tiny model of every family, with random weights, written as its own library writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn


@dataclass(frozen=True)
class Tiny:
    """How to write it into a folder, and what to give to ``load``."""

    write: Callable[[Path], dict[str, Any]]
    latent_shape: tuple[int, ...]
    class_name: str


def seeded(build: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def _diffusers(name: str, side: int = 16, **config: Any) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        diffusers = pytest.importorskip("diffusers")
        seeded(lambda: getattr(diffusers, name)(**config)).save_pretrained(folder)
        return {"spec": str(folder), "options": {"height": side, "width": side}}

    return write


KL: dict[str, Any] = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 2,
    "latent_channels": 4,
    "sample_size": 16,
}


def write_mae(folder: Path, **more: Any) -> dict[str, Any]:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTMAEConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=4,
        decoder_hidden_size=16,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
        initializer_range=0.2,
        **more,
    )
    seeded(lambda: transformers.ViTMAEForPreTraining(config)).save_pretrained(folder)
    return {"spec": str(folder)}


_VIT: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 16,
    "patch_size": 4,
    "initializer_range": 0.2,
}


def write_encoder(folder: Path, kind: str = "Dinov2", **more: Any) -> str:
    """A vision tower of transformers, without a decoder."""
    transformers = pytest.importorskip("transformers")
    names = {"CLIP": "CLIPVisionModel", "Siglip": "SiglipVisionModel", "Siglip2": "Siglip2VisionModel"}
    configs = {name: f"{name}VisionConfig" for name in names}
    options = {**_VIT, **more}
    if kind == "Siglip2":
        options = {**{k: v for k, v in options.items() if k != "image_size"}, "num_patches": 16}
    config = getattr(transformers, configs.get(kind, f"{kind}Config"))(**options)
    model = getattr(transformers, names.get(kind, f"{kind}Model"))
    seeded(lambda: model(config)).save_pretrained(folder)
    return str(folder)


def _backbone(kind: str, features: str = "patches") -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        from separatrix.models._backbones import load_backbone
        from separatrix.models._registry import LoadRequest
        from separatrix.models._surrogate import SurrogateDecoder, save_decoder

        spec = write_encoder(folder / "encoder", kind)
        backbone = load_backbone(LoadRequest(spec=spec, options={"features": features}))
        shape = (16, 16) if features == "patches" else (16,)
        decoder = seeded(lambda: SurrogateDecoder(shape, (16, 16), width=4))
        path = folder / "decoder.safetensors"
        save_decoder(decoder, path, encoder=backbone.fingerprint(), report={"r2": 0.9, "psnr": 20.0})
        return {"spec": spec, "decoder": str(path), "options": {"features": features}}

    return write


def _language(kind: str, **config: Any) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        transformers = pytest.importorskip("transformers")
        made = getattr(transformers, f"{kind}Config")(**config)
        name = "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
        seeded(lambda: getattr(transformers, name)(made)).save_pretrained(folder)
        return {"spec": str(folder), "options": {"length": 3}}

    return write


LM: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "vocab_size": 50,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def write_sae(folder: Path, architecture: str = "standard", **more: Any) -> dict[str, Any]:
    """SAELens' format, 6 activations to 10 codes."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architecture": architecture, "d_in": 6, "d_sae": 10, "apply_b_dec_to_input": True, **more}
    (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8")
    draw = torch.Generator().manual_seed(0)
    tensors = {
        "W_enc": torch.randn(6, 10, generator=draw) / 3,
        "W_dec": torch.randn(10, 6, generator=draw) / 3,
        "b_dec": torch.randn(6, generator=draw) / 3,
    }
    extra = {"gated": ("b_gate", "r_mag", "b_mag"), "jumprelu": ("b_enc", "threshold")}.get(architecture, ("b_enc",))
    for name in extra:
        tensors[name] = torch.randn(10, generator=draw).abs() / 5
    save_file(tensors, folder / "sae_weights.safetensors")
    return {"spec": str(folder)}


def _sae(architecture: str, space: str = "codes", **more: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: write_sae(folder, architecture, **more) | {"options": {"space": space}}


def halves() -> tuple[nn.Module, nn.Module]:
    """Twelve numbers to three and back."""
    return seeded(
        lambda: (
            nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3)),
            nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 12)),
        )
    )


def write_onnx(folder: Path, *, external: bool = False) -> dict[str, Any]:
    """Both halves as ONNX graphs, with an open batch size."""
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    folder.mkdir(parents=True, exist_ok=True)
    for name, half in zip(("encoder", "decoder"), halves(), strict=True):
        ins, outs = half[0].in_features, half[2].out_features
        weights = {f"{k}{i}": p for k, i in (("w", 0), ("w", 2)) for p in (half[i].weight.T.detach(),)}
        weights |= {f"b{i}": half[i].bias.detach() for i in (0, 2)}
        nodes = [
            onnx.helper.make_node("Gemm", ["x", "w0", "b0"], ["h"]),
            onnx.helper.make_node("Tanh", ["h"], ["t"]),
            onnx.helper.make_node("Gemm", ["t", "w2", "b2"], ["y"]),
        ]
        kind = onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            nodes,
            name,
            [onnx.helper.make_tensor_value_info("x", kind, ["n", ins])],
            [onnx.helper.make_tensor_value_info("y", kind, ["n", outs])],
            [onnx.numpy_helper.from_array(value.contiguous().numpy(), key) for key, value in weights.items()],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
        onnx.save_model(
            model,
            str(folder / f"{name}.onnx"),
            save_as_external_data=external,
            location=f"{name}.data",
            size_threshold=0,
        )
    return {"spec": str(folder)}


class Whole(nn.Module):
    """Both halves in one module, as scripts and pickles hold them."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = halves()
        self.latent_dim = 3

    @torch.jit.export
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(x)

    @torch.jit.export
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.up(z)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(x))


def write_torchscript(folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    torch.jit.script(Whole().eval()).save(str(folder / "model.pt"))
    return {"spec": str(folder / "model.pt"), "allow_code": True, "latent_shape": 3}


def write_pt2(folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    n = torch.export.Dim("n", min=1, max=4096)
    for name, half, width in zip(("encoder", "decoder"), halves(), (12, 3), strict=True):
        torch.export.save(
            torch.export.export(half.eval(), (torch.zeros(5, width),), dynamic_shapes=({0: n},)), folder / f"{name}.pt2"
        )
    paths = {"spec": str(folder / "encoder.pt2"), "decoder": str(folder / "decoder.pt2")}
    return {**paths, "allow_code": True, "latent_shape": 3}


def write_pickle(folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(Whole().eval(), folder / "model.pt")
    return {"spec": str(folder / "model.pt"), "allow_code": True}


def _python(factory: str, **options: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda _folder: {"spec": f"{Path(__file__).with_name('python_models.py')}:{factory}", **options}


MODELS: dict[str, Tiny] = {
    "AutoencoderKL": Tiny(
        _diffusers("AutoencoderKL", **KL, scaling_factor=0.5, shift_factor=0.1), (4, 8, 8), "AutoencoderKL"
    ),
    "AsymmetricAutoencoderKL": Tiny(
        _diffusers(
            "AsymmetricAutoencoderKL",
            down_block_types=("DownEncoderBlock2D",) * 2,
            down_block_out_channels=(8, 8),
            up_block_types=("UpDecoderBlock2D",) * 2,
            up_block_out_channels=(8, 8),
            norm_num_groups=2,
        ),
        (4, 8, 8),
        "AsymmetricAutoencoderKL",
    ),
    "AutoencoderTiny": Tiny(
        _diffusers(
            "AutoencoderTiny",
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
            latent_channels=2,
            upsampling_scaling_factor=2,
        ),
        (2, 8, 8),
        "AutoencoderTiny",
    ),
    "VQModel": Tiny(
        _diffusers(
            "VQModel",
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=2,
            latent_channels=2,
            num_vq_embeddings=8,
            norm_type="group",
        ),
        (2, 8, 8),
        "VQModel",
    ),
    "AutoencoderDC": Tiny(
        _diffusers(
            "AutoencoderDC",
            latent_channels=4,
            attention_head_dim=4,
            encoder_block_types="ResBlock",
            decoder_block_types="ResBlock",
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            encoder_qkv_multiscales=((), ()),
            decoder_qkv_multiscales=((), ()),
        ),
        (4, 8, 8),
        "AutoencoderDC",
    ),
    "AutoencoderRAE": Tiny(
        _diffusers(
            "AutoencoderRAE",
            side=8,
            encoder_hidden_size=64,
            encoder_num_hidden_layers=1,
            decoder_hidden_size=16,
            decoder_num_hidden_layers=1,
            decoder_num_attention_heads=2,
            decoder_intermediate_size=16,
            patch_size=4,
            encoder_input_size=28,
            image_size=8,
        ),
        (64, 2, 2),
        "AutoencoderRAE",
    ),
    "ViTMAE": Tiny(write_mae, (16, 16), "ViTMAEForPreTraining"),
    "ViTMAE all": Tiny(lambda f: write_mae(f) | {"options": {"latent": "all"}}, (17, 16), "ViTMAEForPreTraining"),
    "ViTMAE mean": Tiny(lambda f: write_mae(f) | {"options": {"latent": "mean"}}, (16,), "ViTMAEForPreTraining"),
    "DINOv2": Tiny(_backbone("Dinov2"), (16, 16), "Dinov2Model + SurrogateDecoder"),
    "DINOv2 mean": Tiny(_backbone("Dinov2", "mean"), (16,), "Dinov2Model + SurrogateDecoder"),
    "ViT": Tiny(_backbone("ViT"), (16, 16), "ViTModel + SurrogateDecoder"),
    "CLIP": Tiny(_backbone("CLIP"), (16, 16), "CLIPVisionModel + SurrogateDecoder"),
    "SigLIP": Tiny(_backbone("Siglip"), (16, 16), "SiglipVisionModel + SurrogateDecoder"),
    "SigLIP2": Tiny(_backbone("Siglip2"), (16, 16), "Siglip2VisionModel + SurrogateDecoder"),
    "Qwen3": Tiny(_language("Qwen3", **LM), (3, 16), "Qwen3ForCausalLM"),
    "Llama": Tiny(_language("Llama", **LM), (3, 16), "LlamaForCausalLM"),
    "GPT-2": Tiny(
        _language("GPT2", n_embd=16, n_layer=2, n_head=2, n_positions=8, vocab_size=50, bos_token_id=1, eos_token_id=2),
        (3, 16),
        "GPT2LMHeadModel",
    ),
    "SAE standard": Tiny(_sae("standard"), (10,), "SparseAutoencoder"),
    "SAE activations": Tiny(_sae("standard", "activations"), (6,), "SparseAutoencoder"),
    "SAE gated": Tiny(_sae("gated"), (10,), "SparseAutoencoder"),
    "SAE jumprelu": Tiny(_sae("jumprelu"), (10,), "SparseAutoencoder"),
    "SAE topk": Tiny(_sae("topk", k=3), (10,), "SparseAutoencoder"),
    "ONNX": Tiny(write_onnx, (3,), "OnnxPair"),
    "ONNX external": Tiny(lambda f: write_onnx(f, external=True), (3,), "OnnxPair"),
    "TorchScript": Tiny(write_torchscript, (3,), "RecursiveScriptModule"),
    "pt2": Tiny(write_pt2, (3,), "GraphModule"),
    "pickled module": Tiny(write_pickle, (3,), "Whole"),
    "latent_dist": Tiny(_python("with_latent_dist", latent_shape=3), (3,), ""),
    "distribution": Tiny(_python("with_distribution", latent_shape=3), (3,), ""),
    "tuple": Tiny(_python("with_tuple", latent_shape=3), (3,), ""),
    "latents and sample": Tiny(_python("with_records", latent_shape=3), (3,), ""),
    "logits": Tiny(_python("with_logits", latent_shape=3), (3,), ""),
    "self-map": Tiny(_python("self_map", latent_shape=2), (2,), ""),
}
