"""A table of scores with a run beside it: the page says what the table does, and goes with it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from killing import killed_at
from separatrix import LatentField, ood, runs
from separatrix.ood._score_table import read_rows
from separatrix.runs import OtherPlan
from separatrix.runs._plan import model_record
from separatrix.runs._run import Run


class Tiny(nn.Module):
    """Images 1×4×4 to two numbers and back; it counts its evaluations."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.5))
        self.calls = 0

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.slope * x.flatten(1)[:, :2]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return z.repeat(1, 8).reshape(-1, 1, 4, 4)


def images(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def detector_of(model: Tiny, seed: int = 0) -> ood.Detector:
    field = LatentField(model.encode, model.decode, latent_shape=2, modules=(model,), name="tiny")
    return ood.MahalanobisDetector(field).fit(images(80, seed))


@pytest.fixture
def pictures(tmp_path):
    """Thirteen pictures, of which the second is much unlike the others, one that is none, and one of another size."""
    place = tmp_path / "pictures"
    place.mkdir()
    for index, image in enumerate((255 * images(13, 1)[:, 0]).to(torch.uint8).numpy()):
        image = np.full((4, 4), 255, np.uint8) if index == 1 else image
        image = np.zeros((6, 6), np.uint8) if index == 12 else image
        Image.fromarray(image).save(place / f"{index:02d}.png")
        os.utime(place / f"{index:02d}.png", (1e9, 1e9))
    (place / "broken.png").write_bytes(b"no picture")
    return place


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_says_what_the_table_does(pictures, tmp_path):
    found = runs.score(detector_of(Tiny()), pictures, tmp_path / "t.csv", fpr=0.1, out=tmp_path / "run")
    rows = {row.file: row for row in read_rows(tmp_path / "t.csv")}
    called = {name for name, row in rows.items() if row.decision == "out"}
    written = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert (written["files"], written["out"], written["unscorable"]) == (14, len(called), 2)
    scored = {name: row.score for name, row in rows.items() if row.decision != "unscorable"}
    assert list(written["highest"]) == sorted(scored, key=lambda name: -scored[name])
    assert written["highest"] == {name: scored[name] for name in written["highest"]}
    assert written["threshold"] == min(scored[name] for name in called)
    assert set(written["broken"]) == {"12.png", "broken.png"}
    assert f"{len(called)} of 12 scored inputs are called" in written["statement"]
    page = found.report.read_text(encoding="utf-8")
    assert page.count("<figcaption>input</figcaption>") == 12
    assert f"<li>broken.png: {found.scores.broken['broken.png']}</li>" in page
    assert (tmp_path / "run" / "scores.png").is_file()
    assert len(runs.report(tmp_path / "run").summary["highest"]) == 12


def test_without_a_folder_there_is_the_table_alone(pictures, tmp_path):
    found = runs.score(detector_of(Tiny()), pictures, tmp_path / "t.csv", fpr=0.1)
    assert (found.folder, found.report) == (None, None)
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "t.csv", "t.csv.json"}


@pytest.mark.parametrize("figures", [True, False])
def test_the_page_is_made_again_without_the_model(figures, pictures, tmp_path):
    runs.score(detector_of(Tiny()), pictures, tmp_path / "t.csv", fpr=0.1, out=tmp_path / "run", figures=figures)
    before = files(tmp_path / "run")
    shutil.rmtree(pictures)
    for name in before:
        if "/" not in name and name != "manifest.json":
            (tmp_path / "run" / name).write_bytes(b"gone")
    runs.report(tmp_path / "run", figures=figures)
    assert files(tmp_path / "run") == before


def test_known_scores_cost_nothing_and_new_pictures_come_to_the_page(pictures, tmp_path):
    table, out = tmp_path / "t.csv", tmp_path / "run"
    model = Tiny()
    detector = detector_of(model)
    runs.score(detector, pictures, table, fpr=0.1, out=out)
    before, model.calls = files(out), 0
    model_record(detector.field)
    asked, model.calls = model.calls, 0
    runs.score(detector, pictures, table, fpr=0.1, out=out)
    assert model.calls == asked  # which it takes to see that the model is still the same
    assert files(out) == before
    shutil.copy(pictures / "01.png", pictures / "13.png")
    found = runs.score(detector, pictures, table, fpr=0.1, out=out)
    assert found.scores.reused == 14
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["files"] == 15
    other = runs.score(detector, pictures, table, fpr=0.3, out=out)
    assert other.scores.reused == 15
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["fpr"] == 0.3


def test_killed_at_any_step_it_ends_in_the_same_bytes(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    detector, table = detector_of(Tiny()), tmp_path / "t.csv"

    def score(out: Path) -> None:
        runs.score(detector, pictures, table, fpr=0.1, out=out, figures=False)

    score(tmp_path / "whole")
    whole, step, killed = files(tmp_path / "whole"), 0, True
    while killed:
        out = tmp_path / str(step)
        killed = killed_at(step, lambda out=out: score(out))
        score(out)
        assert files(out) == whole, f"killed at step {step}"
        shutil.rmtree(out)
        step += 1
    assert step > 50


def test_a_page_of_older_scores_does_not_say_that_it_is_finished(pictures, tmp_path, monkeypatch):
    detector, out = detector_of(Tiny()), tmp_path / "run"
    runs.score(detector, pictures, tmp_path / "t.csv", fpr=0.1, out=out)
    monkeypatch.setattr(Run, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        runs.score(detector, pictures, tmp_path / "t.csv", fpr=0.3, out=out)
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["state"] == "running"


def test_another_detector_and_other_pictures_are_refused_before_anything_is_scored(pictures, tmp_path):
    out = tmp_path / "run"
    runs.score(detector_of(Tiny()), pictures, tmp_path / "t.csv", fpr=0.1, out=out, figures=False)
    before, model = files(out), Tiny()
    other = detector_of(model, seed=5)
    model.calls = 0
    model_record(other.field)
    asked, model.calls = model.calls, 0
    with pytest.raises(OtherPlan, match=r"it differs in options\.detector\)"):
        runs.score(other, pictures, tmp_path / "u.csv", fpr=0.1, out=out)
    assert model.calls == asked
    shutil.copytree(pictures, tmp_path / "more")
    with pytest.raises(OtherPlan, match=r"it differs in options\.source\)"):
        runs.score(detector_of(Tiny()), tmp_path / "more", tmp_path / "u.csv", fpr=0.1, out=out)
    assert files(out) == before
    assert not (tmp_path / "u.csv").exists()
