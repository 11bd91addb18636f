"""A manifest that was edited by hand or damaged is one sentence, or makes no difference; nothing is shown of what was not asked for."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import separatrix as sx
from separatrix import runs
from separatrix.errors import FileError

FIELD = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), (2,), dtype=torch.float64, name="plane")
STARTS = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(8, 2)
SPARSE = {"figures": False, "explorer": False}


def attractors(out: Path, **options: Any) -> runs.AttractorsRun:
    return runs.attractors(FIELD, STARTS, sx.Protocol(max_steps=400), out=out, **SPARSE, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    attractors(out)
    return out


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all that is in a record; of a list, to its first entry."""
    if way:
        yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*way, key))


def edited(record: Any, way: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(record)
    part = changed
    for key in way[:-1]:
        part = part[key]
    if value is KeyError:
        del part[way[-1]]
    else:
        part[way[-1]] = value
    return changed


def trouble(run: Path) -> str | None:
    """The sentence that whoever looks at the run is told; None where there is nothing to say."""
    try:
        list(runs.listed(run))
        runs.shown(run)
        runs.report(run, **SPARSE)
    except FileError as error:
        return str(error)
    return None


@pytest.mark.parametrize("value", [KeyError, 7, "x", None, [1], {"a": 1}])
def test_an_edit_is_refused_or_makes_no_difference(whole: Path, tmp_path: Path, value: Any) -> None:
    record = json.loads((whole / "manifest.json").read_text())
    summary, run = (whole / "summary.json").read_bytes(), tmp_path / "run"
    shutil.copytree(whole, run)
    refused = 0
    for way in places(record):
        changed = edited(record, way, value)
        (run / "manifest.json").write_text(json.dumps(changed))
        said = trouble(run)
        refused += said is not None
        if said is None:
            assert (run / "summary.json").read_bytes() == summary, way
            assert way[0] != "plan" or changed == record, way
        else:
            assert str(run) in said or "holds no answers" in said, way
        shutil.copy(whole / "summary.json", run)
    assert refused > 20


def test_the_same_command_is_told_of_an_edit_too(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    record = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(edited(record, ("plan", "options", "seed"), 3)))
    with pytest.raises(
        FileError, match=r"The plan in .*manifest\.json is not what was written there; .* remove the folder"
    ):
        attractors(run)
    attractors(run, overwrite=True)
    assert runs.report(run, **SPARSE).summary


def test_a_run_of_a_recipe_to_come(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    record = json.loads((run / "manifest.json").read_text())
    del record["plan_sha256"]  # whoever writes it knows how
    (run / "manifest.json").write_text(json.dumps(edited(record, ("plan", "recipe"), "teleport")))
    with pytest.raises(FileError, match="a run of 'teleport', which this version does not know; upgrade"):
        runs.report(run, **SPARSE)


def test_pages_of_damaged_answers_say_so(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "answers-model" / "result.json").write_text("{}")
    with pytest.raises(
        FileError, match=r"answers-model is not what was stored there; .*the same command makes it anew"
    ):
        runs.report(run, **SPARSE)
    shutil.rmtree(run / "answers-model")
    with pytest.raises(FileError, match="answers-model"):
        runs.report(run, **SPARSE)
