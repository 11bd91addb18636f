"""A run that workers may help with leaves nothing of their work behind, though it be killed at its end, or one of them after it."""

from __future__ import annotations

from pathlib import Path

import pytest

import killing
import separatrix as sx
from separatrix import runs
from separatrix.engines import SharedFolder, using
from separatrix.runs import Run

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr("separatrix.protocol.Rounds.rows_in_a_part", lambda self, rows: 24)


def attractors(out: Path) -> None:
    field = sx.LatentField.from_map(lambda z: (2 * z).tanh(), latent_shape=2)
    with using(SharedFolder(runs.place_of_work(out))):
        runs.attractors(field, sx.starts.gaussian(100, seed=0), out=out, figures=False)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("said", [False, True], ids=["before it is said", "after it was said"])
def test_nothing_is_left_by_a_run_that_was_killed_when_all_was_there(said, tmp_path, monkeypatch):
    genuine = Run._write

    def killed(run: Run) -> None:
        if said or not run.finished:
            genuine(run)
        if run.finished:
            raise killing.Killed

    attractors(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_write", killed)
        with pytest.raises(killing.Killed):
            attractors(tmp_path / "run")
    attractors(tmp_path / "run")
    assert files(tmp_path / "run") == files(tmp_path / "whole")


def test_what_a_worker_left_that_was_killed_after_the_end_is_tidied_up(tmp_path):
    attractors(tmp_path / "run")
    whole = files(tmp_path / "run")
    runs.place_of_work(tmp_path / "run").write("workers/killed", b"{}")
    attractors(tmp_path / "run")
    assert files(tmp_path / "run") == whole
