"""The program as a process of its own: its entry points, its startup, and how it is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import separatrix
from separatrix.cli import main
from separatrix.cli.exit_codes import ExitCode

PROGRAM = [sys.executable, "-m", "separatrix"]
SOURCE = Path(separatrix.__file__).parent

# The package without its public names: what remains is what the command line itself imports.
_HELP_WITHOUT_THE_LIBRARY = f"""
import contextlib, io, sys, types
package = types.ModuleType("separatrix")
package.__path__ = [{str(SOURCE)!r}]
sys.modules["separatrix"] = package
from separatrix.cli.app import app
for arguments in (["--help"], ["attractors", "--help"], ["demo", "--help"], ["doctor", "--help"], ["probe", "--help"], ["film", "-h"], ["diff", "-h"], ["attractors", "--nois"]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        app(arguments, standalone_mode=False)
print(*sorted({{"torch", "numpy", "matplotlib", "scipy"}} & set(sys.modules)))
"""


def test_help_and_usage_errors_do_not_wait_for_torch():
    answer = subprocess.run(
        [sys.executable, "-c", _HELP_WITHOUT_THE_LIBRARY], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == ""


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
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopping_a_run_leaves_one_sentence_and_nothing_else(program, tmp_path, how):
    begun = tmp_path / "begun"
    command = [*PROGRAM, "attractors", "toy.py:endless", "--noise", "50", "--out", "deep/here"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_as_in_a_terminal
    )
    while not (begun.exists() and list((tmp_path / "deep").glob(".here.*"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(how)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert stderr == "error: Interrupted; nothing half-written is left.\n"
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"toy.py", "begun"}


def test_a_reader_who_has_seen_enough_is_no_news(program, tmp_path):
    process = subprocess.Popen([*PROGRAM, "--help"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() != 0
