"""Every way a run can end, by its exit code and its sentence."""

from __future__ import annotations

import warnings

import pytest
import typer

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._group import guarded
from separatrix.cli._terminal import Terminal
from separatrix.errors import FileError, InputError, ModelWarning


def _raising(error: BaseException):
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("The input is bad; mend it."), ExitCode.BAD_INPUT, "The input is bad; mend it."),
        (FileError("The file is bad; mend it."), ExitCode.BAD_INPUT, "The file is bad; mend it."),
        (
            KeyboardInterrupt(),
            ExitCode.INTERRUPTED,
            "Interrupted; nothing half-written is left, and a run goes on where it was when its command is given again.",
        ),
        (
            typer.Abort(),
            ExitCode.INTERRUPTED,
            "Interrupted; nothing half-written is left, and a run goes on where it was when its command is given again.",
        ),
        (
            MemoryError(),
            ExitCode.BAD_INPUT,
            "The machine ran out of memory; choose a smaller --batch-size or fewer starts.",
        ),
        (OSError(28, "No space left on device"), ExitCode.BAD_INPUT, "The output cannot be written (No space left"),
        (OSError(13, "Permission denied", "x"), ExitCode.BUG, "PermissionError: [Errno 13] Permission denied: 'x'"),
        (
            ZeroDivisionError("division by zero\nat length"),
            ExitCode.BUG,
            "ZeroDivisionError: division by zero; this is a bug",
        ),
        (RuntimeError(), ExitCode.BUG, "RuntimeError: no message"),
        (typer.BadParameter("it is wrong"), ExitCode.USAGE, "it is wrong; separatrix --help explains the options."),
    ],
)
def test_errors(capfd, monkeypatch, error, code, words):
    monkeypatch.setattr("separatrix.cli._group._abandon_stdout", lambda: None)  # it is the stdout of all tests here
    assert guarded(_raising(error), Terminal()) is code
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_success_and_other_codes_pass():
    assert guarded(lambda: None, Terminal()) is ExitCode.OK
    assert guarded(lambda: ExitCode.NOTHING_FOUND, Terminal()) is ExitCode.NOTHING_FOUND
    assert guarded(lambda: 0, Terminal()) is ExitCode.OK


def test_an_interrupt_that_typer_turned_into_a_code_has_its_sentence_too(capsys):
    assert guarded(lambda: 130, Terminal()) is ExitCode.INTERRUPTED
    assert capsys.readouterr().err == f"error: I{ExitCode.INTERRUPTED.sentence[1:]}.\n"


def test_square_brackets_are_text(capsys):
    guarded(_raising(InputError("Take model.encode(x)[0], not [bold]; see [/x].")), Terminal())
    assert capsys.readouterr().err == "error: Take model.encode(x)[0], not [bold]; see [/x].\n"


def test_long_sentences_stay_in_one_line(capsys):
    guarded(_raising(InputError("word " * 200)), Terminal())
    assert capsys.readouterr().err.count("\n") == 1


def test_warnings_are_lines_and_each_is_said_once(capsys):
    terminal = Terminal()

    def run() -> None:
        for _ in range(3):
            warnings.warn("Two\nlines [of] words.", ModelWarning, stacklevel=1)

    guarded(run, terminal)
    assert capsys.readouterr().err == "warning: Two lines [of] words.\n"
    assert terminal.warnings == ["Two lines [of] words."]
    guarded(run, Terminal(quiet=True))
    assert capsys.readouterr().err == ""


def test_the_exit_codes_are_documented_and_stable(program):
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "EXCEEDED": 1, "CANNOT_SAY": 2, "NOTHING_FOUND": 3, "USAGE": 64, "BAD_INPUT": 65, "BUG": 70, "INTERRUPTED": 130,
    }  # fmt: skip
    shown = " ".join(program("--help").stdout.split())
    for code in ExitCode:
        assert f"{int(code)} {code.sentence}" in shown


def test_the_options_of_speech_are_read_before_the_arguments_are_parsed():
    assert Terminal.for_arguments(["attractors", "--json", "-q", "--traceback"]) == Terminal(True, True, True)
    assert Terminal.for_arguments(["attractors", "--", "--json"]) == Terminal()


@pytest.mark.parametrize("command", ["demo", "attractors", "doctor"])
def test_every_command_teaches(program, command):
    shown = program(command, "--help")
    assert shown.code == 0
    assert f"separatrix {command} " in shown.stdout.split("Options")[0].split("Usage", 1)[1].split("\n", 1)[1]
    for option in ("--json", "--quiet", "--traceback", "--seed"):
        assert option in shown.stdout


def test_without_a_command_it_helps(program):
    shown = program()
    assert shown.code == 0
    assert "separatrix demo" in shown.stdout
