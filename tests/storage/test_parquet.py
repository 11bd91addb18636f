"""Columns of numbers in a Parquet file come back bit for bit, one row group at a time, and anything else is one sentence."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from separatrix.errors import FileError, InputError
from separatrix.storage import _parquet as parquet
from separatrix.storage._parquet import Column, read_columns, write_columns

WORDS = ("running", "converged", "ended")
ROW = st.tuples(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=True, allow_infinity=True), st.booleans(), st.integers(0, 2)
)


def columns_of(rows):
    whole, real, truth, word = zip(*rows, strict=True) if rows else ((), (), (), ())
    return [
        Column(name="whole", values=torch.tensor(whole, dtype=torch.int64), meaning="a number", unit="steps"),
        Column(name="real", values=torch.tensor(real, dtype=torch.float64), meaning="a measure"),
        Column(name="truth", values=torch.tensor(truth, dtype=torch.bool), meaning="a fact"),
        Column(name="word", values=torch.tensor(word, dtype=torch.uint8), meaning="an end", words=WORDS),
    ]


def same(read, columns):
    assert list(read) == [column.name for column in columns]
    for column in columns:
        values = read[column.name]
        assert (values.dtype, values.shape) == (column.values.dtype, column.values.shape)
        bits = torch.int64 if values.dtype == torch.float64 else values.dtype
        assert torch.equal(values.view(bits), column.values.view(bits))  # NaN and −0 are what they were


@given(st.lists(ROW, max_size=40), st.integers(1, 9))
def test_bit_for_bit(rows, group):
    file = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROWS", group)
        write_columns(file, columns_of(rows), {"of": "a test"})
    read, facts = read_columns(io.BytesIO(file.getvalue()), "here")
    same(read, columns_of(rows))
    assert facts["of"] == "a test"
    again, _ = read_columns(io.BytesIO(file.getvalue()), "here", ["word", "real"])
    same(again, [columns_of(rows)[3], columns_of(rows)[1]])


def test_others_read_it(tmp_path):
    pandas = pytest.importorskip("pandas")
    import pyarrow.parquet

    rows = [(1, float("nan"), True, 1), (-1, float("inf"), False, 2)]
    write_columns(tmp_path / "t.parquet", columns_of(rows), {"plan": "abc"})
    frame = pandas.read_parquet(tmp_path / "t.parquet")
    assert frame["word"].tolist() == ["converged", "ended"]
    assert frame["whole"].tolist() == [1, -1]
    assert str(frame["real"].tolist()) == "[nan, inf]"
    schema = pyarrow.parquet.read_schema(tmp_path / "t.parquet")
    assert (schema.field("whole").metadata[b"unit"], schema.field("real").metadata[b"meaning"]) == (
        b"steps",
        b"a measure",
    )
    assert not any(field.nullable for field in schema)
    assert b'"plan": "abc"' in schema.metadata[b"separatrix"]


def test_the_same_bytes_again(tmp_path):
    for name in "ab":
        write_columns(tmp_path / name, columns_of([(1, 0.5, True, 0)] * 1000), {"plan": "abc"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_damage_is_seen(tmp_path):
    """Wherever one bit differs: what is read is what was written, or it is refused."""
    path, generator = tmp_path / "t.parquet", torch.Generator().manual_seed(0)
    columns = [Column(name="x", values=torch.rand(300, dtype=torch.float64, generator=generator), meaning="x")]
    write_columns(path, columns, {})
    content = path.read_bytes()
    refused = 0
    for place in range(0, len(content), 4):
        damaged = bytearray(content)
        damaged[place] ^= 1
        try:
            read, _ = read_columns(io.BytesIO(bytes(damaged)), "here", ["x"])
        except (FileError, InputError):  # the latter where the name of the column is another one
            refused += 1
        else:
            same(read, columns)
    assert refused > 300  # of 2400 bytes of numbers, and others
    for torn in (content[:-1], content[:100], b"", b"no table"):
        with pytest.raises(FileError, match=r"here is damaged .*; write it again"):
            read_columns(io.BytesIO(torn), "here")


def test_a_table_of_somebody_else(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2]}), tmp_path / "theirs.parquet")
    with (
        (tmp_path / "theirs.parquet").open("rb") as stream,
        pytest.raises(FileError, match="is no table of separatrix"),
    ):
        read_columns(stream, "theirs.parquet")


def test_a_column_that_is_not_there(tmp_path):
    write_columns(tmp_path / "t.parquet", columns_of([]), {})
    with (
        (tmp_path / "t.parquet").open("rb") as stream,
        pytest.raises(InputError, match="no column 'labels'; it has whole, real"),
    ):
        read_columns(stream, "t.parquet", ["labels"])


def test_without_pyarrow(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(parquet, "find_spec", lambda name: None if name == "pyarrow" else find(name))
    with pytest.raises(InputError, match=r'need pyarrow, which is not installed; pip install "separatrix\[arrow\]"'):
        write_columns(tmp_path / "t.parquet", columns_of([]), {})
    assert list(tmp_path.iterdir()) == []


MEASURED = """
import resource, sys, torch
from pathlib import Path
from separatrix.storage._parquet import Column, write_columns, read_columns
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def columns(n): return [Column(name=c, values=torch.zeros(1, dtype=torch.float64).expand(n), meaning="x") for c in "abcdefgh"]
path = Path(sys.argv[1])
write_columns(path, columns(2**18), {})
path.unlink()
before = peak()
write_columns(path, columns(2**22), {})
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    """Eight columns of four million rows are 268 MB, of two row groups 17 MB; the values take no memory themselves."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "t.parquet")], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 60
