"""Whoever is killed while a state is stored finds that state, or the one before; never something in between."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from killing import killed_at
from separatrix.storage import Checkpoint


def stored(place: Path) -> int | None:
    with Checkpoint.at(place, {"plan": 1}, torch.ones(2)) as checkpoint:
        found = checkpoint.begin({}, ())
    return None if found is None else int(found["round"])


def works(place: Path, *rounds: int) -> None:
    with Checkpoint.at(place, {"plan": 1}, torch.ones(2)) as checkpoint:
        checkpoint.begin({}, ())
        for number in rounds:
            checkpoint.keep({"round": torch.tensor(number)})


def test_the_newest_is_kept_and_nothing_beside_it(tmp_path):
    works(tmp_path / "c", 1, 2, 3)
    assert stored(tmp_path / "c") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_kill_at_any_step_on_the_disk_loses_one_state_at_most(tmp_path):
    step, seen = 0, set()
    while True:
        place = tmp_path / str(step) / "c"
        works(place, 1)
        ended = not killed_at(step, lambda place=place: works(place, 2, 3))
        seen.add(stored(place))
        assert stored(place) in ({3} if ended else {1, 2, 3})
        assert [path.name for path in place.parent.iterdir()] == ["c"]
        if ended:
            break
        step += 1
    assert seen == {1, 2, 3}


def test_the_end_takes_it_away(tmp_path):
    with Checkpoint.at(tmp_path / "a" / "c", {}, torch.ones(1)) as checkpoint:
        checkpoint.keep({})
        assert (tmp_path / "a" / "c").is_dir()
        checkpoint.end()
        assert not (tmp_path / "a" / "c").exists()
        checkpoint.keep({})  # a computation may go on
        checkpoint.end()
    assert list(tmp_path.iterdir()) == [], "nor is there the folder that it was made in"


def test_what_somebody_put_there_stays(tmp_path):
    with Checkpoint.at(tmp_path / "c", {}, torch.ones(1)) as checkpoint:
        checkpoint.keep({})
        (tmp_path / "c" / "mine.txt").write_text("mine")
        checkpoint.end()
    assert (tmp_path / "c" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(("took", "passed", "due"), [(1.0, 19.0, False), (1.0, 20.0, True), (0.0, 0.0, True)])
def test_storing_takes_one_twentieth_of_the_time(tmp_path, monkeypatch, took, passed, due):
    now = 100.0
    monkeypatch.setattr("separatrix.storage._checkpoint.time.monotonic", lambda: now)

    def slow(*_):
        nonlocal now
        now += took
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("separatrix.storage._checkpoint.write_tensors", slow)
    with Checkpoint.at(tmp_path / "c", {}, torch.ones(1)) as checkpoint:
        assert checkpoint.due
        with pytest.warns(UserWarning, match="could not be stored"):
            checkpoint.keep({})
        now += passed
        assert checkpoint.due is due
