"""One validator for all our JSON: edits made from the schema are refused, each in one sentence, and nothing else comes out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import separatrix as sx
from separatrix.errors import FileError
from separatrix.storage import Owner
from separatrix.storage import _manifest as manifest
from separatrix.storage import _records as records
from separatrix.storage._records import (
    DetectorRecord,
    ExportedDetector,
    MonitorState,
    Record,
    foreign_json,
    read_record,
    record_of,
    schema_of,
)

DIGEST = "0" * 64
FIELD = {"name": "m", "latent_shape": [2], "fingerprint": None, "units": "own"}
EXAMPLES: dict[type[Record], dict[str, Any]] = {
    DetectorRecord: {
        "format": 1,
        "kind": "knn",
        "options": {"k": 1},
        "field": FIELD,
        "input_shape": [1, 2],
        "lost_in_calibration": 0,
        "notes": ["a"],
        "tensors_sha256": DIGEST,
    },
    ExportedDetector: {
        "format": 1,
        "kind": "knn",
        "options": {"k": 1},
        "calibration": 5,
        "input_shape": [1, 2],
        "dtype": "float32",
        "model": "m",
        "fingerprint": None,
        "notes": [],
    },
    MonitorState: {"rate": 0.1, "calibration": 5, "delta": 0.05, "inputs": 7, "alarms": 1, "unscorable": 0},
}
OTHERS: list[Any] = [None, True, -1, 0.5, 1e300, 2**60, 10**40, "x", "", [], [0], [-1], [1.5], ["x"], {}, {"a": 1}]


def edits(example: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every name left out, every value replaced by one of every other kind, and a name too many."""
    for name, value in example.items():
        yield f"without {name}", {key: part for key, part in example.items() if key != name}
        for other in OTHERS:
            if type(other) is not type(value) or name in ("tensors_sha256", "dtype"):
                yield f"{name}={other!r}", {**example, name: other}
    yield "one more", {**example, "more": 1}


def allowed(schema: type[Record], name: str, value: Any) -> bool:
    """Values of another kind that the schema takes: null where there need be none, whole numbers for real ones."""
    nullable = {"fingerprint", "input_shape"} if schema is DetectorRecord else {"fingerprint"}
    return (
        (name in nullable and value is None)
        or (name == "fingerprint" and isinstance(value, str))
        or (name in ("kind", "model") and isinstance(value, str))
    )


CASES = [
    pytest.param(schema, edited, id=f"{schema.__name__} {what}")
    for schema, example in EXAMPLES.items()
    for what, edited in edits(example)
    if not any(edited.get(name) != value and allowed(schema, name, edited.get(name)) for name, value in example.items())
    or len(edited) != len(example)
]


@pytest.mark.parametrize("schema", EXAMPLES)
def test_what_was_written_is_read(schema: type[Record]) -> None:
    assert record_of(json.dumps(EXAMPLES[schema]), schema, "here")


@pytest.mark.parametrize(("schema", "edited"), CASES)
def test_an_edit_is_refused_in_one_sentence(schema: type[Record], edited: dict[str, Any]) -> None:
    with pytest.raises(
        FileError, match=r"^here is damaged, edited or of another kind \(.*\); write it again\.$"
    ) as caught:
        record_of(json.dumps(edited), schema, "here")
    assert "`" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_sentence_names_the_place() -> None:
    with pytest.raises(FileError, match=r"\(calibration: expected int >= 1\)"):
        record_of(json.dumps({**EXAMPLES[ExportedDetector], "calibration": 0}), ExportedDetector, "here")
    with pytest.raises(FileError, match=r"9 alarms among 7 inputs"):
        record_of(json.dumps({**EXAMPLES[MonitorState], "alarms": 9}), MonitorState, "here")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 5000])
def test_numbers_are_finite(number: str) -> None:
    text = json.dumps(EXAMPLES[MonitorState]).replace('"delta": 0.05', f'"delta": {number}')
    with pytest.raises(FileError, match="damaged, edited or of another kind"):
        record_of(text, MonitorState, "here")


@pytest.mark.parametrize(
    "text", ["[" * 10**6, '{"a":' * 10**6, "[" * 400 + "]" * 400, '"' + "x" * records.LARGEST + '"']
)
def test_depth_and_size_are_bounded(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(FileError):
        read_record(path, MonitorState)
    if len(text) != 800:  # that one is deep, and JSON all the same
        with pytest.raises(FileError):
            foreign_json(text, "here")


def test_a_path_that_is_no_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_record(tmp_path, MonitorState)
    with pytest.raises(FileError, match="File name too long"):
        read_record(tmp_path / ("x" * 300), MonitorState)
    with pytest.raises(FileError, match="null byte"):
        read_record(Path("a\0b"), MonitorState)
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "nothing", MonitorState)


def make(
    sizes: Sequence[int],
    *,
    depth: int | None = None,
    final: Literal["a", "b"] = "a",
    tail: float = 0.0,
    flag: bool = True,
) -> None:
    """A constructor."""


GOOD = {"sizes": [1], "depth": None, "final": "b", "tail": 0.5, "flag": False}


@pytest.mark.parametrize(
    "change",
    [
        {"sizes": [1.5]},
        {"sizes": [True]},
        {"sizes": [2**60]},
        {"sizes": [1] * 1001},
        {"sizes": 1},
        {"depth": "1"},
        {"final": "c"},
        {"tail": "0"},
        {"flag": 1},
        {"more": 1},
    ],
)
def test_the_schema_of_a_constructor_is_as_strict(change: dict[str, Any]) -> None:
    schema = schema_of(make, tuple(GOOD))
    assert record_of(json.dumps(GOOD), schema, "here").sizes == [1]  # type: ignore[attr-defined]
    with pytest.raises(FileError, match="damaged, edited or of another kind"):
        record_of(json.dumps({**GOOD, **change}), schema, "here")


@given(st.integers(0, 2**32 - 1))
def test_damaged_bytes_are_read_or_refused(seed: int) -> None:
    draw = random.Random(seed)
    for schema, example in EXAMPLES.items():
        content = bytearray(json.dumps(example).encode())
        for _ in range(draw.randint(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        if draw.random() < 0.3:
            del content[draw.randrange(len(content)) :]
        with suppress(FileError):
            assert isinstance(record_of(bytes(content), schema, "here"), schema)


def test_importing_separatrix_does_not_import_the_validator() -> None:
    code = "import sys, separatrix; print(sorted({'msgspec', 'pydantic', 'separatrix.storage._records'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "text", ["[" * 10**6, '{"a": ' + "1" * 5000 + "}", '"' + "x" * records.LARGEST + '"', "\udcff", "[1]"]
)
@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_results_tables_and_folders_in_writing_hold_no_such_json(tmp_path: Path, text: str) -> None:
    halved = sx.LatentField.from_map(lambda z: z / 2, 1)
    limits = sx.find_attractors(halved, torch.linspace(-1, 1, 4)[:, None], throw=False)
    folder = sx.save_result(limits, tmp_path / "r")
    (folder / "result.json").write_text(text, errors="surrogateescape")
    with pytest.raises(FileError) as caught:
        sx.load_result(folder)
    assert "\n" not in str(caught.value)
    assert Owner.read(folder / "result.json") is None
    assert manifest._read(folder / "result.json") == {}


def test_the_owner_of_a_folder_is_a_process(tmp_path: Path) -> None:
    here = Owner.here()
    here.write(tmp_path / "owner")
    assert Owner.read(tmp_path / "owner") == here
    for change in ({"pid": "1"}, {"pid": -1}, {"pid": 2**70}, {"more": 1}):
        (tmp_path / "owner").write_text(json.dumps({**asdict(here), **change}))
        assert Owner.read(tmp_path / "owner") is None
