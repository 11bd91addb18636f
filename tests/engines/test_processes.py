"""Worker processes: what they give is what this process would, whatever becomes of them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import engine_tasks as tasks
from separatrix.engines import Here, Processes
from separatrix.engines._with_workers import require_same
from separatrix.errors import EngineError, FieldError, InputError


@pytest.fixture(scope="module")
def two():
    with Processes(2) as engine:
        yield engine


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def test_the_same_as_here(two):
    parts = [str(number).encode() for number in range(20)]
    assert dict(two.map(tasks.doubled, parts)) == dict(Here().map(tasks.doubled, parts))
    assert dict(two.map(tasks.doubled, [])) == {}


def test_two_workers_compute_in_processes_of_their_own_and_stay(two):
    first = {process for _, process in two.map(tasks.whose, range(8))}
    assert len(first) == 2
    assert os.getpid() not in first
    assert {process for _, process in two.map(tasks.whose, range(8))} == first


def test_what_is_shared_is_sent_once(two, monkeypatch):
    sent, genuine = [], two._bring.__func__.__globals__["sent"]
    monkeypatch.setitem(two._bring.__func__.__globals__, "sent", lambda value: (sent.append(value), genuine(value))[1])
    shared = {"a": 1}
    for _ in range(3):
        assert dict(two.map(tasks.in_words, [1, 2], shared)) == {0: "1/1", 1: "2/1"}
    assert sent == [shared]
    two.close()
    assert dict(two.map(tasks.in_words, [1], shared)) == {0: "1/1"}, "closed, it begins anew"


def test_functions_of_the_caller_can_be_shared(two):
    factor = 3
    assert dict(two.map(_applied, [1, 2], lambda x: x * factor)) == {0: 3, 1: 6}


def _applied(part, function):
    return function(part)


def test_a_worker_that_is_killed_is_replaced(two, tmp_path):
    assert dict(two.map(tasks.killed_at_first, range(6), str(tmp_path))) == {n: n for n in range(6)}


def test_a_part_that_kills_three_workers_is_named_and_the_others_are_done(two):
    done: dict[int, int] = {}
    with pytest.raises(
        EngineError, match=r"Part 1 failed 3 times \(its process was killed, perhaps because memory ran out\)"
    ):
        done.update(two.map(tasks.always_killed, range(6)))
    assert done == {n: n for n in range(6) if n != 1}


def test_a_part_that_fails_is_tried_three_times(two, tmp_path):
    done: dict[int, int] = {}
    with pytest.raises(
        EngineError, match=r"Part 3 failed 3 times \(ZeroDivisionError: part 3\); all other parts are done"
    ):
        done.update(two.map(tasks.failing, range(6), str(tmp_path)))
    assert done == {n: n for n in range(6) if n != 3}
    assert len(list(tmp_path.glob("1-*"))) == 3


def test_our_own_errors_are_raised_as_they_would_be_here(two):
    with pytest.raises(FieldError, match="The model changes; load it again"):
        dict(two.map(tasks.refusing, range(4)))
    assert dict(two.map(tasks.doubled, [b"a"])) == {0: b"aa"}, "the engine can still be used"


def test_a_slow_worker_loses_its_part(two, tmp_path):
    assert dict(two.map(tasks.slow_at_first, range(6), str(tmp_path))) == {n: n for n in range(6)}


def test_who_stops_listening_waits_for_nobody(two, tmp_path):
    parts = two.map(tasks.slow_at_first, range(6), str(tmp_path))
    next(parts)
    parts.close()
    assert dict(two.map(tasks.doubled, [b"a"])) == {0: b"aa"}


def test_a_worker_that_nobody_waits_for_any_more_ends_without_a_word():
    """Whoever started it was killed before it could say who it is."""
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        script = f"from separatrix.engines._worker import main; main({theirs.fileno()}, 1)"
        answer = subprocess.run([sys.executable, "-c", script], pass_fds=[theirs.fileno()], capture_output=True)
    assert (answer.returncode, answer.stderr) == (0, b"")


@pytest.mark.parametrize("end", ["close", "kill"])
def test_workers_end_with_whoever_started_them(end, tmp_path):
    script = (
        f"import os, sys, time; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); import engine_tasks as tasks; from separatrix.engines import Processes\n"
        "engine = Processes(2); print(*{p for _, p in engine.map(tasks.whose, range(6))}, flush=True)\n"
        + ("engine.close()\n" if end == "close" else "")
        + "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(word) for word in process.stdout.readline().split()]
        assert len(workers) == 2
        if end == "kill":
            process.send_signal(signal.SIGKILL)
        wanted = threading.Event()
        for _ in range(600):
            if not any(map(alive, workers)):
                wanted.set()
                break
            time.sleep(0.05)
        process.kill()
    assert wanted.is_set()


def test_other_versions_are_refused():
    with pytest.raises(
        EngineError, match="A worker has separatrix 1, and here it is 2; install the same versions everywhere"
    ):
        require_same({"separatrix": "1", "torch": "2"}, {"separatrix": "2", "torch": "2"})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"workers": 0}, "workers must be a whole number, at least 1, not 0."),
        ({"workers": -1}, "workers must be a whole number, at least 1, not -1."),
        ({"workers": 1.5}, "workers must be a whole number, not 1.5."),
        ({"workers": "2"}, "workers must be a whole number, not '2'."),
        ({"workers": 2, "threads": 0}, "threads must be a whole number, at least 1, not 0."),
    ],
)
def test_bad_numbers_of_workers(wrong, sentence):
    with pytest.raises(InputError, match=rf"^{re.escape(sentence)}$"):
        Processes(**wrong)


def test_what_cannot_be_sent_is_said(two):
    with pytest.raises(InputError, match="cannot be sent to other processes"):
        dict(two.map(tasks.in_words, [1], {"lock": threading.Lock()}))
