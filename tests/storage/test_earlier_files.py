"""What an earlier version wrote is read today, number for number, and today's search finds the same."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch

import separatrix as sx
from separatrix import runs
from separatrix.errors import FileError

EARLIER = Path(__file__).parent.parent / "earlier"
VERSIONS = sorted(path.name for path in EARLIER.iterdir() if (path / "facts.json").exists())

spec = importlib.util.spec_from_file_location("make", EARLIER / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


@pytest.fixture(params=VERSIONS)
def place(request) -> Path:
    return EARLIER / request.param


def facts(place: Path) -> dict:
    return json.loads((place / "facts.json").read_text())


def known(columns: dict[str, list[float | None]]) -> dict[str, list[float]]:
    return {name: [math.inf if value is None else value for value in column] for name, column in columns.items()}


@pytest.mark.parametrize("kind", make.results())
def test_every_kind_of_result_is_read_number_for_number(place, kind):
    stored = sx.load_result(place / kind)
    assert type(stored).__name__ == facts(place)[kind]["type"]
    assert known(make.columns_of(stored)) == known(facts(place)[kind]["columns"])


@pytest.mark.parametrize("kind", make.results())
def test_what_is_computed_today_is_the_same(place, kind):
    then, now = known(facts(place)[kind]["columns"]), known(make.columns_of(make.results()[kind]()))
    assert now.keys() >= then.keys()
    for name, column in then.items():
        assert now[name] == pytest.approx(column, rel=1e-6, abs=1e-9), name
    if kind == "limits":
        stored = sx.load_result(place / "limits")
        assert torch.equal(stored.labels, make.results()[kind]().labels)


def test_a_detector_and_a_model(place):
    detector = sx.ood.Detector.load(place / "detector", make.wells())
    assert detector.score_features(make.images()).tolist() == facts(place)["detector"]["scores"]
    latents = sx.load(place / "model.safetensors").encode(make.squares()).flatten().tolist()
    assert latents == pytest.approx(facts(place)["model"]["latents"], rel=1e-6)


def test_a_run_without_a_plan_is_read_and_replaced_but_not_gone_on_with(place, tmp_path):
    import shutil

    shutil.copytree(place / "run", tmp_path / "run")
    assert len(sx.load_result(tmp_path / "run" / "limits").attractors) == 4
    with pytest.raises(FileError, match="without a plan, perhaps of an earlier version"):
        runs.report(tmp_path / "run")
    with pytest.raises(FileError, match="already exists"):
        runs.attractors(make.wells(), make.starts(), out=tmp_path / "run", figures=False)
    runs.attractors(make.wells(), make.starts(), out=tmp_path / "run", figures=False, overwrite=True)
    assert runs.record_of_run(tmp_path / "run")["state"] == "finished"
