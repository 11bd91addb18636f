"""Valid JSON beside valid weights that belongs to another model, or to none: refused in one sentence, never loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from test_hostile_files import external, refused
from tiny_models import MODELS, write_encoder, write_mae, write_sae

from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.models import load
from separatrix.models._backbones import load_backbone
from separatrix.models._language_models import embed_texts
from separatrix.models._onnx_pairs import require_contained
from separatrix.models._registry import LoadRequest
from separatrix.models._surrogate import load_decoder, save_decoder


def changed(folder: Path, name: str = "config.json", **values: Any) -> None:
    """Other values in a JSON file of the folder, which is made if it is not there."""
    path = folder / name
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**before, **values}))


def backbone_refused(folder: Path, words: str) -> str:
    """The one sentence with which a vision encoder is refused."""
    with pytest.raises(SeparatrixError, match=words) as caught:
        load_backbone(LoadRequest(spec=str(folder)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "values", "unused"),
    [
        ("ViTMAE", {"num_hidden_layers": 1}, r"vit\.layers\.1\..* and 15 more"),
        ("Llama", {"num_hidden_layers": 1}, r"model\.layers\.1\."),
        ("GPT-2", {"n_layer": 1}, r"transformer\.h\.1\."),
        ("Llama", {"num_hidden_layers": 0}, "says num_hidden_layers = 0, so no layer"),
        ("GPT-2", {"n_layer": -1}, "says n_layer = -1, so no layer"),
        ("AutoencoderKL", {"mid_block_add_attention": False}, r"decoder\.mid_block\.attentions\.0\."),
        ("AutoencoderKL", {"use_quant_conv": False}, r"quant_conv\.bias and 1 more"),
    ],
)
def test_weights_without_a_place_are_not_left_out(
    tmp_path: Path, model: str, values: dict[str, Any], unused: str
) -> None:
    """The libraries leave them out without a word, and the field would be that of another model."""
    given = MODELS[model].write(tmp_path)
    changed(tmp_path, **values)
    sentence = refused(given.pop("spec"), unused, **given)
    assert "give the config.json" in sentence


def test_a_vision_encoder_keeps_all_its_layers(tmp_path: Path) -> None:
    folder = Path(write_encoder(tmp_path / "dino"))
    load_backbone(LoadRequest(spec=str(folder)))
    changed(folder, num_hidden_layers=1, out_features=["stage1"], out_indices=[1], stage_names=["stem", "stage1"])
    backbone_refused(folder, r"that the Dinov2Model of its config\.json has no place for \(.*layers?\.1\.")
    clip = _both_towers("CLIP", tmp_path / "clip")
    changed(
        clip, vision_config={**json.loads((clip / "config.json").read_text())["vision_config"], "num_hidden_layers": 1}
    )
    backbone_refused(clip, r"no place for \((vision_model\.)?encoder\.layers\.1\.")
    changed(clip, vision_config={"num_hidden_layers": 0})
    backbone_refused(clip, "says num_hidden_layers = 0")


def _both_towers(kind: str, folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = getattr(transformers, f"{kind}Config")(
        vision_config={**tower, "image_size": 16, "patch_size": 8}, text_config={**tower, "vocab_size": 40}
    )
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    return folder


def test_what_a_tower_does_not_go_through_may_lie_in_its_folder(tmp_path: Path) -> None:
    """The other tower, heads, poolers, and buffers that older versions wrote down."""
    transformers = pytest.importorskip("transformers")
    vit = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    vit |= {"image_size": 16, "patch_size": 8}
    folders = [_both_towers("CLIP", tmp_path / "clip"), _both_towers("Siglip", tmp_path / "siglip")]
    for name in ("ViTModel", "ViTForImageClassification", "ViTForMaskedImageModeling", "Dinov2ForImageClassification"):
        config = getattr(transformers, "Dinov2Config" if name.startswith("Dino") else "ViTConfig")(**vit)
        getattr(transformers, name)(config).save_pretrained(tmp_path / name)
        folders.append(tmp_path / name)
    for folder in folders:
        assert load_backbone(LoadRequest(spec=str(folder))).patches == 4, folder.name
    for model, buffer in (
        ("Llama", "model.layers.0.self_attn.rotary_emb.inv_freq"),
        ("GPT-2", "transformer.h.0.attn.bias"),
    ):
        given = MODELS[model].write(tmp_path / model)
        before = load(**given).fingerprint
        path = tmp_path / model / "model.safetensors"
        save_file({**load_file(path), buffer: torch.ones(4)}, path, metadata={"format": "pt"})
        assert load(**given).fingerprint == before


@pytest.mark.parametrize(
    ("model", "file", "values", "sentence"),
    [
        ("ViTMAE", "config.json", {"image_size": [16, 32]}, "cannot be loaded as|nor a square|cannot be used as"),
        ("ViTMAE", "config.json", {"patch_size": 0}, "cannot be loaded as|neither one whole number"),
        ("ViTMAE", "preprocessor_config.json", {"image_mean": None}, "says image_mean = None"),
        ("ViTMAE", "preprocessor_config.json", {"image_mean": [0.5] * 5}, "each of 3 channels"),
        ("ViTMAE", "preprocessor_config.json", {"image_mean": ["x"] * 3}, "says image_mean = "),
        ("ViTMAE", "preprocessor_config.json", {"image_mean": float("nan")}, "says image_mean = nan"),
        ("ViTMAE", "preprocessor_config.json", {"image_std": [0.5, 0, 0.5]}, "deviations are positive"),
        (
            "AutoencoderKL",
            "config.json",
            {"scaling_factor": "x"},
            "says scaling_factor = 'x', which is no finite number",
        ),
        ("AutoencoderKL", "config.json", {"scaling_factor": float("nan")}, "scaling_factor = nan, which is no finite"),
        ("AutoencoderKL", "config.json", {"scaling_factor": 0}, "scaling_factor = 0, which would make every latent 0"),
        ("AutoencoderKL", "config.json", {"shift_factor": float("inf")}, "shift_factor = inf, which is no finite"),
        ("AutoencoderKL", "config.json", {"in_channels": "x"}, "cannot be"),
        ("Llama", "config.json", {"hidden_size": None}, "cannot be"),
        ("SAE topk", "cfg.json", {"k": "x"}, "says k = 'x' of 10 codes"),
        ("SAE topk", "cfg.json", {"k": float("inf")}, "says k = inf of 10 codes"),
        ("SAE topk", "cfg.json", {"k": 2.5}, r"says k = 2\.5 of 10 codes"),
        ("SAE standard", "cfg.json", {"d_in": -1}, "says d_in = -1"),
        ("SAE standard", "cfg.json", {"d_sae": float("inf")}, "does not say d_in and d_sae"),
        ("SAE standard", "cfg.json", {"d_in": 10**30}, "cannot be used as a sparse autoencoder"),
        ("SAE standard", "cfg.json", {"apply_b_dec_to_input": "false"}, "apply_b_dec_to_input = 'false'"),
    ],
)
def test_values_that_no_model_has_are_one_sentence(
    tmp_path: Path, model: str, file: str, values: dict[str, Any], sentence: str
) -> None:
    given = MODELS[model].write(tmp_path)
    changed(tmp_path, file, **values)
    with pytest.raises(FileError):
        load(**given)
    refused(given.pop("spec"), sentence, **given)


def test_pairs_and_single_numbers_mean_the_same(tmp_path: Path) -> None:
    given = write_mae(tmp_path / "mae")
    changed(tmp_path / "mae", "preprocessor_config.json", image_mean=[0.5] * 3, image_std=[0.25] * 3)
    field = load(**given)
    changed(tmp_path / "mae", "preprocessor_config.json", image_mean=0.5, image_std=0.25)
    changed(tmp_path / "mae", image_size=[16, 16])
    other = load(**given)
    z = torch.randn(2, *field.latent_shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(other(z), field(z))


def test_a_vision_encoder_with_strange_values_is_one_sentence(tmp_path: Path) -> None:
    folder = Path(write_encoder(tmp_path / "dino"))
    changed(folder, image_size=[16, 16])
    assert load_backbone(LoadRequest(spec=str(folder))).image_size == (16, 16)
    strange: list[dict[str, Any]] = [
        {"image_size": [16, 32]},
        {"image_size": "x"},
        {"patch_size": None},
        {"num_hidden_layers": {}},
    ]
    for values in strange:
        before = (folder / "config.json").read_text()
        changed(folder, **values)
        backbone_refused(folder, r"dino cannot be|config\.json says")
        (folder / "config.json").write_text(before)


def test_a_decoder_with_a_strange_report_is_one_sentence(tmp_path: Path) -> None:
    given = MODELS["DINOv2"].write(tmp_path)
    decoder, _ = load_decoder(given["decoder"])
    encoder = load_backbone(LoadRequest(spec=given["spec"])).fingerprint()
    save_decoder(decoder, Path(given["decoder"]), encoder=encoder, report={"r2": "good", "psnr": 20.0})
    refused(given.pop("spec"), r"The report in .* \(r2: expected float \| null, got str\); train it again", **given)


def test_names_of_older_versions_have_their_place(tmp_path: Path) -> None:
    """diffusers renamed the attention of its autoencoders; what was saved before still loads."""
    given = MODELS["AutoencoderKL"].write(tmp_path)
    before = load(**given).fingerprint
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(path)
    for new, old in older.items():
        tensors = {
            name.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): value for name, value in tensors.items()
        }
    assert any("proj_attn" in name for name in tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    assert load(**given).fingerprint == before


@pytest.mark.parametrize("location", ["a\0b", "x" * 5000])
def test_onnx_data_with_no_file_name(tmp_path: Path, location: str) -> None:
    with pytest.raises(FileError, match="which is no file name, and is refused") as caught:
        require_contained(external(tmp_path / "m", location))
    assert "\0" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_tokenizers_that_fail_are_one_sentence(tmp_path: Path) -> None:
    field = load(**MODELS["Llama"].write(tmp_path))
    for content in (None, "{}", '{"version": 1}'):
        if content is not None:
            (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(FileError, match="has no tokenizer that can be loaded") as caught:
            embed_texts(field, ["some text"])
        assert "\n" not in str(caught.value)
    with pytest.raises(FileError, match=r"makes token 50, and .* knows 50; give the tokenizer of this model"):
        embed_texts(field, ["some text"], lambda text: {"input_ids": [1, 50, 2]})


def test_decoder_norms_are_not_ignored(tmp_path: Path) -> None:
    given = write_sae(tmp_path, "topk", k=3, rescale_acts_by_decoder_norm=True)
    refused(given["spec"], r"rescale_acts_by_decoder_norm, and the rows of W_dec have other norms.*fold_W_dec_norm")
    path = tmp_path / "sae_weights.safetensors"
    tensors = load_file(path)
    tensors["W_dec"] /= tensors["W_dec"].norm(dim=1, keepdim=True)
    save_file(tensors, path)
    assert load(**given).latent_dim == 10
    changed(tmp_path, "cfg.json", rescale_acts_by_decoder_norm=False)
    tensors["W_dec"] *= 2
    save_file(tensors, path)
    assert load(**given).latent_dim == 10


@pytest.mark.parametrize(
    "values",
    [
        {"attn_implementation": "someone/kernel"},
        {"_experts_implementation": "someone/kernel"},
        {"_attn_implementation_internal": "someone/kernel"},
        {"_attn_implementation": "paged|someone/kernel@main"},
        {"_attn_implementation": {"": "eager", "text_config": "someone/kernel"}},
        {"text_config": {"_attn_implementation": "someone/kernel"}},
        {"towers": [{"attn_implementation": "someone/kernel"}]},
    ],
)
def test_kernels_of_the_hub_are_code(tmp_path: Path, values: dict[str, Any]) -> None:
    """transformers would fetch the kernel and import it."""
    given = MODELS["Llama"].write(tmp_path / "lm")
    changed(tmp_path / "lm", **values)
    sentence = refused(given["spec"], "names the kernel '.*someone/kernel.*' of the hub", options={"length": 3})
    assert "--allow-code" in sentence
    folder = Path(write_encoder(tmp_path / "dino"))
    changed(folder, **values)
    backbone_refused(folder, "names the kernel")


def test_an_attention_of_the_library_is_no_code(tmp_path: Path) -> None:
    given = MODELS["Llama"].write(tmp_path)
    changed(tmp_path, _attn_implementation="eager")
    assert load(**given).latent_shape == (3, 16)


class _Tokens(nn.Module):
    """The face of a vision transformer of timm."""

    def __init__(self, patches: int | None = 4, dims: int = 3) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, 6, 8, 8)
        self.dims = dims
        if patches is not None:
            self.patch_embed = nn.Identity()
            self.patch_embed.num_patches = patches  # type: ignore[assignment]

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-1] == 16, "Input size doesn't match model"
        maps = self.proj(x)
        return maps.flatten(2).mT if self.dims == 3 else maps


def test_models_of_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in: timm itself is not among the libraries of the tests."""
    config = {"architecture": "some_net", "pretrained_cfg": {"input_size": [3, 16, 16]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tensors = {name: value.contiguous() for name, value in _Tokens().state_dict().items()}
    save_file({**tensors, "head.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"needs timm .*install it with pip install timm\.$"):
        load_backbone(LoadRequest(spec=str(tmp_path)))

    timm = ModuleType("timm")
    timm.__version__ = "1.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", timm)

    def made(model: nn.Module) -> None:
        monkeypatch.setattr(timm, "create_model", lambda *_args, **_options: model, raising=False)

    made(_Tokens())
    assert load_backbone(LoadRequest(spec=str(tmp_path))).patches == 4
    with pytest.raises(InputError, match=r"some_net of timm does not encode images of 24×24 pixels .*option size"):
        load_backbone(LoadRequest(spec=str(tmp_path), options={"size": "24"}))
    for model, words in (
        (_Tokens(patches=None), "does not cut images into patches; only vision transformers"),
        (_Tokens(dims=4), r"makes features \(1, 6, 2, 2\), not \(batch, tokens, width\)"),
        (_Tokens(patches=5), r"makes features \(1, 4, 6\)"),
    ):
        made(model)
        backbone_refused(tmp_path, words)
    made(_Tokens())
    save_file({**tensors, "blocks.1.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    backbone_refused(tmp_path, r"blocks\.1\.weight")
    changed(tmp_path, pretrained_cfg=[])
    backbone_refused(tmp_path, "pretrained_cfg that is no object")
