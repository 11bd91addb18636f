"""``separatrix gallery``: many models on one page, some of which cannot be used."""

from __future__ import annotations

import torch

from separatrix.cli._exit_codes import ExitCode
from separatrix.models import DenseAutoencoder, save_model


def test_a_folder_of_checkpoints_and_two_models(program, digits, tmp_path):
    (tmp_path / "run").mkdir()
    torch.manual_seed(0)
    save_model(DenseAutoencoder((1, 4, 4), 2, hidden=(8,)), tmp_path / "run" / "epoch-1.safetensors")
    (tmp_path / "run" / "epoch-2.safetensors").write_bytes(b"half of a file")
    models = ("run", "toy.py:small", "toy.py:shapes_that_do_not_close")
    options = ("--data", f"{digits}#test", "--starts", "8", "--no-figures", "--json")
    answer = program("gallery", *models, *options)
    assert answer.code == ExitCode.OK, answer.stderr
    kept = {record["name"]: record for record in answer.json["models"]}
    assert list(kept) == ["epoch-1", "epoch-2", "toy-small", "toy-shapes_that_do_not_close"]
    assert ["failed" in record for record in kept.values()] == [False, True, False, True]
    assert kept["toy-small"]["latent_dim"] == 2
    assert kept["toy-small"]["arrived"] == 8
    words = program("gallery", *models, *options[:-1])
    assert "epoch-2 has no page: " in words.stdout
    assert words.stdout.splitlines()[-1] == "gallery/index.html"
    for record in kept.values():
        assert "failed" in record or (tmp_path / "gallery" / record["page"]).is_file()


def test_weights_of_a_module_that_is_named(program, digits, tmp_path):
    (tmp_path / "weights").mkdir()
    torch.save({name: torch.zeros(shape) for name, shape in
                {"down.weight": (2, 16), "down.bias": 2, "up.weight": (16, 2), "up.bias": 16}.items()},
               tmp_path / "weights" / "zero.pt")  # fmt: skip
    answer = program("gallery", "weights", "--model", "toy.py:small", "--starts", "4", "--no-figures", "--json")
    assert answer.code == ExitCode.OK, answer.stderr
    (record,) = answer.json["models"]
    assert (record["name"], record["attracting"], record["arrived"]) == ("zero", 1, 4)
    page = (tmp_path / "gallery" / record["page"]).read_text(encoding="utf-8")
    assert "sx.load(&#34;" not in page  # which alone would give the module without these weights


def test_nothing_that_can_be_shown(program):
    answer = program("gallery", "toy.py:shapes_that_do_not_close", "--starts", "4", "--json")
    assert answer.code == ExitCode.BAD_INPUT
    assert "failed" in answer.json["models"][0]


def test_files_that_are_called_alike_or_oddly_have_cards_of_their_own(program, tmp_path):
    """Two trainings have an epoch-1 each, and one file with a blank in its name stopped everybody."""
    for folder in ("first run", "second"):
        (tmp_path / folder).mkdir()
        torch.manual_seed(0)
        save_model(DenseAutoencoder((1, 4, 4), 2, hidden=(8,)), tmp_path / folder / "epoch-1.safetensors")
    (tmp_path / "second" / "epoch-1.safetensors").rename(tmp_path / "second" / "Epoch-1.safetensors")
    save_model(DenseAutoencoder((1, 4, 4), 2, hidden=(8,)), tmp_path / "second" / "best <script> (2).safetensors")
    answer = program("gallery", "first run", "second", "first run", "--starts", "4", "--no-figures", "--json")
    assert answer.code == ExitCode.OK, answer.stderr
    names = [record["name"] for record in answer.json["models"]]
    assert names == ["epoch-1", "second-Epoch-1", "best-script-2", "first-run-epoch-1"]
    assert all((tmp_path / "gallery" / record["page"]).is_file() for record in answer.json["models"])
