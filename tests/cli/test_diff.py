"""``separatrix diff`` as a new user runs it."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file

import separatrix as sx
from separatrix.cli._exit_codes import ExitCode
from separatrix.models import DenseAutoencoder, save_model


def test_a_model_and_itself(program, tmp_path):
    answer = program("diff", "toy.py:wells", "toy.py:wells", "--noise", "80", "--json", "--out", "found")
    assert answer.code == 0, answer.stderr
    assert answer.json["ami"] == 1.0
    assert answer.json["rerun"] == 1.0
    assert [pair["similarity"] for pair in answer.json["pairs"]] == [1.0] * 4
    assert answer.json["views"]["latent"]["matched"] == 4
    assert isinstance(sx.load_result(tmp_path / "found" / "comparison"), sx.studies.Comparison)
    assert isinstance(sx.load_result(tmp_path / "found" / "rerun"), sx.LimitSets)
    written = json.loads((tmp_path / "found" / "summary.json").read_text(encoding="utf-8"))
    assert {key: answer.json[key] for key in written} == written
    page = (tmp_path / "found" / "report.html").read_text(encoding="utf-8")
    assert "<strong>The basins agree</strong>" in page
    assert all(f"<li>{sentence}</li>" in page or sentence in page for sentence in answer.json["sentences"])
    assert (tmp_path / "found" / "overlap.png").is_file()
    words = program("diff", "toy.py:wells", "toy.py:wells", "--noise", "80", "--no-rerun")
    assert "adjusted mutual information 1.000" in " ".join(words.stdout.split())
    assert words.stdout.splitlines()[-2:] == [
        "runs/diff-toy-wells-toy-wells-1/report.html",
        "agreement of the basins 1.000, of equally good models –",
    ]


def test_saved_models_weights_and_reseeded_runs(program, digits, tmp_path):
    torch.manual_seed(0)
    for name in ("a", "b"):
        save_model(DenseAutoencoder((1, 4, 4), 2, hidden=(8,)), tmp_path / f"{name}.safetensors")
    files = program("diff", "a.safetensors", "b.safetensors", "--data", f"{digits}#test", "--json")
    assert files.code == 0, files.stderr
    assert set(files.json["views"]) == {"latent", "procrustes", "relative", "decoded"}
    state = {
        "down.weight": torch.randn(2, 16),
        "down.bias": torch.zeros(2),
        "up.weight": torch.randn(16, 2),
        "up.bias": torch.zeros(16),
    }
    for name in ("x", "y"):
        save_file(state, tmp_path / f"{name}.safetensors")
    options = ("--weights-a", "x.safetensors", "--weights-b", "y.safetensors", "--reseeded", "y.safetensors")
    seeds = program("diff", "toy.py:small", "toy.py:small", *options, "--data", f"{digits}#test", "--json")
    assert seeds.code == 0, seeds.stderr
    assert (seeds.json["a"], seeds.json["b"]) == ("x.safetensors", "y.safetensors")
    assert len(seeds.json["reseeded"]) == 1
    assert seeds.json["reseeded"][0] == seeds.json["ami"]
    assert seeds.json["folder"] == "runs/diff-x-y-1"


def test_mistakes_and_nothing_found(program, digits):
    assert "--noise N" in program("diff", "toy.py:wells", "toy.py:wells").sentence
    assert program("diff", "toy.py:wells", "toy.py:wells").code == ExitCode.USAGE
    both = program("diff", "toy.py:wells", "toy.py:wells", "--noise", "4", "--data", str(digits))
    assert both.code == ExitCode.USAGE
    assert (
        "it must be positive"
        in program("diff", "toy.py:wells", "toy.py:wells", "--noise", "4", "--threshold", "0").sentence
    )
    spaces = program("diff", "toy.py:wells", "toy.py:contraction", "--noise", "4")
    assert spaces.code == ExitCode.BAD_INPUT
    assert "no starts in common" in spaces.sentence
    nothing = program("diff", "toy.py:wells", "toy.py:drift", "--noise", "8", "--max-steps", "50", "--json")
    assert nothing.code == ExitCode.NOTHING_FOUND
    assert nothing.json["ami"] is None
