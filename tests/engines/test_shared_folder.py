"""Workers that share a folder: each part is done, by whom and how often does not matter, and nothing in the folder is ever run."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import engine_tasks as tasks
from separatrix.engines import Bench, SharedFolder, _beats, task_name
from separatrix.errors import EngineError, FieldError, FileError
from separatrix.storage import Owner, Place, place_of

PARTS = [b"a", b"b", b"c", b"a"]
DOUBLED = {0: b"aa", 1: b"bb", 2: b"cc", 3: b"aa"}
TASKS = {task_name(task): task for task in (tasks.doubled, tasks.of_two, tasks.failing_bytes)}


class Named:
    """Something that others have as well."""

    def __init__(self, identity: object) -> None:
        self.identity = identity


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return place_of(tmp_path / "work")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr("separatrix.engines._shared_folder._AGAIN", (0.01, 0.05))


def bench(place: Place, known=lambda identity: None) -> Bench:
    return Bench(place, "worker 1", TASKS, known)


def dead_owner() -> dict[str, object]:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return {**vars(Owner.here()), "pid": process.pid, "started": "1"}


class Coordinator:
    """A call of the engine that somebody else's process would make; its own bench computes nothing."""

    def __init__(self, place: Place, monkeypatch, *call) -> None:
        genuine = Bench.one
        here = threading.current_thread()
        monkeypatch.setattr(Bench, "one", lambda self: genuine(self) if threading.current_thread() is here else False)
        self.found: dict[int, bytes] = {}
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(place, call))
        self._thread.start()

    def _run(self, place, call) -> None:
        try:
            self.found.update(SharedFolder(place).map(*call))
        except BaseException as error:
            self.error = error

    def help(self, worker: Bench) -> None:
        while self._thread.is_alive():
            worker.one()
            time.sleep(0.01)


def test_alone_it_computes_all(place):
    assert dict(SharedFolder(place).map(tasks.doubled, PARTS)) == DOUBLED
    assert dict(SharedFolder(place).map(tasks.doubled, [])) == {}
    assert place.list("parts") == place.list("workers") == []


def test_what_is_done_is_found_by_the_next(place, monkeypatch):
    assert dict(SharedFolder(place).map(tasks.doubled, PARTS, b"head")) == DOUBLED
    monkeypatch.setattr(Bench, "one", lambda self: pytest.fail("computed again"))
    assert dict(SharedFolder(place).map(tasks.doubled, PARTS, b"head")) == DOUBLED


def test_workers_compute_with_what_they_have_themselves(place, monkeypatch):
    asked = []

    def known(identity):
        asked.append(identity)
        return b"!" if identity == {"model": 7} else None

    call = Coordinator(place, monkeypatch, tasks.of_two, PARTS, Named({"model": 7}), b"head")
    with bench(place, known) as worker:
        call.help(worker)
        assert worker.beating.parts == 3
    assert call.found == {n: part + b"!" + b"head" for n, part in enumerate(PARTS)}
    assert asked == [{"model": 7}], "once for all parts"


def test_whoever_has_another_model_leaves_the_part_to_others(place, monkeypatch):
    call = Coordinator(place, monkeypatch, tasks.of_two, [b"a"], Named(1), b"")
    with bench(place) as stranger, bench(place, lambda identity: b"!") as worker:
        while not place.list("parts"):
            time.sleep(0.01)
        assert not stranger.one()
        call.help(worker)
    assert call.found == {0: b"a!"}


def test_what_nobody_else_can_have_is_computed_here(place):
    assert dict(SharedFolder(place).map(tasks.in_words, [1], {"a": 1})) == {0: "1/1"}
    assert place.list() == []


@pytest.mark.parametrize("damage", ["torn", "foreign", "empty"])
def test_a_damaged_result_is_computed_again(place, damage):
    dict(SharedFolder(place).map(tasks.doubled, PARTS))
    victim, other = place.list("done")[:2]
    content = place.read(victim)
    place.write(victim, {"torn": content[:-1], "foreign": place.read(other), "empty": b""}[damage])
    assert dict(SharedFolder(place).map(tasks.doubled, PARTS)) == DOUBLED


def test_a_torn_part_or_head_is_not_computed(place, monkeypatch):
    call = Coordinator(place, monkeypatch, tasks.doubled, [b"abc"], b"head")
    with bench(place) as worker:
        while not place.list("parts"):
            time.sleep(0.01)
        for name in (*place.list("parts"), *place.list("heads")):
            content = place.read(name)
            place.write(name, content[:-1])
            assert not worker.one()
            place.write(name, content)
        call.help(worker)
    assert call.found == {0: b"abcabc"}


def test_the_part_of_a_dead_worker_is_given_again(place, monkeypatch):
    """On this machine the system is asked; of another one the beats are watched, by our own clock alone."""
    monkeypatch.setattr("separatrix.engines._shared_folder._SLOW", 1e9)
    call = Coordinator(place, monkeypatch, tasks.doubled, [b"a", b"b"])
    while len(place.list("parts")) < 2:
        time.sleep(0.01)
    near, far = (name.rpartition("/")[2] for name in place.list("parts"))
    there = {**vars(Owner.here()), "host": "elsewhere"}
    for part, key, owner in ((near, "1", dead_owner()), (far, "2", there)):
        place.write(f"workers/{key}", json.dumps({"owner": owner, "name": key, "beat": 1}).encode())
        place.write(f"claims/{part}/1", key.encode())
    with bench(place) as worker:
        assert worker.one(), "of the one that is dead for certain"
        assert not worker.one(), "the other may live"
        monkeypatch.setattr(_beats, "LEASE", -1.0)
        place.write("workers/2", json.dumps({"owner": there, "name": "2", "beat": 2}).encode())
        call.help(worker)
    assert call.found == {0: b"aa", 1: b"bb"}


def test_no_lease_depends_on_the_time_of_day(place, monkeypatch):
    """Files may be of tomorrow or of last year, and our clock may be set meanwhile."""
    there = {**vars(Owner.here()), "host": "elsewhere"}
    place.write("workers/1", json.dumps({"owner": there, "beat": 1}).encode())
    watch = _beats.Watch(place)
    for moment in (0, time.time() + 1e7):
        os.utime(Path(str(place)) / "workers" / "1", (moment, moment))
        monkeypatch.setattr(time, "time", lambda moment=moment: 1e9 - moment)
        assert not watch.dead("1")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + _beats.LEASE + 1)
    assert watch.dead("1")
    place.write("workers/1", json.dumps({"owner": there, "beat": 2}).encode())
    assert not watch.dead("1"), "it beats again"


def test_a_slow_part_is_computed_by_somebody_else_too(place, monkeypatch):
    call = Coordinator(place, monkeypatch, tasks.doubled, [b"a", b"b"])
    while len(place.list("parts")) < 2:
        time.sleep(0.01)
    slow = place.list("parts")[0].rpartition("/")[2]
    with bench(place) as other:
        place.write(f"claims/{slow}/1", other.beating.key.encode())
        with bench(place) as worker:
            call.help(worker)
            assert worker.beating.parts == 2
    assert call.found == {0: b"aa", 1: b"bb"}


def test_a_part_that_fails_three_times_is_named_and_the_others_are_done(place, tmp_path):
    done: dict[int, bytes] = {}
    folder = str(tmp_path).encode()
    with pytest.raises(EngineError, match=r"Part 3 failed 3 times \(ZeroDivisionError: part 3\); all other parts"):
        done.update(SharedFolder(place).map(tasks.failing_bytes, [b"0", b"1", b"2", b"3"], folder))
    assert done == {n: str(n).encode() for n in range(3)}
    with pytest.raises(EngineError, match="failed 3 times"):
        dict(SharedFolder(place).map(tasks.failing_bytes, [b"3"], folder))
    assert len(list(tmp_path.glob("3-*"))) == 6, "the same command tries again"


def test_our_own_errors_are_raised_as_they_would_be_here(place):
    with pytest.raises(FieldError, match="The model changes; load it again"):
        dict(SharedFolder(place).map(tasks.refusing, [b"0", b"1"]))


@pytest.mark.parametrize("task", ["os:system", "builtins:eval", "separatrix.engines._sending:sent", 7])
def test_nothing_in_the_folder_is_run(place, tmp_path, task):
    said = json.dumps({"task": task, "shared": []}).encode()
    call = hashlib.sha256(said).hexdigest()
    part = call.encode() + f"touch {tmp_path}/ran".encode()
    place.write(f"heads/{call}", said)
    place.write(f"parts/{hashlib.sha256(part).hexdigest()}", part)
    with bench(place) as worker:
        assert not worker.one()
    assert place.list("claims") == []
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "said", [b"{", b"[]", b'{"task": "engine_tasks:doubled"}', b'{"task": "engine_tasks:doubled", "shared": [{}]}']
)
def test_a_call_that_no_coordinator_wrote_is_left_alone(place, said):
    call = hashlib.sha256(said).hexdigest()
    place.write(f"heads/{call}", said)
    place.write(f"parts/{hashlib.sha256(call.encode()).hexdigest()}", call.encode())
    place.write("workers/x", b"\xff no record")
    with bench(place) as worker:
        assert not worker.one()


def test_who_stops_gives_the_part_back(place, monkeypatch):
    call = Coordinator(place, monkeypatch, tasks.doubled, [b"a"])
    while not place.list("parts"):
        time.sleep(0.01)
    with bench(place) as worker, pytest.MonkeyPatch.context() as patch:
        patch.setattr("separatrix.engines._shared_folder.computed", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.one()
        assert place.list("claims") == []
    with bench(place) as worker:
        call.help(worker)
    assert call.found == {0: b"aa"}


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_one_sentence_and_somebody_else_goes_on(place, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _full)
        with pytest.raises(FileError, match=r"No space left on device.*free some space"):
            dict(SharedFolder(place).map(tasks.doubled, PARTS))
    call = Coordinator(place, monkeypatch, tasks.doubled, PARTS)
    while not place.list("parts"):
        time.sleep(0.01)
    with bench(place) as worker, pytest.MonkeyPatch.context() as patch:
        genuine = type(place).write
        patch.setattr(
            type(place),
            "write",
            lambda self, name, content: _full() if name.startswith("done") else genuine(self, name, content),
        )
        with pytest.raises(OSError, match="No space left"):
            worker.one()
    with bench(place) as worker:
        call.help(worker)
    assert call.found == DOUBLED


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder where not even root may write")
def test_a_folder_that_cannot_be_written_is_one_sentence():
    with pytest.raises(FileError, match="choose a folder you may write to"):
        dict(SharedFolder(place_of("/proc/separatrix")).map(tasks.doubled, PARTS))


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_bucket_is_a_folder_too(bucket):
    place = place_of(bucket) / "work"
    assert dict(SharedFolder(place).map(tasks.doubled, PARTS, b"head")) == DOUBLED
    SharedFolder(place).forget()
    assert [name for name in place.list() if name != "coordinator"] == []
