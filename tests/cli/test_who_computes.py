"""The options that say who computes: each leads to its engine, and what does not fit together is a usage error."""

from __future__ import annotations

import pytest

from separatrix import engines
from separatrix.cli._exit_codes import ExitCode

SEARCH = ("attractors", "toy.py:contraction", "--noise", "20", "--no-figures")


@pytest.mark.parametrize(
    ("options", "engine", "arguments"),
    [
        (("--workers", "1"), None, None),
        (("--workers", "3"), "Processes", ((3,), {})),
        (("--engine", "processes"), "Processes", ((2,), {})),
        (("--engine", "ray"), "Ray", ((None, None), {"gpus": 0})),
        (
            ("--engine", "ray", "--address", "auto", "--workers", "5", "--gpus", "0.5"),
            "Ray",
            (("auto", 5), {"gpus": 0.5}),
        ),
    ],
)
def test_the_engine_that_was_asked_for_computes(program, monkeypatch, options, engine, arguments):
    made, used = [], []
    for name in ("Processes", "Ray"):
        monkeypatch.setattr(engines, name, lambda *a, _name=name, **b: made.append((_name, (a, b))) or engines.Here())
    genuine = engines.Here.close
    monkeypatch.setattr(engines.Here, "close", lambda self: used.append(engines.current()) or genuine(self))
    assert program(*SEARCH, *options).code == ExitCode.OK
    assert made == ([] if engine is None else [(engine, arguments)])
    assert len(used) == len(made)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--address", "auto"), "it is for Ray; give --engine ray too"),
        (("--workers", "2", "--gpus", "1"), "it is for Ray; give --engine ray too"),
        (("--engine", "here", "--workers", "2"), "--engine here is this process alone"),
        (("--engine", "rays"), "'rays' is not one of"),
    ],
)
def test_what_does_not_fit_together(program, options, words):
    answer = program(*SEARCH, *options)
    assert answer.code == ExitCode.USAGE
    assert words in answer.sentence


def test_a_run_goes_on_whoever_computes(program):
    program(*SEARCH)
    again = program(*SEARCH, "--engine", "here", "--json")
    assert again.json["folder"].endswith("-2"), "the first is finished"
