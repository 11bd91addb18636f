"""``separatrix copy``: a run goes to an object store and back, a table of its starts, and what is wrong is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_there_and_back(program, bucket):
    made = program("attractors", "toy.py:wells", "--noise", "16", "--no-figures", "--out", "run")
    assert made.code == 0
    there = program("copy", "run", f"{bucket}/run")
    assert (there.code, there.stdout) == (0, f"{bucket}/run\n")
    back = program("copy", f"{bucket}/run", "back", "--json")
    assert (back.code, back.json) == (0, {"run": "back", "exit_code": 0, "warnings": []})
    assert Path("back/report.html").read_bytes() == Path("run/report.html").read_bytes()
    assert program("report", "back", "--no-figures").code == 0


def test_what_is_wrong_is_one_sentence(program, bucket):
    for arguments, words in (
        (
            ("attractors", "toy.py:wells", "--noise", "8", "--out", f"{bucket}/run"),
            f"separatrix copy FOLDER {bucket}/run.",
        ),
        (("report", f"{bucket}/run"), f"copy the run to this machine first: separatrix copy {bucket}/run FOLDER."),
        (("copy", f"{bucket}/run", "back"), "holds no complete copy of a run or a result"),
        (("copy", "nowhere", f"{bucket}/run"), "nowhere holds no run of separatrix"),
        (("copy", "s3://no-such-bucket/run", "back"), "There is no bucket s3://no-such-bucket"),
        (("copy", "a", "b"), "One of the two places must be in an object store"),
        (("copy", "a", "sftp://host/b"), "sftp:// is no object store that is known here"),
    ):
        answer = program(*arguments)
        assert answer.code >= 64
        assert words in answer.sentence


def test_a_row_per_start(program):
    pandas = pytest.importorskip("pandas")
    assert program("attractors", "toy.py:wells", "--noise", "16", "--no-figures", "--out", "run").code == 0
    told = program("report", "run", "--format", "parquet", "--no-figures")
    assert (told.code, told.stdout) == (0, "run/orbits.parquet\n")
    assert len(pandas.read_parquet("run/orbits.parquet")) == 16
