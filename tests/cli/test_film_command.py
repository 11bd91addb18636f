"""``separatrix film`` as a new user runs it."""

from __future__ import annotations

import torch

import separatrix as sx
from separatrix.cli._exit_codes import ExitCode
from separatrix.models import DenseAutoencoder, save_model


def test_a_training_becomes_a_page(program, digits, tmp_path):
    options = ("--epochs", "2", "--frames", "3", "--resolution", "6", "--channels", "2", "--data", f"{digits}#train")
    answer = program("film", *options, "--json", "--keep", "kept")
    assert answer.code == 0
    assert [frame["epoch"] for frame in answer.json["frames"]] == [0, 1, 2]
    assert set(answer.json["frames"][0]["errors"]) == {"training images", "unseen images"}
    assert (tmp_path / "film.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    kept = sx.load_result(tmp_path / "kept")
    assert isinstance(kept, sx.studies.TrainingFilm)
    assert kept.continuation.counts.tolist() == [frame["sets"] for frame in answer.json["frames"]]
    again = program("film", *options)
    assert again.code == ExitCode.USAGE
    assert "--overwrite" in again.sentence
    words = program("film", *options, "--overwrite")
    assert "at epoch 2" in words.stdout
    assert words.stdout.splitlines()[-1] == "film.html"


def test_checkpoints_become_a_page(program, digits, tmp_path):
    (tmp_path / "run").mkdir()
    torch.manual_seed(0)
    for number in (5, 10):
        save_model(DenseAutoencoder((1, 4, 4), 2, hidden=(8,)), tmp_path / "run" / f"step{number}.safetensors")
    answer = program("film", "run", "--data", f"{digits}#test", "--resolution", "5", "--json")
    assert answer.code == 0, answer.stderr
    assert [frame["step"] for frame in answer.json["frames"]] == [5, 10]
    assert answer.json["left_out"] == {}
    (tmp_path / "run" / "step7.safetensors").write_bytes(b"half of a file")
    again = program("film", "run", "--data", f"{digits}#test", "--resolution", "5", "--overwrite")
    assert again.code == 0, again.stderr
    assert "step7.safetensors is left out: " in again.stdout
    weights = program(
        "film", "run", "--data", f"{digits}#test", "--resolution", "5", "--out", "b.html", "--model", "toy.py:small"
    )
    assert weights.code == ExitCode.BAD_INPUT
    assert "toy.py" in weights.sentence or "Autoencoder" in weights.sentence


def test_mistakes_in_the_arguments_show_at_once(program, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "give the images to show" in program("film", "empty").sentence
    assert "it belongs to a folder" in program("film", "--model", "toy.py:small").sentence
    nothing = program("film", "empty", "--data", "nowhere.npy")
    assert nothing.code == ExitCode.BAD_INPUT
    assert "holds no checkpoints" in nothing.sentence
