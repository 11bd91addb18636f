"""Worker processes on this machine."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from separatrix.arguments import checked, whole
from separatrix.engines._engine import Failure, Result
from separatrix.engines._sending import sent
from separatrix.engines._with_workers import STARTED, WithWorkers, require_same
from separatrix.errors import EngineError

_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from separatrix.engines._worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


class Processes(WithWorkers["_Worker"]):
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

    @checked
    def __init__(self, workers: int = 2, *, threads: int = 1) -> None:
        whole("workers", workers, 1)
        whole("threads", threads, 1)
        super().__init__(workers)
        self.threads = threads
        self._folder: Path | None = None
        self._end: Callable[[], Any] = lambda: None

    def __repr__(self) -> str:
        return f"Processes({self.workers}, threads={self.threads})"

    def close(self) -> None:
        """End the processes; the next part starts new ones."""
        super().close()
        self._end()
        self._folder = None

    def _idle(self) -> Iterator[_Worker]:
        yield from [worker for worker in self._crew if not worker.busy]
        new = [_Worker(self.threads) for _ in range(self.workers - len(self._crew))]  # which start at the same time
        self._crew += new
        yield from new

    def _give(self, worker: _Worker, task: Callable[..., Any], part: Any, places: list[Any]) -> None:
        worker.give(pickle.dumps((task, part, places), protocol=pickle.HIGHEST_PROTOCOL))

    def _heard(self, busy: list[_Worker], timeout: float | None) -> list[tuple[_Worker, Result | Failure]]:
        ready = wait([worker.connection for worker in busy], timeout)
        return [(worker, self._answer(worker)) for worker in busy if worker.connection in ready]

    def _answer(self, worker: _Worker) -> Result | Failure:
        answer = worker.answer()
        if answer is None:
            answer = Failure(worker.last_words)
            self._dismiss(worker)
        return answer

    def _dismiss(self, worker: _Worker) -> None:
        if worker in self._crew:
            self._crew.remove(worker)
            worker.end()

    def _bring(self, value: Any) -> str:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="separatrix-"))
            self._end = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / f"{time.monotonic_ns()}.pickle"
        path.write_bytes(sent(value))
        return str(path)

    def _remove(self, place: str) -> None:
        Path(place).unlink(missing_ok=True)


class _Worker:
    """One process and the socket to it, ``busy`` while it has a part."""

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
        self.busy = self._greeted = False
        self._gone = weakref.finalize(self, _ended, self.process, self.connection)

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

    def give(self, message: bytes) -> None:
        """Let it compute a part."""
        self.busy = True
        try:
            if not self._greeted:
                self._greet()
            self.connection.send_bytes(message)
        except (OSError, EOFError):
            pass  # it is gone, which is heard where answers are

    def answer(self) -> Result | Failure | None:
        """Return what became of its part; None if the process is gone."""
        self.busy = False
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

        if not self.connection.poll(STARTED):
            raise EngineError(
                f"A worker process has not started within {STARTED:.0f} seconds; the machine is overloaded."
            )
        require_same(pickle.loads(self.connection.recv_bytes()), versions())
        self._greeted = True

    def end(self) -> None:
        """Kill it."""
        self._gone()


def _ended(process: subprocess.Popen[bytes], connection: Connection) -> None:
    connection.close()
    process.kill()
    process.wait()
