"""What parts gave is kept under the digest of all that they came from: valid is done, all else is computed again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine_tasks as tasks
from separatrix.engines import Here, Keeping
from separatrix.errors import CheckpointWarning
from separatrix.storage import place_of

PARTS = [b"a", b"b", b"c"]
DOUBLED = {0: b"aa", 1: b"bb", 2: b"cc"}


def mapped(folder: Path, parts: list[bytes] = PARTS, *shared: object) -> tuple[dict[int, bytes], int]:
    keeping = Keeping(Here(), place_of(folder))
    return dict(keeping.map(tasks.doubled, parts, *shared)), keeping.found


def test_what_is_done_is_found(tmp_path):
    assert mapped(tmp_path) == (DOUBLED, 0)
    assert mapped(tmp_path) == (DOUBLED, 3)
    assert mapped(tmp_path, [b"c", b"d", b"a"]) == ({0: b"cc", 1: b"dd", 2: b"aa"}, 2)


@pytest.mark.parametrize("damage", ["torn", "changed", "empty", "foreign"])
def test_a_damaged_part_is_computed_again(damage, tmp_path):
    mapped(tmp_path)
    victim = sorted(path for path in tmp_path.iterdir() if path.is_file())[0]
    content = victim.read_bytes()
    other = sorted(path for path in tmp_path.iterdir())[1].read_bytes()
    victim.write_bytes({"torn": content[:-1], "changed": content[:-1] + b"!", "empty": b"", "foreign": other}[damage])
    assert mapped(tmp_path) == (DOUBLED, 2)
    assert mapped(tmp_path) == (DOUBLED, 3)


def test_other_things_shared_are_another_computation(tmp_path):
    mapped(tmp_path, PARTS, b"round 1")
    assert mapped(tmp_path, PARTS, b"round 2")[1] == 0
    assert mapped(tmp_path, PARTS, b"round 1")[1] == 3


def test_what_is_not_needed_any_more_goes(tmp_path):
    keeping = Keeping(Here(), place_of(tmp_path))
    dict(keeping.map(tasks.doubled, PARTS))
    keeping.forget()
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_it_goes_on_with_one_warning(tmp_path):
    (tmp_path / "file").touch()
    with pytest.warns(CheckpointWarning, match="could not be stored") as warned:
        assert mapped(tmp_path / "file" / "parts") == (DOUBLED, 0)
    assert len(warned) == 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(first=st.lists(st.binary(max_size=3), max_size=6), second=st.lists(st.binary(max_size=3), max_size=6))
def test_any_two_calls_give_what_each_would_alone(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("parts")
    for parts in (first, second):
        found, _ = mapped(folder, parts)
        assert found == {n: part * 2 for n, part in enumerate(parts)}
