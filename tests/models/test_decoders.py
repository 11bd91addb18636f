"""Surrogate decoders: trained on features, judged on unseen images, tied to their encoder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import write_encoder
from typer.testing import CliRunner

from separatrix.cli._app import app
from separatrix.cli._exit_codes import ExitCode
from separatrix.errors import FileError, InputError, ModelWarning
from separatrix.models import load
from separatrix.models._backbones import Backbone, load_backbone
from separatrix.models._decoder_training import train_decoder
from separatrix.models._preprocessing import Preprocessing
from separatrix.models._registry import LoadRequest
from separatrix.models._surrogate import SurrogateDecoder, load_decoder, save_decoder


class Averages(nn.Module):
    """Mean colour of every 4×4 patch as tokens, with a class token before them: an encoder that can be inverted well."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        tokens = self.scale * torch.nn.functional.avg_pool2d(pixel_values, 4).flatten(2).transpose(1, 2)
        return torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)


def smooth_images(count: int, seed: int = 0) -> np.ndarray:
    """Images that are determined by their patch means: 4×4 random colours, doubled twice."""
    coarse = np.random.default_rng(seed).random((count, 4, 4, 3))
    return (255 * coarse.repeat(4, axis=1).repeat(4, axis=2)).astype(np.uint8)


@pytest.fixture
def averages() -> Backbone:
    return Backbone(Averages(), Preprocessing(mean=0.5, std=0.5, size=(16, 16)), patches=16)


def test_an_invertible_encoder_is_inverted(averages: Backbone) -> None:
    images = smooth_images(120)
    decoder, report = train_decoder(averages, images, epochs=30, width=24, learning_rate=5e-3, seed=1)
    assert (report.images, report.held_out) == (108, 12)
    assert 0.95 < report.r2 <= 1
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    unseen = x[9::10]
    with torch.no_grad():
        error = float((decoder(averages(unseen)) - unseen).square().mean())
        baseline = float((unseen - x[torch.arange(120) % 10 != 9].mean(dim=0)).square().mean())
    assert report.psnr == pytest.approx(-10 * np.log10(error), abs=1e-3)
    assert report.r2 == pytest.approx(1 - error / baseline, abs=1e-4)
    again, _ = train_decoder(averages, images, epochs=30, width=24, learning_rate=5e-3, seed=1)
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), decoder.state_dict().values(), strict=True)
    )


def test_the_encoder_and_the_random_state_stay_as_they_were(averages: Backbone) -> None:
    averages.train()
    before, state = averages.fingerprint(), torch.get_rng_state()
    with pytest.warns(ModelWarning, match="explains only"):
        train_decoder(averages, smooth_images(20), epochs=1, width=4, seed=0)
    assert averages.fingerprint() == before
    assert averages.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in averages.parameters())


def test_images_are_resized_to_the_encoder(averages: Backbone) -> None:
    """White stays white: resizing may overshoot 1 by a rounding unit, which is no wrong range."""
    white = np.full((20, 23, 46, 3), 255, dtype=np.uint8)
    white[::2, :11] = 0
    with pytest.warns(ModelWarning):
        _, report = train_decoder(averages, white, epochs=1, width=4)
    assert (report.images, report.held_out) == (18, 2)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (smooth_images(9), "9 images are too few"),
        (np.zeros((20, 5), dtype=np.uint8), "takes images, not data of shape|no images|vectors|cannot be resized"),
        (np.full((20, 16, 16, 3), 1.5, dtype=np.float32), "values from 0 to 1, or bytes"),
    ],
)
def test_bad_images_are_one_sentence(averages: Backbone, data: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        train_decoder(averages, data, epochs=1)


def test_a_decoder_belongs_to_its_encoder(tmp_path: Path) -> None:
    decoder = SurrogateDecoder((16, 16), (16, 16), width=4)
    path = save_decoder(decoder, tmp_path / "d.safetensors", encoder="abc", report={"r2": 0.7})
    again, report = load_decoder(path, encoder="abc")
    z = torch.randn(2, 16, 16)
    assert torch.equal(again(z), decoder(z))
    assert report == {"r2": 0.7}
    with pytest.raises(FileError, match="trained for another encoder"):
        load_decoder(path, encoder="abd")
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        save_decoder(decoder, tmp_path / "d.pt", encoder="abc", report={})
    from safetensors.torch import load_file, save_file

    huge = {"kind": "surrogate decoder", "config": json.dumps({"feature_shape": [16, 10**9], "image_size": [16, 16]})}
    save_file(load_file(path), tmp_path / "huge.safetensors", metadata=huge)
    with pytest.raises(FileError, match="does not fit"):
        load_decoder(tmp_path / "huge.safetensors")
    save_file(load_file(path), tmp_path / "bare.safetensors")
    with pytest.raises(FileError, match="is no surrogate decoder"):
        load_decoder(tmp_path / "bare.safetensors")
    save_file(load_file(path), tmp_path / "odd.safetensors", metadata={**huge, "config": '{"feature_shape": [15, 16]}'})
    with pytest.raises(FileError, match=r"config in .* is damaged, edited or of another kind .*image_size"):
        load_decoder(tmp_path / "odd.safetensors")


def test_tokens_must_be_a_square() -> None:
    with pytest.raises(InputError, match="15 tokens are no square grid"):
        SurrogateDecoder((15, 8), (16, 16))
    assert SurrogateDecoder((8,), (20, 12), width=4)(torch.zeros(2, 8)).shape == (2, 3, 20, 12)


def test_an_encoder_alone_says_how_to_get_a_decoder(tmp_path: Path) -> None:
    spec = write_encoder(tmp_path / "encoder")
    with pytest.raises(InputError, match=r"encoder without a decoder.*separatrix train-decoder .*--decoder"):
        load(spec)


def test_a_decoder_of_ones_own(tmp_path: Path) -> None:
    """As of representation autoencoders: any module from features to images."""
    spec = write_encoder(tmp_path / "encoder")
    (tmp_path / "mine.py").write_text(
        "from separatrix.models._surrogate import SurrogateDecoder\n"
        "def make(): return SurrogateDecoder((16, 16), (32, 32), width=4)\n"
        "def wrong(): return lambda z: z\n"
    )
    field = load(spec, decoder=f"{tmp_path / 'mine.py'}:make")
    z = torch.randn(2, 16, 16)
    assert field.decode(z).shape == (2, 3, 32, 32)
    assert field(z).shape == z.shape  # resized from 32 to the encoder's 16
    assert "nothing is known" in field.details["notes"][0]
    with pytest.raises(InputError, match=r"a decoder is an nn\.Module"):
        load(spec, decoder=f"{tmp_path / 'mine.py'}:wrong")


def test_train_decoder_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_encoder(tmp_path / "encoder")
    np.save("images.npy", smooth_images(40))
    words = ["train-decoder", "encoder", "--data", "images.npy", "--epochs", "2", "--width", "4", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["report"]["held_out"] == 4
    assert any("explains only" in warning for warning in document["warnings"])
    with safe_open("decoder.safetensors", framework="pt") as file:
        header = file.metadata()
    assert json.loads(header["report"])["psnr"] == pytest.approx(document["report"]["psnr"])
    backbone = load_backbone(LoadRequest(spec="encoder"))
    assert header["encoder_fingerprint"] == backbone.fingerprint()
    with pytest.warns(ModelWarning, match="which is poor"):
        field = load("encoder", decoder="decoder.safetensors")
    assert field.details["decoder"]["from"] == "decoder.safetensors"
    with pytest.raises(FileError, match="another encoder"):
        load("encoder", decoder="decoder.safetensors", options={"features": "mean"})
    again = CliRunner().invoke(app, words[:-1])
    assert again.exit_code == ExitCode.USAGE
    assert "--overwrite" in again.stderr
