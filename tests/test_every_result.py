"""Every public result: one line in a terminal, a small table in a notebook, JSON, and a data frame where it is a table."""

from __future__ import annotations

import builtins
import dataclasses
import enum
import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import separatrix as sx
from every_result import MADE, result
from separatrix.errors import InputError
from separatrix.storage import Columnar
from separatrix.words import Readable, Tabular

ROOMS = (
    "field",
    "data",
    "models",
    "starts",
    "orbits",
    "limitsets",
    "studies",
    "ood",
    "monitoring",
    "numerics",
    "testing",
)
EDITS = ("Edit", "JPEG", "KeepLatent", "LatentNoise", "PasteBack", "Rounding", "Shift", "Tiles")
ABSTRACT = {Columnar, Readable, Tabular}


def public_classes() -> dict[str, type]:
    found = {}
    for room in ROOMS:
        face = import_module(f"separatrix.{room}")
        found |= {name: getattr(face, name) for name in face.__all__ if inspect.isclass(getattr(face, name))}
    return {name: kind for name, kind in found.items() if not issubclass(kind, (enum.Enum, Exception))}


READABLE = [name for name, kind in public_classes().items() if issubclass(kind, Readable)]
TABLES = [name for name in READABLE if issubclass(public_classes()[name], Tabular)]


def test_the_list_is_complete() -> None:
    records = {name for name, kind in public_classes().items() if dataclasses.is_dataclass(kind)}
    # They are asked for and not answered with: rows of another record, how to load a model, what it raised, and columns of a search in a bank.
    parts = {"SensitivityRow", "DecoderReport", "Failure", "Family", "LoadRequest", "NearestItems", "Raised", *EDITS}
    assert (records | set(READABLE)) - parts <= set(MADE)
    assert all(type(result(name)).__name__ == name or name == "Detector" for name in MADE)


@pytest.mark.parametrize("name", MADE)
def test_one_line_says_what_it_is(name: str) -> None:
    line = repr(result(name))
    assert "\n" not in line
    assert 0 < len(line) <= 420
    assert not any(dump in line for dump in ("tensor(", "array(", " object at 0x", "<function"))


@pytest.mark.parametrize("name", READABLE)
def test_json(name: str) -> None:
    record = result(name).to_dict()
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text) == record
    assert len(record) > 1


@pytest.mark.parametrize("name", READABLE)
def test_notebooks_show_the_line_and_the_head_of_the_table(name: str) -> None:
    shown = result(name)._repr_html_()
    assert shown.startswith("<p>")
    assert len(shown) < 20_000
    assert ("<table>" in shown) == (name in TABLES)
    assert shown.count("<tr>") <= 1 + 8


@pytest.mark.parametrize("name", TABLES)
def test_data_frames_have_the_rows(name: str) -> None:
    pytest.importorskip("pandas")
    found = result(name)
    frame = found.to_pandas()
    assert list(frame.columns) == list(found.table)
    assert len(frame) == len(next(iter(found.table.values())))
    if isinstance(found, Columnar):
        assert len(frame) == len(found)
        assert len(found[:0].to_pandas()) == 0


def test_without_pandas_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *more: object) -> object:
        if name == "pandas":
            raise ImportError(name)
        return imported(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"needs pandas.*separatrix\[pandas\].*to_dict"):
        result("LimitSets").to_pandas()


def test_rows_of_limit_sets_are_words_and_numbers() -> None:
    limits = result("LimitSets")
    rows = limits.to_dict()["rows"]
    assert [row["kind"] for row in rows] == ["fixed_point"] * len(limits)
    assert [row["hits"] for row in rows] == limits.hits.tolist()
    assert [[row["points_0"], row["points_1"]] for row in rows] == limits.points.tolist()
    assert limits.to_dict()["protocol"]["tolerance"] == limits.protocol.tolerance
    assert limits.to_dict()["fates"]["attractor"] == len(limits.labels)


def test_every_stored_kind_is_known_to_a_fresh_process(tmp_path: Path) -> None:
    """A file names its kind alone, and whoever makes results of it announces it on import."""
    from separatrix.storage._store import _KINDS

    known = {
        name for name, kind in _KINDS.items() if kind.__module__.split(".")[1] not in ("runs", "explorer", "testing")
    }
    stored = {name: str(sx.save_result(result(name), tmp_path / name)) for name in sorted(known & set(MADE))}
    line = f"""
import separatrix as sx
for folder in {list(stored.values())}: print(type(sx.load_result(folder)).__name__)
from separatrix.storage._store import _KINDS
print(*_KINDS)
"""
    answer = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stdout.split()
    assert answer[: len(stored)] == list(stored)
    assert {"LimitSets", "Orbits", "Comparison", "Continuation", "Contraction", "RateLaw", "TrainingFilm"} <= set(
        stored
    )
    assert known <= set(answer[len(stored) :])
