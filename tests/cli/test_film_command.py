"""``separatrix film`` as a new user runs it."""

from __future__ import annotations

import torch

import separatrix as sx
from separatrix.cli._exit_codes import ExitCode
from separatrix.models import DenseAutoencoder, save_model


def test_a_training_becomes_a_page(program, digits, tmp_path):
    options = ("--epochs", "2", "--frames", "3", "--resolution", "6", "--channels", "2", "--data", f"{digits}#train")
    answer = program("film", *options, "--json")
    assert answer.code == 0
    assert [frame["epoch"] for frame in answer.json["frames"]] == [0, 1, 2]
    assert set(answer.json["frames"][0]["errors"]) == {"training images", "unseen images"}
    assert answer.json["report"] == "runs/film-1/report.html"
    folder = tmp_path / "runs" / "film-1"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert 'id="slider"' in page
    assert (folder / "film.png").is_file()
    kept = sx.load_result(folder / "film")
    assert isinstance(kept, sx.studies.TrainingFilm)
    assert kept.continuation.counts.tolist() == [frame["sets"] for frame in answer.json["frames"]]
    assert isinstance(kept.rematched(by="points"), sx.studies.TrainingFilm)
    other = program("film", *options, "--seed", "1", "--out", "runs/film-1")
    assert other.code == ExitCode.BAD_INPUT
    assert "--overwrite" in other.sentence
    words = program("film", *options, "--seed", "1", "--out", "runs/film-1", "--overwrite")
    assert "at epoch 2" in words.stdout
    assert words.stdout.splitlines()[-1] == "runs/film-1/report.html"


def test_the_copies_of_a_training_are_checkpoints(program, digits, tmp_path):
    options = ("--data", f"{digits}#train", "--resolution", "4", "--json")
    trained = program("film", "--epochs", "2", "--channels", "2", "--out", "here", *options)
    assert trained.code == 0, trained.stderr
    again = program("film", "here/checkpoints", *options)
    assert again.code == 0, again.stderr
    assert [frame["epoch"] for frame in again.json["frames"]] == [0, 1, 2]
    field = sx.load(tmp_path / "here" / "checkpoints" / "epoch-0002.safetensors")
    pixels = torch.rand(3, 1, 4, 4)
    assert torch.equal(field.reconstruct(pixels), field.reconstruct(pixels))


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
    again = program("film", "run", "--data", f"{digits}#test", "--resolution", "5", "--out", "again")
    assert again.code == 0, again.stderr
    assert "step7.safetensors is left out: " in again.stdout
    page = " ".join((tmp_path / "again" / "report.html").read_text(encoding="utf-8").split())
    assert "<li>step7.safetensors: " in page
    weights = program(
        "film", "run", "--data", f"{digits}#test", "--resolution", "5", "--out", "b", "--model", "toy.py:small"
    )
    assert weights.code == ExitCode.BAD_INPUT
    assert "toy.py" in weights.sentence or "Autoencoder" in weights.sentence
    assert not (tmp_path / "b").exists()


def test_mistakes_in_the_arguments_show_at_once(program, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "give the images to show" in program("film", "empty").sentence
    assert "it belongs to a folder" in program("film", "--model", "toy.py:small").sentence
    nothing = program("film", "empty", "--data", "nowhere.npy")
    assert nothing.code == ExitCode.BAD_INPUT
    assert "holds no checkpoints" in nothing.sentence
