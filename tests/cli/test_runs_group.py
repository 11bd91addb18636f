"""``separatrix runs``: a run is looked at while it is under way, and workers that see its folder help with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from separatrix.cli._exit_codes import ExitCode

# Its searches are in parts from the first round on, and stand still as long as there is a file.
TOY = """
import time
from pathlib import Path
import torch
import separatrix as sx
from separatrix.protocol import Rounds
from separatrix.runs import _status
Rounds.rows_in_a_part = lambda self, rows: 24
_status._EVERY = 0.0

def held():
    scale = torch.tensor(2.0)
    def function(z):
        while len(z) > 6 and Path("hold").exists():
            time.sleep(0.02)
        return torch.tanh(scale * z)
    return sx.LatentField.from_map(function, latent_shape=(2,), name="held")

def other():
    scale = torch.tensor(2.1)
    return sx.LatentField.from_map(lambda z: torch.tanh(scale * z), latent_shape=(2,), name="held")

def of_another_version():
    from separatrix.engines import _worker
    _worker.version = lambda name: "9"
    return held()
"""
SEARCH = ("attractors", "toys.py:held", "--noise", "400", "--no-figures", "-q")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toys.py").write_text(TOY)
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("protocol.Rounds.rows_in_a_part", lambda self, rows: 24),
        ("runs._status._EVERY", 0.0),
        ("engines._worker.version", version),
    ):
        monkeypatch.setattr(
            f"separatrix.{name}", value
        )  # as that file does, which is loaded here as well, and for this test only
    return tmp_path


@contextmanager
def started(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "separatrix", *arguments]
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def awaited(what, process: subprocess.Popen[str]) -> None:
    while not what():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parts(folder: Path) -> Path:
    """Where those who work for an unfinished run meet."""
    return folder / ".unfinished" / "work"


def claims(folder: Path) -> list[Path]:
    return [path for path in (parts(folder) / "claims").glob("*/*") if not path.name.startswith(".")]


def test_whoever_helps_and_whoever_is_killed_the_folder_is_the_same(there, program):
    assert program(*SEARCH, "--out", "alone").code == ExitCode.OK
    run, shared = there / "run", (*SEARCH, "--out", "run", "--engine", "folder")
    (there / "hold").touch()
    with (
        started("runs", "work", "run", "toys.py:held", "--part", "7", cwd=there) as worker,
        started(*shared, cwd=there) as first,
    ):
        awaited(lambda: len(claims(run)) > 1, first)
        second = program(*shared)
        assert second.code == ExitCode.BAD_INPUT
        assert f"Another run is writing to {run} (process {first.pid} on" in second.sentence
        looked = program("runs", "show", "run", "--json").json
        assert looked["state"] == "running"
        assert looked["owner"].startswith(f"process {first.pid} on ")
        progress = looked["progress"]
        assert (progress["stages"][0], progress["stages"][-1]) == ("attractors", "following orbits")
        assert (progress["done"], progress["total"]) == (0, 400)
        assert "SharedFolder" in progress["engine"]
        assert {each["name"] for each in looked["workers"]} == {"worker 7", "coordinator"}
        told = program("runs", "show", "run").stdout
        assert "0 of 400" in told
        assert f"process {worker.pid} on" in told
        worker.kill()
        first.kill()
        first.communicate()
        worker.communicate()
    (there / "hold").unlink()
    assert program("runs", "show", "run", "--quiet").stdout == "stopped\n"
    with started("runs", "work", "run", "toys.py:held", "--json", cwd=there) as worker:
        assert program(*shared).code == ExitCode.OK
        stdout, stderr = worker.communicate()
    assert (worker.returncode, stderr) == (ExitCode.OK, "")
    assert json.loads(stdout)["parts"] >= 0
    assert contents(run) == contents(there / "alone")
    assert program("runs", "show", "run", "--quiet").stdout == "finished\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A run that was told to stop, and waits for somebody to go on with it."""
    place = tmp_path_factory.mktemp("stopped")
    (place / "toys.py").write_text(TOY)
    (place / "hold").touch()
    with started(*SEARCH, "--out", "run", "--engine", "folder", cwd=place) as process:
        awaited(lambda: claims(place / "run"), process)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate()
        assert process.returncode == ExitCode.INTERRUPTED
        assert stderr.startswith("error: Interrupted; ")
        assert stderr.count("\n") == 1
    assert not claims(place / "run")
    return place / "run"


@pytest.fixture
def stopped(there, template) -> Path:
    shutil.copytree(template, there / "run")
    return there / "run"


def test_who_does_not_fit_is_refused_in_one_sentence(stopped, program):
    before = contents(stopped)
    for model, words in (
        ("toys.py:other", "This model is not that of the run in run (it differs in fingerprint, answers.f"),
        ("toys.py:of_another_version", "This worker has separatrix 9, and the run is computed with"),
    ):
        answer = program("runs", "work", "run", model, "--wait", "0")
        assert answer.code == ExitCode.BAD_INPUT
        assert words in answer.sentence
    assert contents(stopped) == before


def test_nobody_waits_for_ever(stopped, program):
    """What is open is computed, and then it is said that nobody gives more."""
    for folder in ("run", "nowhere"):
        answer = program("runs", "work", folder, "toys.py:held", "--wait", "0.3")
        assert answer.code == ExitCode.BAD_INPUT
        assert f"Nobody has given parts of the run in {folder} for 0.3 seconds" in answer.sentence


def test_a_worker_that_is_told_to_stop_leaves_nothing_behind(stopped, there):
    (there / "hold").touch()
    with started("runs", "work", "run", "toys.py:held", cwd=there) as worker:
        awaited(lambda: claims(stopped), worker)
        worker.send_signal(signal.SIGHUP)
        _, stderr = worker.communicate()
    assert worker.returncode == ExitCode.INTERRUPTED
    assert stderr.startswith("error: Interrupted; ")
    assert not claims(stopped)
    assert not list((parts(stopped) / "workers").glob("*"))


def test_the_group_lists_runs_where_nothing_else_is_asked(there, program):
    program("attractors", "toys.py:other", "--noise", "20", "--no-figures")
    for way in ((), ("list",), ("runs",), ("list", "runs/toys-other-1")):
        assert [each["state"] for each in program("runs", *way, "--json").json["runs"]] == ["finished"]
    assert "work" in program("runs", "--help").stdout
    assert program("runs", "show", "nowhere").code == ExitCode.BAD_INPUT


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--workers", "2"), ExitCode.USAGE, "whoever gives the command runs work is one"),
        (
            ("--overwrite",),
            ExitCode.BAD_INPUT,
            "Workers could take the earlier run in run for this one; remove it first",
        ),
    ],
)
def test_what_a_shared_folder_cannot_do(there, program, options, code, words):
    (there / "run").mkdir()
    answer = program(*SEARCH, "--out", "run", "--engine", "folder", *options)
    assert answer.code == code
    assert words in answer.sentence
