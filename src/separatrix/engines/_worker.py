"""One worker process: it is given parts over a socket, and ends when whoever gave them is gone."""

from __future__ import annotations

import os
import pickle
import platform
import signal
from collections import OrderedDict
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from separatrix.engines._engine import Failure, Result
from separatrix.engines._sending import sent
from separatrix.errors import SeparatrixError, first_line

_KEPT = 8  # shared objects that a worker keeps


def versions() -> dict[str, str]:
    """Return what must be the same in all processes of a computation."""
    return {"separatrix": version("separatrix"), "torch": torch.__version__, "python": platform.python_version()}


class Shared:
    """It tells what all parts share, read from the files in which it is sent, and kept."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Any] = OrderedDict()

    def read(self, path: str) -> Any:
        """The object in a file of this computation."""
        if path not in self._held:
            self._held[path] = pickle.loads(Path(path).read_bytes())
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
        self._held.move_to_end(path)
        return self._held[path]


def work(connection: Connection, threads: int) -> None:
    """Say who is there, then compute one part after the other until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever gives the parts decides
    torch.set_num_threads(threads)
    shared = Shared()
    connection.send_bytes(pickle.dumps(versions()))
    while True:
        try:
            task, part, paths = pickle.loads(connection.recv_bytes())
        except (EOFError, ConnectionError):
            return
        answer: Result | Failure
        try:
            answer = Result(task(part, *[shared.read(path) for path in paths]))
        # Whatever a task raises is the coordinator's to judge.
        except BaseException as error:
            known = error if isinstance(error, SeparatrixError) else None
            answer = Failure(f"{type(error).__name__}: {first_line(error)}", known)
        try:
            connection.send_bytes(sent(answer))
        except (BrokenPipeError, ConnectionError):
            return


def main(descriptor: int, threads: int) -> None:
    """Run one worker, whose socket has this number."""
    with Connection(descriptor) as connection:
        work(connection, threads)
    os._exit(0)  # threads of libraries may hang at exit
