"""The library's sentences in the words of the command line: each one provoked, so that neither side can drift."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import separatrix as sx
from separatrix.cli import _remedies as remedies
from separatrix.data import load_images
from separatrix.data._picture_stream import stream_pictures
from separatrix.errors import SeparatrixError
from separatrix.models import DenseAutoencoder, save_model
from separatrix.ood._score_run import score_to_table
from separatrix.orbits import Status
from separatrix.storage import new_folder


def _silent(tmp_path: Path) -> str:
    path = tmp_path / "silent.py"
    path.write_text("from torch import nn\nclass S(nn.Module):\n    def encode(s, x): return x\n    decode = encode\n")
    return f"{path}:S"


def _provoked(provoke: Callable[[], object]) -> str:
    with pytest.raises(SeparatrixError) as caught:
        provoke()
    return str(caught.value)


def _picture(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir(exist_ok=True)
    Image.new("L", (8, 8)).save(tmp_path / "pictures" / "0.png")
    return tmp_path / "pictures"


def _foreign_table(tmp_path: Path) -> None:
    field = sx.LatentField(torch.nn.Flatten(), torch.nn.Unflatten(1, (1, 8, 8)), latent_shape=64)
    detector = sx.ood.ResidualDetector(field).fit(torch.arange(9.0).div(9).reshape(9, 1, 1, 1).expand(9, 1, 8, 8))
    (tmp_path / "table.csv").touch()
    score_to_table(detector, _picture(tmp_path), tmp_path / "table.csv", fpr=0.3)


def _sentences(tmp_path: Path) -> list[tuple[str, str]]:
    """What the library says, and the words that must stand for it here."""
    saved = save_model(DenseAutoencoder((1, 4, 4), 2, hidden=(8,)), tmp_path / "model.safetensors")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    (tmp_path / "exists").mkdir()
    wide = sx.LatentField(lambda x: x.flatten(1)[:, :3], lambda z: z.repeat(1, 4), latent_shape=2)
    # A network that refuses other sizes, as convolutions into linear layers do.
    linear = torch.nn.Linear(16, 2)
    images = sx.LatentField(lambda x: linear(x.flatten(1)), lambda z: torch.zeros(len(z), 1, 4, 4), latent_shape=2)
    misfit = sx.LatentField(lambda x: linear(x.flatten(1)), lambda z: torch.zeros(len(z), 1, 8, 8), latent_shape=2)

    def overwrite() -> None:
        with new_folder(tmp_path / "exists", kind="separatrix result"):
            pass

    half = tmp_path / "encoder.onnx"
    half.touch()

    def load_from_nowhere() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("SEPARATRIX_DATA", raising=False)
            sx.load("taef2")

    return [
        (_provoked(lambda: sx.load(_silent(tmp_path))), "give --latent-shape, such as --latent-shape 4,8,8"),
        (_provoked(lambda: sx.load(saved, latent_shape=(3,))), "leave --latent-shape out"),
        (_provoked(wide.check().require), "give --latent-shape 3 if that is the latent"),
        (_provoked(sx.LatentField(linear, linear, latent_shape=3).check().require), "give the --latent-shape that"),
        (_provoked(lambda: sx.starts.encoded(torch.zeros(3, 1, 8, 8)).block(images, 0, 3)), "add --size 4,4"),
        (_provoked(lambda: sx.starts.encoded(torch.zeros(3, 1, 8, 8)).block(misfit, 0, 3)), "with separatrix doctor"),
        (_provoked(lambda: sx.load("weights.pt")), "--weights weights.pt"),
        (_provoked(lambda: sx.load(saved, weights="x.pt")), "so --weights does not apply"),
        (_provoked(lambda: sx.load("math:sin", decoder="x")), "so --decoder does not apply"),
        (_provoked(lambda: sx.load(half)), "decoder as --decoder decoder.onnx."),
        (_provoked(lambda: sx.load("model.pt2")), "give --allow-code, or"),
        (_provoked(load_from_nowhere), "give their place with --weights,"),
        (
            _provoked(lambda: sx.load(tmp_path / "foreign.safetensors")),
            "package.module:factory --weights foreign.safetensors",
        ),
        (_provoked(lambda: sx.Protocol(tolerance=0.0)), "--tolerance must be"),
        (_provoked(overwrite), "choose another --out, or add --overwrite"),
        (_provoked(lambda: load_images(np.full((2, 4, 4), 9.0))), "(--scale 255 does so)"),
        (
            _provoked(lambda: load_images(np.ones((2, 4, 4), np.uint8))),
            "add --scale 1 if 1 is white, or add --scale 255",
        ),
        (_provoked(lambda: load_images(np.full((2, 4, 4), 9), scale=3)), "above --scale 3;"),
        (_provoked(lambda: load_images(np.ones((2, 4, 4)), scale=-1)), "--scale must be the stored value"),
        (_provoked(lambda: list(stream_pictures(_picture(tmp_path), (1, 4, 4)))), "add --resize to bring"),
        (_provoked(lambda: _foreign_table(tmp_path)), "choose another --out, or add --overwrite"),
        (f"Remedy: {Status.WANDERING.remedy}.", "Remedy: raise --max-steps tenfold"),
        (Status.BUDGET.remedy, "raise --max-steps"),
    ]


def test_every_sentence_is_translated(tmp_path):
    for said, wanted in _sentences(tmp_path):
        assert wanted in remedies.in_command_line_words(said), said
        assert wanted not in said, "nothing to translate: drop the rule"


def test_every_rule_is_needed(tmp_path, monkeypatch):
    sentences = _sentences(tmp_path)
    rules = remedies._TRANSLATIONS
    for rule in rules:
        monkeypatch.setattr(remedies, "_TRANSLATIONS", tuple(other for other in rules if other is not rule))
        missed = [said for said, wanted in sentences if wanted not in remedies.in_command_line_words(said)]
        assert missed, f"{rule[0]} translates nothing that the library says"


def test_other_sentences_are_left_alone():
    assert remedies.in_command_line_words("Nothing to see in size=(3, 4).") == "Nothing to see in size=(3, 4)."
