"""Every command that searches or scores writes the same bytes whoever computes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from separatrix import engines
from separatrix.cli._exit_codes import ExitCode
from separatrix.engines._sending import sent
from separatrix.errors import InputError
from separatrix.protocol import Rounds

NOISE = ("--noise", "80", "--no-figures")
COMMANDS = {
    "audit": (
        "audit",
        "toy.py:small",
        "--train",
        "{digits}#train",
        "--held-out",
        "{digits}#test",
        "--sample",
        "20",
        *NOISE,
    ),
    "probe": ("probe", "toy.py:wells", *NOISE),
    "diff": ("diff", "toy.py:wells", "toy.py:wells", *NOISE),
    "film": ("film", "--epochs", "2", "--channels", "2", "--frames", "2", "--resolution", "12", "--no-figures"),
    "ood fit": ("ood", "fit", "toy.py:small", "--data", "train.npy", "--no-check", "--detector", "trajectory"),
}


class Elsewhere(engines.Here):
    """An engine that sends everything, computes the last part first, and counts."""

    workers, parts = 2, 0

    def map(self, task, parts, *shared):
        listed = list(enumerate(parts))
        for number, part in reversed(listed):
            Elsewhere.parts += 1
            copy, one, *others = pickle.loads(sent((task, part, *shared)))
            yield number, copy(one, *others)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_has_the_same_bytes_whoever_computes(program, digits, tmp_path, monkeypatch, name):
    np.save(tmp_path / "train.npy", np.random.default_rng(0).integers(0, 256, (400, 4, 4)).astype(np.uint8))
    monkeypatch.setattr(Rounds, "rows_in_a_part", lambda self, rows: 16)  # so that a round of a small search has parts
    command = [word.format(digits=digits) for word in COMMANDS[name]]
    written, parts = {}, {}
    for workers in ("1", "2"):
        Elsewhere.parts = 0
        with monkeypatch.context() as patch:
            patch.setattr(engines, "Processes", lambda *_, **__: Elsewhere())
            answer = program(*command, "--out", "run", "--workers", workers)
        assert answer.code in (0, 1, 2), answer.stderr
        (tmp_path / "run").rename(tmp_path / workers)
        written[workers], parts[workers] = files(tmp_path / workers), Elsewhere.parts
    assert parts["1"] == 0
    assert parts["2"] > 1
    assert written["1"] == written["2"]


def test_two_processes(program, tmp_path, monkeypatch):
    monkeypatch.setattr(Rounds, "rows_in_a_part", lambda self, rows: 16)
    for workers in ("1", "2"):
        assert program("probe", "toy.py:wells", *NOISE, "--out", "run", "--workers", workers).code == 0
        (tmp_path / "run").rename(tmp_path / workers)
    assert files(tmp_path / "1") == files(tmp_path / "2")


def test_the_demo_too_is_computed_so(program, monkeypatch):
    """It trains three models, so that two whole runs would take their time."""
    seen = []

    def demo(*_, **__):
        seen.append(engines.current())
        raise InputError("enough")

    monkeypatch.setattr("separatrix.runs.demo", demo)
    assert program("demo", "--workers", "2").code == ExitCode.BAD_INPUT
    assert isinstance(seen[0], engines.Processes)
