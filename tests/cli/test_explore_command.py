"""``separatrix explore``: a page of a model, and of a run with its model."""

from __future__ import annotations

import pytest

from separatrix.cli._exit_codes import ExitCode


def test_a_page_of_a_model(program):
    answer = program("explore", "toy.py:wells", "--starts", "64", "-o", "page.html")
    assert answer.code == ExitCode.OK
    assert answer.stdout.splitlines()[-1] == "page.html"
    assert "All 64 starts reached an attractor" in answer.stdout
    again = program("explore", "toy.py:wells", "--starts", "64", "-o", "page.html")
    assert again.code == ExitCode.USAGE
    assert "page.html exists; give another name, or --overwrite" in again.sentence


def test_a_page_of_a_run_needs_its_model_and_no_other(program):
    assert program("attractors", "toy.py:wells", "--noise", "64", "--no-figures", "--out", "run").code == ExitCode.OK
    alone = program("explore", "run")
    assert alone.code == ExitCode.BAD_INPUT
    assert "in the command line --of MODEL" in alone.sentence
    other = program("explore", "run", "--of", "toy.py:small")
    assert other.code == ExitCode.BAD_INPUT
    assert "is of another model (it differs in model.name" in other.sentence
    right = program("explore", "run", "--of", "toy.py:wells", "--json")
    assert right.json["limit_sets"] >= 4
    assert right.json["model_inside"] is True
    assert right.json["bytes"] > 10_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toy.py:wells", "-o", "page.txt"], "'page.txt' must end in .html"),
        (["toy.py:wells", "--of", "toy.py:small"], "toy.py:wells is no run; give the model alone"),
    ],
)
def test_what_is_asked_wrongly(program, arguments, words):
    answer = program("explore", *arguments)
    assert answer.code == ExitCode.USAGE
    assert words in answer.sentence


def test_a_run_has_its_starts(program):
    assert program("attractors", "toy.py:wells", "--noise", "16", "--no-figures", "--out", "run").code == ExitCode.OK
    answer = program("explore", "run", "--of", "toy.py:wells", "--starts", "3")
    assert answer.code == ExitCode.USAGE
    assert "a run has its starts already" in answer.sentence
