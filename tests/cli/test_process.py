"""The program as a process of its own: its entry points, its startup, and how it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points, version

import pytest

from separatrix.cli import main, stop_cleanly
from separatrix.cli._exit_codes import ExitCode

PROGRAM = [sys.executable, "-m", "separatrix"]

# Every command and every group of commands, found where the program itself finds them.
_HELP = """
import contextlib, io, sys
import typer.main
from separatrix.cli._app import app

def places(command, way):
    yield way
    for name, inner in getattr(command, "commands", {}).items():
        yield from places(inner, [*way, name])

asked = [["--version"], ["attractors", "--nois"]]
for way in places(typer.main.get_command(app), []):
    asked += [[*way, "--help"], [*way, "-h"]]
for arguments in asked:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        app(arguments, standalone_mode=False)
print(len(asked), *sorted({"torch", "numpy", "matplotlib", "scipy", "sklearn"} & set(sys.modules)))
"""


def test_version_help_and_usage_errors_do_not_wait_for_torch():
    answer = subprocess.run([sys.executable, "-c", _HELP], capture_output=True, text=True, check=True)
    count, *loaded = answer.stdout.split()
    assert int(count) >= 2 + 2 * 14  # the program, ood, and their commands
    assert not loaded


def test_the_console_script_is_this_program():
    (script,) = entry_points(group="console_scripts", name="separatrix")
    assert script.load() is main


def test_version_and_module():
    answer = subprocess.run([*PROGRAM, "--version"], capture_output=True, text=True)
    assert answer.returncode == 0
    assert answer.stdout == f"separatrix {version('separatrix')}\n"
    assert answer.stderr == ""


def test_a_usage_error_of_the_process():
    answer = subprocess.run([*PROGRAM, "attractors"], capture_output=True, text=True)
    assert answer.returncode == ExitCode.USAGE
    assert answer.stdout == ""
    assert answer.stderr == "error: Missing argument 'MODEL'; separatrix attractors --help explains the options.\n"


def _as_in_a_terminal():
    """What a shell in the background, nohup or a test runner has ignored or blocked is inherited by the child, unless it is undone."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _as_in_the_background():
    """What a shell does to what it starts with ``&``."""
    _as_in_a_terminal()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _begun(tmp_path, surroundings):
    """A search without end that has begun."""
    command = [*PROGRAM, "attractors", "toy.py:endless", "--noise", "50", "--out", "deep/here"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=surroundings
    )
    while not ((tmp_path / "begun").exists() and list((tmp_path / "deep").glob(".here.*"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(
    ("how", "surroundings"),
    [
        (signal.SIGINT, _as_in_a_terminal),
        (signal.SIGTERM, _as_in_a_terminal),
        (signal.SIGHUP, _as_in_a_terminal),
        (signal.SIGINT, _as_in_the_background),
    ],
    ids=["Ctrl-C", "a scheduler", "a lost connection", "an interrupt in the background"],
)
def test_stopping_a_run_leaves_one_sentence_and_nothing_else(program, tmp_path, how, surroundings):
    process = _begun(tmp_path, surroundings)
    process.send_signal(how)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert stderr == f"error: I{ExitCode.INTERRUPTED.sentence[1:]}.\n"
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"toy.py", "begun"}


def test_a_lost_connection_takes_the_terminal_along(program, tmp_path):
    process = _begun(tmp_path, _as_in_the_background)
    process.stdout.close()
    process.stderr.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 130
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"toy.py", "begun"}


def test_the_next_run_removes_what_a_killed_one_left(program, tmp_path):
    process = _begun(tmp_path, _as_in_a_terminal)
    refused = program("attractors", "toy.py:contraction", "--noise", "20", "--out", "deep/here", "--overwrite")
    assert (refused.code, f"process {process.pid}" in refused.sentence) == (ExitCode.BAD_INPUT, True)
    process.kill()
    process.communicate()
    assert set(os.listdir(tmp_path / "deep")) - {"here"} == {".here.part"}
    again = program("attractors", "toy.py:contraction", "--noise", "20", "--out", "deep/here", "--overwrite")
    assert again.code == ExitCode.OK
    assert os.listdir(tmp_path / "deep") == ["here"]


@pytest.mark.parametrize("ignored", [False, True])
def test_nohup_means_what_it_says(ignored):
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.getsignal(name) for name in names}
    try:
        for name in names:
            signal.signal(name, signal.SIG_IGN if ignored else signal.SIG_DFL)
        stop_cleanly()
        found = {name: signal.getsignal(name) for name in names}
        for name in names if not ignored else names[:2]:
            with pytest.raises(KeyboardInterrupt):
                found[name](name, None)
        assert (found[signal.SIGHUP] is signal.SIG_IGN) == ignored
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def test_a_reader_who_has_seen_enough_is_no_news(program, tmp_path):
    process = subprocess.Popen([*PROGRAM, "--help"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() != 0
