"""One worker process: it is given parts over a socket, and ends when whoever gave them is gone."""

from __future__ import annotations

import os
import pickle
import platform
import signal
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
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
    """The objects that all parts share are fetched once and kept.

    Args:
        fetch: gives the bytes that were sent, from where they were put.
    """

    def __init__(self, fetch: Callable[[Any], bytes]) -> None:
        self._fetch = fetch
        self._held: OrderedDict[Any, Any] = OrderedDict()

    def compute(self, task: Callable[..., Any], part: Any, places: list[Any]) -> Result | Failure:
        """Return what becomes of a part."""
        try:
            shared = [self._at(place) for place in places]
        except Exception as error:
            return _failed(error)
        return computed(task, part, shared)

    def _at(self, place: Any) -> Any:
        if place not in self._held:
            self._held[place] = pickle.loads(self._fetch(place))
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
        self._held.move_to_end(place)
        return self._held[place]


def computed(task: Callable[..., Any], part: Any, shared: Sequence[Any]) -> Result | Failure:
    """Return what becomes of a part; whatever its task raises is the coordinator's to judge, but for Ctrl-C."""
    try:
        return Result(task(part, *shared))
    except (Exception, SystemExit) as error:
        return _failed(error)


def _failed(error: BaseException) -> Failure:
    known = error if isinstance(error, SeparatrixError) else None
    return Failure(f"{type(error).__name__}: {first_line(error)}", known)


def work(connection: Connection, threads: int) -> None:
    """Say who is there, then compute one part after the other until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever gives the parts decides
    torch.set_num_threads(threads)
    shared = Shared(lambda path: Path(path).read_bytes())
    with suppress(EOFError, ConnectionError):  # whoever gave the parts is gone
        connection.send_bytes(pickle.dumps(versions()))
        while True:
            task, part, paths = pickle.loads(connection.recv_bytes())
            connection.send_bytes(sent(shared.compute(task, part, paths)))


def main(descriptor: int, threads: int) -> None:
    """Run one worker, whose socket has this number."""
    with Connection(descriptor) as connection:
        work(connection, threads)
    os._exit(0)  # threads of libraries may hang at exit
