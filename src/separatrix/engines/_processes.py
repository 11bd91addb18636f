"""Worker processes on this machine."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Self, TypeVar

from separatrix.engines._engine import TRIES, Failure, Result
from separatrix.engines._sending import sent
from separatrix.errors import EngineError, InputError

P = TypeVar("P")
R = TypeVar("R")

_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from separatrix.engines._worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
_KEPT = 8  # shared objects whose file is kept
_SLOW = 3  # times the median time of a part, after which an idle worker gets the same part
_STARTED = 120.0  # seconds in which a worker must have said who it is


class Processes:
    """Computes parts in so many processes, each with a copy of the model and one thread.

    The processes are started at the first part that there is for them, and end with this object, or with this process, however that ends. A
    worker that is killed is replaced and its part is computed again; one that is slow loses its part to whoever is idle, and the
    first result counts. Scripts need no ``if __name__ == "__main__"``, because a worker does not run them.

    Args:
        workers: how many.
        threads: that each computes with. Results have the same bits where this is the same as in `Here`.

    Raises:
        InputError: not a positive number.

    >>> with Processes(2) as engine:
    ...     sorted(engine.map(pow, [2, 3, 4], 2))
    [(0, 4), (1, 9), (2, 16)]
    """

    def __init__(self, workers: int = 2, *, threads: int = 1) -> None:
        if not (isinstance(workers, int) and isinstance(threads, int)) or min(workers, threads) < 1:
            raise InputError(f"workers and threads must be whole numbers, at least 1, not {workers!r} and {threads!r}.")
        self.workers, self.threads = workers, threads
        self._crew: list[_Worker] = []
        self._folder: Path | None = None
        self._files: dict[int, tuple[Any, Path]] = {}  # by the identity of what is shared
        self._end: Callable[[], Any] = lambda: None

    def __repr__(self) -> str:
        return f"Processes({self.workers}, threads={self.threads})"

    def map(self, task: Callable[..., R], parts: Iterable[P], *shared: Any) -> Iterator[tuple[int, R]]:
        """Compute the parts as `Engine.map` does."""
        waiting = iter(enumerate(parts))
        again: deque[tuple[int, P]] = deque()  # parts that were lost
        open_parts: dict[int, _Open] = {}
        failures: dict[int, str] = {}
        took: list[float] = []
        paths: list[str] | None = None
        try:
            while True:
                for worker in self._idle():
                    number, part = self._next(again, waiting, open_parts, took)
                    if number is None:
                        break
                    if paths is None:
                        paths = [str(self._file(value)) for value in shared]
                    one = open_parts.setdefault(number, _Open(part))
                    one.given.append(worker)
                    worker.give(number, pickle.dumps((task, part, paths), protocol=pickle.HIGHEST_PROTOCOL))
                if not open_parts:
                    break
                busy = [worker for worker in self._crew if worker.number is not None]
                for worker in self._heard(busy, took):
                    number = worker.number
                    assert number is not None
                    since, answer = worker.since, worker.answer()
                    if answer is None:
                        self._crew.remove(worker)
                        worker.end()
                        answer = Failure(worker.last_words)
                    ended = open_parts.get(number)
                    if ended is None:  # somebody else was quicker, or the part belongs to an earlier call
                        continue
                    ended.given.remove(worker)
                    if isinstance(answer, Result):
                        del open_parts[number]
                        took.append(time.monotonic() - since)
                        yield number, answer.value
                    elif answer.error is not None:
                        raise answer.error
                    else:
                        ended.tries += 1
                        if ended.tries >= TRIES:
                            failures[number] = answer.words
                            del open_parts[number]
                        elif not ended.given:
                            again.append((number, ended.part))
        finally:
            for worker in [worker for worker in self._crew if worker.number is not None]:
                self._crew.remove(worker)  # it computes what nobody waits for
                worker.end()
        if failures:
            raise EngineError(_in_words(failures))

    def close(self) -> None:
        """End the processes; the next part starts new ones."""
        for worker in self._crew:
            worker.end()
        self._crew.clear()
        self._files.clear()
        self._end()
        self._folder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- parts -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _next(
        again: deque[tuple[int, P]], waiting: Iterator[tuple[int, P]], open_parts: dict[int, _Open], took: list[float]
    ) -> tuple[int, P] | tuple[None, None]:
        """The next part for an idle worker: a lost one, a new one, or one that has been waited for too long."""
        if again:
            return again.popleft()
        following = next(waiting, None)
        if following is not None:
            return following
        slow = [
            (one.given[0].since, number)
            for number, one in open_parts.items()
            if took and len(one.given) == 1 and one.given[0].waited > _SLOW * statistics.median(took)
        ]
        if not slow:
            return None, None
        number = min(slow)[1]
        return number, open_parts[number].part

    def _heard(self, busy: list[_Worker], took: list[float]) -> list[_Worker]:
        """Return those that have answered or are gone; none if it is time to look who is slow."""
        some_idle = len(busy) < self.workers and took
        ready = wait([worker.connection for worker in busy], timeout=statistics.median(took) if some_idle else None)
        return [worker for worker in busy if worker.connection in ready]

    # -- workers -----------------------------------------------------------------------------------------------------

    def _idle(self) -> Iterator[_Worker]:
        """Workers without a part; all that are missing are started when another one is asked for."""
        yield from [worker for worker in self._crew if worker.number is None]
        new = [_Worker(self.threads) for _ in range(self.workers - len(self._crew))]  # which start at the same time
        self._crew += new
        yield from new

    def _file(self, value: Any) -> Path:
        """The file in which a shared object is sent."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="separatrix-"))
            self._end = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        known = self._files.pop(id(value), None)
        if known is None:
            path = self._folder / f"{time.monotonic_ns()}.pickle"
            path.write_bytes(sent(value))
            known = value, path
        self._files[id(value)] = known  # which holds the object, so that its identity stays its own
        while len(self._files) > _KEPT:
            _, path = self._files.pop(next(iter(self._files)))
            path.unlink(missing_ok=True)
        return known[1]


class _Open:
    """A part that is not done: who has it, and how often it has failed."""

    def __init__(self, part: Any) -> None:
        self.part, self.tries = part, 0
        self.given: list[_Worker] = []


class _Worker:
    """One process and the socket to it. Its ``number`` is that of its part."""

    def __init__(self, threads: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            one = str(threads)
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BEGIN, json.dumps(sys.path), str(theirs.fileno()), one],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": one, "MKL_NUM_THREADS": one},
            )
        self.connection = Connection(ours.detach())
        self.number: int | None = None
        self.since = 0.0
        self._greeted = False
        self._gone = weakref.finalize(self, _ended, self.process, self.connection)

    @property
    def waited(self) -> float:
        """Seconds since it was given its part."""
        return time.monotonic() - self.since

    @property
    def last_words(self) -> str:
        """Tell how the process ended."""
        code = self.process.wait()
        if code == -signal.SIGKILL:
            return "its process was killed, perhaps because memory ran out"
        return (
            f"its process was ended by {signal.Signals(-code).name}"
            if code < 0
            else f"its process ended with code {code}"
        )

    def give(self, number: int, message: bytes) -> None:
        """Let it compute this part."""
        self.number, self.since = number, time.monotonic()
        try:
            if not self._greeted:
                self._greet()
            self.connection.send_bytes(message)
        except (OSError, EOFError):
            pass  # it is gone, which is heard where answers are

    def answer(self) -> Result | Failure | None:
        """Return what became of its part; None if the process is gone."""
        self.number = None
        try:
            answer: Result | Failure = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None
        return answer

    def _greet(self) -> None:
        """Hear which versions it has.

        Raises:
            EngineError: they are others than here.
        """
        from separatrix.engines._worker import versions

        if not self.connection.poll(_STARTED):
            raise EngineError(
                f"A worker process has not started within {_STARTED:.0f} seconds; the machine is overloaded."
            )
        require_same(pickle.loads(self.connection.recv_bytes()), versions())
        self._greeted = True
        self.since = time.monotonic()

    def end(self) -> None:
        """Kill it."""
        self._gone()


def require_same(theirs: dict[str, str], ours: dict[str, str]) -> None:
    """Refuse a worker with other versions.

    Raises:
        EngineError: they differ.

    >>> require_same({"torch": "2.5"}, {"torch": "2.6"})
    Traceback (most recent call last):
    separatrix.errors.EngineError: A worker has torch 2.5, and here it is 2.6; install the same versions everywhere.
    """
    for name, mine in ours.items():
        if theirs.get(name) != mine:
            raise EngineError(
                f"A worker has {name} {theirs.get(name)}, and here it is {mine}; install the same versions everywhere."
            )


def _ended(process: subprocess.Popen[bytes], connection: Connection) -> None:
    connection.close()
    process.kill()
    process.wait()


def _in_words(failures: dict[int, str]) -> str:
    """One sentence for parts that were given up.

    >>> _in_words({2: "ValueError: no"})
    'Part 2 failed 3 times (ValueError: no); all other parts are done. Mend the cause and give the same command again.'
    """
    number, reason = next(iter(failures.items()))
    others = f" and {len(failures) - 1} others" if len(failures) > 1 else ""
    return (
        f"Part {number}{others} failed {TRIES} times ({reason}); all other parts are done. "
        "Mend the cause and give the same command again."
    )
