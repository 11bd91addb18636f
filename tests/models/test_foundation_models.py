"""What each family decides: preprocessing, units, masks, positions; and that the arithmetic is the model's own."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import KL, MODELS, seeded, write_mae, write_sae

from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.models import load
from separatrix.models._folders import find_folder
from separatrix.models._preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing


def images(count: int, side: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def test_preprocessing_closes_the_range() -> None:
    x = images(4)
    imagenet = Preprocessing.same_on_both_sides(IMAGENET_MEAN, IMAGENET_STD)
    for both in (Preprocessing(), Preprocessing.symmetric(), imagenet):
        assert torch.allclose(both.to_image(both.to_encoder(x)), x, atol=1e-6)
        assert both.round_trip_error() < 1e-6
    assert Preprocessing.symmetric().encoder_range() == (-1.0, 1.0)
    assert imagenet.encoder_range()[0] == pytest.approx(-0.485 / 0.229, rel=1e-5)
    assert imagenet.encoder_range()[1] == pytest.approx((1 - 0.406) / 0.225, rel=1e-5)
    crossed = Preprocessing(mean=0.5, std=0.5)
    assert float((crossed.to_image(crossed.to_encoder(x)) - x).abs().max()) > 0.5
    assert Preprocessing(size=(8, 8)).to_encoder(x).shape == (4, 3, 8, 8)
    assert float(Preprocessing(clamp=True).to_image(torch.tensor([[[[7.0]]]]))) == 1.0
    assert float(Preprocessing().to_image(torch.tensor([[[[7.0]]]]))) == 7.0
    with pytest.raises(InputError, match="must be positive"):
        Preprocessing(std=0.0)


def test_an_autoencoder_of_diffusers_is_its_posterior_mean_in_scaled_units(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    given = MODELS["AutoencoderKL"].write(tmp_path / "kl")
    scaled = load(**given)
    raw = load(given["spec"], options={**given["options"], "units": "raw"})
    model = diffusers.AutoencoderKL.from_pretrained(tmp_path / "kl").eval()
    x = images(2)
    with torch.no_grad():
        mean = model.encode(2 * x - 1).latent_dist.mean
        image = (model.decode(mean).sample + 1) / 2
    assert torch.allclose(raw.encode(x), mean, atol=1e-6)
    assert torch.allclose(scaled.encode(x), (mean - 0.1) * 0.5, atol=1e-6)
    assert torch.allclose(raw.decode(mean), image, atol=1e-5)
    assert torch.allclose(scaled(scaled.encode(x)), (raw(mean) - 0.1) * 0.5, atol=1e-5)
    assert scaled.details["scaling_factor"] == 0.5
    assert scaled.details["shift_factor"] == 0.1
    assert "(z − 0.1)·0.5" in scaled.units
    assert "without the diffusion model's scaling factor 0.5" in raw.units
    with pytest.raises(InputError, match=r"latents of shape \(4, 8, 8\) of 16×16 pixels"):
        load(**given, latent_shape=(4, 4, 4))
    with pytest.raises(InputError, match=r"does not encode images 3×1×1|makes latents"):
        load(given["spec"], options={"height": 1, "width": 1}, latent_shape=(9, 9, 9))


def test_a_quantised_model_says_so_and_shows_no_false_derivative(tmp_path: Path) -> None:
    field = load(**MODELS["VQModel"].write(tmp_path / "vq"))
    assert field.details["quantised"]
    assert "Jacobian is 0 almost everywhere" in field.details["notes"][0]
    assert not field.differentiable
    z = field.encode(images(2))
    assert torch.allclose(field(z + 1e-4), field(z), atol=1e-6)  # the same cell
    assert not torch.allclose(field(-z), field(z), atol=1e-3)


def test_vit_mae_sees_every_patch_in_its_place(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    given = write_mae(tmp_path / "mae", mask_ratio=0.75)
    every = load(given["spec"], options={"latent": "all"})
    patches, mean = load(given["spec"]), load(given["spec"], options={"latent": "mean"})
    x = images(3)
    model = transformers.ViTMAEForPreTraining.from_pretrained(tmp_path / "mae").eval()
    model.config.mask_ratio = 0.0
    pixels = (x - torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1)) / torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1)
    with torch.no_grad():
        # Whatever the order in which it is told to shuffle, transformers undoes it behind the encoder.
        shuffled = model(pixels, noise=torch.rand(3, 16))
        rebuilt = model.unpatchify(shuffled.logits)
    expected = rebuilt * torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1) + torch.tensor(IMAGENET_MEAN).reshape(
        1, 3, 1, 1
    )
    assert torch.allclose(every.reconstruct(x), expected, atol=1e-5)
    assert torch.equal(every.encode(x)[:, 1:], patches.encode(x))
    assert torch.allclose(mean.encode(x), patches.encode(x).mean(dim=1), atol=1e-6)
    moved = x.clone()
    moved[:, :, 4:8, 8:12] += 0.1  # the patch in row 1, column 2: number 6
    change = (patches.encode(moved) - patches.encode(x)).norm(dim=2).mean(dim=0)
    assert int(change.argmax()) == 6
    assert not every.details["notes"]
    assert "norm_pix_loss" in load(**write_mae(tmp_path / "norm", norm_pix_loss=True)).details["notes"][0]


def test_preprocessing_is_read_from_the_folder(tmp_path: Path) -> None:
    given = write_mae(tmp_path / "mae")
    config = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (tmp_path / "mae/preprocessor_config.json").write_text(json.dumps(config))
    field = load(**given)
    assert field.details["preprocessing"]["std"] == [0.25] * 3
    assert field.details["preprocessing"]["words"].startswith("images in [0, 1]; the encoder is given [-2, 2]")


def test_sparse_codes_by_their_formulas(tmp_path: Path) -> None:
    a = torch.randn(7, 6, generator=torch.Generator().manual_seed(5))
    for architecture in ("standard", "jumprelu", "topk", "gated"):
        folder = tmp_path / architecture
        given = write_sae(folder, architecture, **({"k": 3} if architecture == "topk" else {}))
        w = load_file(folder / "sae_weights.safetensors")
        p = a - w["b_dec"]
        u = p @ w["W_enc"] + w.get("b_enc", torch.zeros(10))
        if architecture == "gated":
            gate = p @ w["W_enc"] + w["b_gate"] > 0
            codes = torch.relu((p @ w["W_enc"]) * w["r_mag"].exp() + w["b_mag"]) * gate
        elif architecture == "jumprelu":
            codes = torch.where(u > w["threshold"], u, 0.0)
        elif architecture == "topk":
            kept = torch.relu(u).sort(dim=1, descending=True).values[:, 2:3]
            codes = torch.where(torch.relu(u) >= kept, torch.relu(u), 0.0)
        else:
            codes = torch.relu(u)
        field = load(**given)
        assert torch.allclose(field.encode(a), codes, atol=1e-6), architecture
        assert torch.allclose(field.decode(codes), codes @ w["W_dec"] + w["b_dec"], atol=1e-6)
        other = load(given["spec"], options={"space": "activations"})
        assert torch.allclose(other(a), field.decode(field.encode(a)), atol=1e-6)
        # f on codes and f on activations are the same dynamics: E∘(D∘E) = (E∘D)∘E.
        assert torch.allclose(field(field.encode(a)), field.encode(other(a)), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"architecture": "transcoder"}, "architecture 'transcoder'"),
        ({"normalize_activations": "layer_norm"}, "normalisation 'layer_norm'"),
        ({"activation_fn": "tanh-relu"}, "activation 'tanh-relu'"),
        ({"d_sae": "many"}, "does not say d_in and d_sae"),
        ({"d_sae": 11}, "does not fit the autoencoder of cfg.json"),
        ({"d_in": 10**12, "d_sae": 10**6}, "does not fit the autoencoder of cfg.json"),
    ],
)
def test_sparse_autoencoders_of_other_kinds_are_refused(tmp_path: Path, config: dict[str, Any], sentence: str) -> None:
    given = write_sae(tmp_path / "sae")
    path = tmp_path / "sae/cfg.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    with pytest.raises(FileError, match=sentence):
        load(**given)


def test_old_scaling_factors_are_not_ignored(tmp_path: Path) -> None:
    given = write_sae(tmp_path / "sae")
    path = tmp_path / "sae/sae_weights.safetensors"
    save_file({**load_file(path), "scaling_factor": torch.ones(10)}, path)
    assert load(**given).latent_dim == 10
    save_file({**load_file(path), "scaling_factor": torch.full((10,), 2.0)}, path)
    with pytest.raises(FileError, match="scales its codes by a scaling_factor"):
        load(**given)


def test_the_hub_is_asked_for_safetensors_and_the_commit_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    commit = "0123456789abcdef0123456789abcdef01234567"
    given = write_mae(tmp_path / "snapshots" / commit / "mae")
    asked: list[tuple[str, dict[str, Any]]] = []

    def snapshot_download(name: str, **options: Any) -> str:
        asked.append((name, options))
        return str(tmp_path / "snapshots" / commit)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    field = load("hf:some-org/some_model.v2@main#mae")
    ((name, options),) = asked
    assert (name, options["revision"]) == ("some-org/some_model.v2", "main")
    assert options["allow_patterns"] == ["mae/*.safetensors", "mae/*.json"]
    assert field.details["revision"] == commit
    assert field.details["origin"] == "hf:some-org/some_model.v2@main#mae"
    assert field.fingerprint == load(**given).fingerprint
    with pytest.raises(FileError, match="has no subfolder 'vae'"):
        load("hf:some-org/some_model.v2#vae")
    for spec in ("hf:name", "hf:org/name/more", "hf:org/name#../..", "hf:org/na me", "hf:"):
        with pytest.raises(InputError, match=r"is no model of the hub; write hf:org/name"):
            find_folder(spec)

    def offline(name: str, **options: Any) -> str:
        raise OSError("no route to host\nsecond line")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(FileError, match=r"could not be fetched \(OSError: no route to host\); check the name"):
        load("hf:org/name")


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no config\.json that names a model"):
        load(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds a whole pipeline.*name the autoencoder in it, such as .*/vae"):
        load(tmp_path)


def test_options_that_a_family_does_not_have(tmp_path: Path) -> None:
    given = write_mae(tmp_path / "mae")
    with pytest.raises(InputError, match=r"'ViTMAE' has no option 'latnet'; did you mean latent"):
        load(given["spec"], options={"latnet": "mean"})
    with pytest.raises(InputError, match="option latent must be one of patches, all, mean"):
        load(given["spec"], options={"latent": "cls"})
    with pytest.raises(InputError, match="'TAEF2' has no option 'size'"):
        load("taef2", options={"size": 32})
    with pytest.raises(InputError, match="has its own weights, so weights= does not apply"):
        load(given["spec"], weights="x.pt")


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = write_mae(tmp_path / "mae")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r'needs transformers .*pip install "separatrix\[transformers\]"'):
        load(**given)


def test_a_self_map_needs_its_shape(tmp_path: Path) -> None:
    spec = f"{Path(__file__).with_name('python_models.py')}:self_map"
    with pytest.raises(InputError, match=r"for a self-map Z→Z give latent_shape"):
        load(spec)
    field = load(spec, latent_shape=(2, 2))
    assert field.latent_shape == (2, 2)
    with pytest.raises(SeparatrixError, match="decoder= does not apply"):
        load(spec, latent_shape=2, decoder="d.onnx")


def test_a_model_that_does_not_reach_its_image_size_is_told_so(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    seeded(lambda: diffusers.AutoencoderKL(**{**KL, "sample_size": 512})).save_pretrained(tmp_path / "kl")
    assert load(tmp_path / "kl", options={"height": 8, "width": 24}).latent_shape == (4, 4, 12)


PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


@pytest.mark.real
@pytest.mark.parametrize(
    ("spec", "shape", "expected"),
    [("taef2", (32, 32, 32), (29.6, 30.5, 31.5, 32.7)), ("vaelight", (4, 32, 32), (21.0, 25.0, 22.2, 26.2))],
)
def test_a_preset_reconstructs_four_photographs_as_published(
    spec: str, shape: tuple[int, ...], expected: tuple[float, ...], real_data: Path
) -> None:
    """Signal to noise in dB of the central 256×256 pixels, to the decimal."""
    skimage_data = pytest.importorskip("skimage.data")
    field = load(spec, weights=real_data / "weights" / spec, options={"height": 256, "width": 256})
    assert field.latent_shape == shape
    found = []
    for name in PHOTOGRAPHS:
        image = getattr(skimage_data, name)()
        top, left = ((side - 256) // 2 for side in image.shape[:2])
        x = torch.from_numpy(image[top : top + 256, left : left + 256].copy()).permute(2, 0, 1)[None] / 255
        error = float((field.reconstruct(x).clamp(0, 1) - x).square().mean())
        found.append(-10 * math.log10(error))
    assert found == pytest.approx(expected, abs=0.06)


@pytest.mark.real
def test_units_of_vaelight_are_stable_diffusions(real_data: Path) -> None:
    raw, scaled = (load("vaelight", options={"height": 16, "width": 24, "units": units}) for units in ("raw", "scaled"))
    x = images(2, 16)
    z = raw.encode(x)
    assert torch.allclose(scaled.encode(x), 0.18215 * z, atol=1e-6)
    assert torch.allclose(scaled.decode(0.18215 * z), raw.decode(z), atol=1e-5)
    assert "without Stable Diffusion's scaling factor 0.18215" in raw.units
    assert "as Stable Diffusion 1.x takes them" in scaled.units
    with pytest.raises(InputError, match=r"Latents of VAElight have the shape \(4, height/8, width/8\)"):
        load("vaelight", latent_shape=(32, 4, 4))


@pytest.mark.real
def test_presets_find_their_files(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPARATRIX_DATA", str(real_data))
    field = load("taef2", latent_shape=(32, 4, 4))
    assert field.latent_shape == (32, 4, 4)
    assert sum(p.numel() for p in field.modules[0].parameters()) == 2_677_027
    assert load("burgess/betaB_dsprites").latent_shape == (10,)
    weights = real_data / "weights/burgess_vae/VAE_mnist.pt"
    assert load("burgess/VAE_mnist", weights=weights).fingerprint == load("burgess/VAE_mnist").fingerprint
    for spec, name in (("taef2", "TAEF2"), ("vaelight", "VAElight")):
        for options in ({"height": 30}, {"width": 4}):
            with pytest.raises(InputError, match=f"{name} takes images whose sides are multiples of 8"):
                load(spec, options=options)
    monkeypatch.delenv("SEPARATRIX_DATA")
    for spec in ("taef2", "vaelight"):
        with pytest.raises(FileError, match=rf"{spec} are not part of separatrix; give their place with weights="):
            load(spec)
