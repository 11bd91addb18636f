"""Folders that cannot be written, disks that are full: one sentence, exit code 1, nothing half-written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from separatrix.cli._exit_codes import ExitCode

ARGUMENTS = ("attractors", "toy.py:contraction", "--noise", "20")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB, where this process may mount one."""
    place = tmp_path / "tiny"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small file system; the simulated full disk is tested anyway")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _run(*arguments: str, cwd: Path, stdout: object = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "separatrix", *arguments]
    # Buffered, as output is for most people: an unbuffered stream would fail earlier and hide the late failure.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, cwd=cwd, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True)  # type: ignore[call-overload]


def test_a_path_below_a_file(program, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for command in (ARGUMENTS, ("demo",)):
        answer = program(*command, "--out", "file/run")
        assert answer.code == ExitCode.BAD_INPUT
        assert "Cannot write to file" in answer.sentence
        assert "choose a folder you may write to" in answer.sentence
        assert (tmp_path / "file").read_text() == "not a folder"


def test_a_place_where_nobody_may_write(program):
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc, where not even root may make a folder")
    answer = program(*ARGUMENTS, "--out", "/proc/separatrix")
    assert answer.code == ExitCode.BAD_INPUT
    assert "choose a folder you may write to" in answer.sentence


def test_an_unwritable_folder_is_found_out_before_the_search(program, tmp_path, monkeypatch):
    monkeypatch.setattr("separatrix.runs._attractors.find_attractors", lambda *_, **__: pytest.fail("searched in vain"))
    (tmp_path / "file").write_text("not a folder")
    assert program(*ARGUMENTS, "--out", "file/run").code == ExitCode.BAD_INPUT


@pytest.mark.parametrize("step", ["runs._run.save_result", "runs._run.write_whole_file", "storage._store.save_file"])
def test_a_simulated_full_disk(program, tmp_path, monkeypatch, step):
    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"separatrix.{step}", fails)
    answer = program(*ARGUMENTS, "--out", "deep/down/here")
    assert answer.code == ExitCode.BAD_INPUT
    assert "No space left on device" in answer.sentence
    assert "free some space" in answer.sentence
    assert [path.name for path in tmp_path.iterdir()] == ["toy.py"]


def test_a_full_disk(program, tiny_disk):
    before = list(tiny_disk.rglob("*"))
    answer = program(*ARGUMENTS, "--out", str(tiny_disk / "run"))
    assert answer.code == ExitCode.BAD_INPUT
    assert "No space left on device" in answer.sentence
    assert "free some space or choose another disk" in answer.sentence
    assert list(tiny_disk.rglob("*")) == before


def test_output_that_nobody_can_keep(program, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, the disk that is always full")
    with Path("/dev/full").open("w") as full:
        answer = _run("attractors", "toy.py:raises", "--json", cwd=tmp_path, stdout=full)
        assert answer.returncode == ExitCode.BAD_INPUT  # the error of the model, which also went to stderr
        assert "no licence key" in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
        # Help is flushed as it is written, the version at the end: both ways of finding out.
        answers = [_run(option, cwd=tmp_path, stdout=full) for option in ("--help", "--version")]
    for answer in answers:
        assert answer.returncode == ExitCode.BAD_INPUT
        assert answer.stderr == (
            "error: The output cannot be written (No space left on device); send it to a place with room.\n"
        )
