"""Models that print: their words go to stderr, stdout holds our results alone, with --json and without."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PRINTING = """
import ctypes, os, subprocess, sys
import torch
import separatrix as sx

early = sys.stdout
print("on import")

def loud():
    print("in the factory")
    libc = ctypes.CDLL(None)

    def function(z):
        print("a line of Python")
        print("to the stream of the process", file=sys.__stdout__)
        print("to a stream that was kept", file=early)
        os.write(1, b"a write to descriptor 1\\n")
        libc.puts(b"a buffered line of C")
        return 0.5 * z

    subprocess.run([sys.executable, "-c", "print('a child')"], check=True)
    return sx.LatentField.from_map(function, latent_shape=(2,))


def failing():
    os.write(1, b"before the end\\n")
    raise RuntimeError("no licence")
"""
SAID = (
    "on import",
    "in the factory",
    "a line of Python",
    "to the stream of the process",
    "to a stream that was kept",
    "a write to descriptor 1",
    "a buffered line of C",
    "a child",
)


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "loud.py").write_text(PRINTING)
    return subprocess.run(
        [sys.executable, "-m", "separatrix", *arguments], cwd=tmp_path, capture_output=True, text=True
    )


def test_the_document_is_alone_on_stdout(tmp_path: Path) -> None:
    answer = run(tmp_path, "attractors", "loud.py:loud", "--noise", "8", "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["exit_code"] == 0
    for words in SAID:
        assert words in answer.stderr


def test_so_are_tables_and_lines(tmp_path: Path) -> None:
    answer = run(tmp_path, "doctor", "loud.py:loud")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout
    for words in SAID:
        assert words not in answer.stdout
        assert words in answer.stderr


def test_a_failure_is_one_document_too(tmp_path: Path) -> None:
    answer = run(tmp_path, "attractors", "loud.py:failing", "--noise", "8", "--json")
    assert answer.returncode == 65
    assert "no licence" in json.loads(answer.stdout)["error"]
    assert "before the end" in answer.stderr


def test_under_a_test_runner_what_python_prints_is_led_away(program, tmp_path: Path) -> None:
    quiet = PRINTING.replace("libc.puts", "len").replace('os.write(1, b"a write', 'len(b"a write')
    (tmp_path / "loud.py").write_text(quiet)
    answer = program("attractors", "loud.py:loud", "--noise", "8", "--json")
    assert answer.json["exit_code"] == 0
    assert "a line of Python" in answer.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("doctor", "--help"), ("ood", "--help"), ("--version",)])
def test_help_stays_on_stdout(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    answer = run(tmp_path, *arguments)
    assert answer.returncode == 0
    assert "separatrix" in answer.stdout
    assert answer.stderr == ""
