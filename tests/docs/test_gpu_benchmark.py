"""benchmarks/gpu.py runs on any machine, says what failed, and its numbers (not its times) are right."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def gpu():
    known = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("gpu")
    sys.path.remove(str(BENCHMARKS))
    for name in {path.stem for path in BENCHMARKS.glob("*.py")} & set(sys.modules) - known:
        del sys.modules[name]


@pytest.fixture
def run(gpu, monkeypatch, tmp_path):
    """The command, and what it wrote."""

    def runs(*arguments: str) -> dict:
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--small", "--device", "cpu", "--out", str(tmp_path), *arguments])
        gpu.main()
        record = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
        assert gpu.page(record) == (tmp_path / "gpu.md").read_text(encoding="utf-8")
        return record

    return runs


@pytest.mark.filterwarnings("ignore:There are modules in AutoencoderKL")
def test_every_section_is_measured(run):
    pytest.importorskip("diffusers")
    sections = run()["sections"]
    assert not [title for title, one in sections.items() if "failed" in one]
    for title, latent in (("conv", 32), ("dense", 64), ("autoencoder_kl", 4 * 16 * 16)):
        one = sections[title]
        assert one["latent"] == latent
        assert one["evaluations"] >= one["starts"]
        assert one["operations_per_evaluation"] > 2 * 2 * latent
    # Encoder and decoder, two products of 784 × 64 and 64 × 64 each, a multiplication and an addition per weight.
    assert sections["dense"]["operations_per_evaluation"] == 2 * 2 * (784 * 64 + 64 * 64)
    assert sections["questions"]["asked_per_step"] <= 0.1
    assert sections["questions"]["steps"] >= 32
    assert [one["equal"] for one in sections["labels"].values()] == [32, 32]
    assert sections["matching_pursuit"]["supports_equal"] == sections["matching_pursuit"]["signals"] == 8
    assert sections["million"]["starts"] == 2000
    assert sections["million"]["labelled"] == 1.0


def test_a_section_survives_the_failure_of_another(gpu, run, monkeypatch):
    def broken(bench):
        raise ValueError("no room\nfor this")

    monkeypatch.setattr(gpu, "SECTIONS", {"conv": broken, "labels": lambda bench: {"conv": {"equal": 3, "starts": 4}}})
    record = run()
    assert record["sections"]["conv"] == {"failed": "ValueError: no room"}
    page = gpu.page(record)
    assert "| convolutional, k = 32 | ValueError: no room |" in page
    assert "conv 3 of 4 equal" in page
    assert "million: not measured" in page


def test_no_section_begins_when_the_time_is_over(gpu, run):
    sections = run("--minutes", "-1")["sections"]
    assert set(sections) == set(gpu.SECTIONS)
    assert all("minutes were over" in one["failed"] for one in sections.values())


def test_what_was_replaced_is_put_back(gpu):
    from separatrix import LatentField
    from separatrix.limitsets import _parts as parts
    from separatrix.orbits import _looks as looks
    from separatrix.orbits import _pool as pool

    evaluate = LatentField.bare
    with gpu.stepping(torch.no_grad):
        assert looks.ON_CPU == looks.ON_ACCELERATORS
        assert parts.advance is not pool.advance
    assert (looks.ON_CPU, parts.advance, LatentField.bare) == (1, pool.advance, evaluate)
