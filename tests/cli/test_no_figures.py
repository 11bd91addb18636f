"""``--no-figures``: the same numbers, sooner, and no picture."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("attractors", "toy.py:wells", "--box", "-1,1", "--starts", "20", "--out", "here"),
        ("probe", "toy.py:small", "--noise", "20", "--out", "here"),
        ("film", "--epochs", "2", "--frames", "2", "--channels", "2", "--resolution", "4", "--out", "here"),
        ("audit", "toy.py:small", "--data-free", "--noise", "8", "--out", "here"),
    ],
)
def test_the_run_is_complete_without_a_picture(program, tmp_path, arguments):
    answer = program(*arguments, "--no-figures")
    assert answer.code == 0
    assert answer.stderr == ""
    assert (tmp_path / "here" / "summary.json").is_file()
    stage = "film" if arguments[0] == "film" else "limits"
    assert (tmp_path / "here" / stage / "result.json").is_file()
    assert list((tmp_path / "here").rglob("*.png")) == []
    report = (tmp_path / "here" / "report.html").read_text(encoding="utf-8")
    assert "Figures were left out, as asked for." in report


@pytest.mark.parametrize("command", ["attractors", "audit", "probe", "film", "demo"])
def test_every_command_that_draws_can_leave_it(program, command):
    assert "--no-figures" in program(command, "--help").stdout
