"""Every command that takes a while shows one line of progress, over all that it does, and takes it away at the end."""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np
import pytest
from PIL import Image

from separatrix.cli._terminal import Terminal
from separatrix.work import Moment, Progress

SEARCH = {"following orbits"}


class Remembered:
    """A sink that keeps every moment, and counts how often a line was taken away."""

    def __init__(self):
        self.moments: list[Moment] = []
        self.closed = 0

    def show(self, moment):
        self.moments.append(moment)

    def close(self):
        self.closed += 1


@pytest.fixture
def line(monkeypatch):
    """The line of the next command, as if somebody watched; without figures, which have tests of their own."""
    sink = Remembered()
    watched = cached_property(lambda _terminal: Progress(sink))
    watched.__set_name__(Terminal, "progress")
    monkeypatch.setattr(Terminal, "progress", watched)
    monkeypatch.setattr("separatrix.runs._attractors._planned", lambda _run, _results: {})
    for module in ("audit", "data_free"):
        monkeypatch.setattr(f"separatrix.runs._{module}.planned_figures", lambda _results, _budget: {})
    return sink


def held(sink, whole, parts):
    """One line, called ``whole``, in which these parts were seen, whose share never fell and came to its end."""
    assert sink.closed == 1
    assert {moment.stages[0] for moment in sink.moments} == {whole}
    assert parts <= {name for moment in sink.moments for name in moment.stages}
    shares = [moment.fraction for moment in sink.moments]
    assert shares == sorted(shares)
    assert all(moment.total is None or 0 <= moment.done <= moment.total for moment in sink.moments)


def test_attractors(program, line):
    assert program("attractors", "toy.py:wells", "--noise", "20", "--out", "here").code == 0
    held(line, "attractors", SEARCH | {"drawing the figures"})
    assert line.moments[-1].fraction >= 0.7
    orbits = [(moment.done, moment.total) for moment in line.moments if moment.stages[-1] == "following orbits"]
    assert orbits[0] == (0, 20)
    assert (20, 20) in orbits


def test_audit(program, line, digits):
    options = ("--train", f"{digits}#train", "--held-out", f"{digits}#test", "--sample", "5", "--noise", "5")
    program("audit", "toy.py:small", *options, "--out", "here")
    held(line, "audit", SEARCH)


def test_audit_without_data(program, line):
    program("audit", "toy.py:small", "--data-free", "--noise", "5", "--out", "here")
    held(line, "audit", SEARCH)


def test_probe(program, line, digits):
    assert program("probe", "toy.py:small", "--noise", "8", "--images", f"{digits}#train").code == 0
    held(line, "probe", SEARCH | {"coding images"})


def test_film(program, line, digits):
    options = ("--epochs", "2", "--frames", "2", "--resolution", "4", "--channels", "2", "--data", f"{digits}#train")
    assert program("film", *options).code == 0
    held(line, "film", SEARCH | {"training", "frames"})


def test_diff(program, line):
    assert program("diff", "toy.py:wells", "toy.py:wells", "--noise", "20").code == 0
    held(line, "diff", SEARCH | {"searching both models"})


def test_doctor(program, line):
    assert program("doctor", "toy.py:contraction").code == 0
    held(line, "measuring", {"following orbits", "Jacobians", "number formats"})


def test_detectors(program, line, digits, tmp_path):
    fit = ("--data", f"{digits}#train", "--out", "detector", "--detector", "knn", "--no-check")
    assert program("ood", "fit", "toy.py:small", *fit).code == 0
    held(line, "ood fit", {"fitting"})
    line.moments.clear()
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.fromarray(np.full((4, 4), 80 * number, dtype=np.uint8)).save(tmp_path / f"pictures/{number}.png")
    assert (
        program("ood", "score", "detector", "toy.py:small", "pictures", "--out", "scores.csv", "--fpr", "0.1").code == 0
    )
    line.closed -= 1
    held(line, "ood", {"scoring pictures"})
    scored = [moment for moment in line.moments if moment.stages[-1] == "scoring pictures"]
    assert (scored[-1].done, scored[-1].total) == (3, None)


def test_quiet_json_and_pipes_show_nothing(program):
    assert program("doctor", "toy.py:contraction", "--json").stderr == ""


def test_a_log_gets_lines_of_progress_and_documents_none(program, monkeypatch):
    monkeypatch.setattr("separatrix.work._progress.FIRST_LINE", 0.0)
    command = ("attractors", "toy.py:wells", "--noise", "50", "--no-figures", "--out")
    said = program(*command, "run").stderr.splitlines()
    assert re.search(r"^attractors.*; \S+ %? ?of all stages after ", said[0])
    assert program(*command, "quiet", "--quiet").stderr == ""
    assert program(*command, "json", "--json").stderr == ""
