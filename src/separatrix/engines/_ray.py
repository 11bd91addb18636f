"""Parts are computed on the machines of a Ray cluster, which may come and go."""

from __future__ import annotations

import math
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from separatrix.arguments import checked, whole
from separatrix.engines._engine import Failure, Result
from separatrix.engines._sending import sent
from separatrix.engines._with_workers import STARTED, WithWorkers, require_same
from separatrix.errors import EngineError, InputError, first_line

_LOST = "its process or its machine was lost, perhaps because memory ran out"


class Ray(WithWorkers["_Actor"]):
    """Computes parts in actors of a Ray cluster, each with a copy of the model.

    What all parts share lies in Ray's object store, once per machine. An actor that is lost, be it with its machine, is replaced and its part is
    computed again; one that is slow loses its part to whoever is idle, and the first result counts. All machines need the same
    versions of separatrix, torch and Python.

    Args:
        address: of a running cluster, or "auto" for the one that this machine belongs to. None uses the one that this process is connected to,
            or else starts one on this machine, for as long as the engine is open.
        workers: how many actors; as many as the cluster has room for if not given.
        cpus: that each actor asks for, and threads that it computes with. Results have the same bits where these are as many as in `Here`.
        gpus: that each actor asks for, which may be a share; the model must be on one already.

    Raises:
        InputError: bad numbers, or Ray is not installed.
        EngineError: there is no such cluster.
    """

    @checked
    def __init__(
        self, address: str | None = None, workers: int | None = None, *, cpus: int = 1, gpus: float = 0
    ) -> None:
        whole("cpus", cpus, 1)
        whole("workers", 1 if workers is None else workers, 1)
        if not gpus >= 0:
            raise InputError(f"gpus must be at least 0, not {gpus!r}.")
        self.address, self.cpus, self.gpus = address, cpus, gpus
        self._ours = False
        super().__init__(workers or 1)
        self._connect(workers)
        self.workers = workers or self._room()

    def __repr__(self) -> str:
        return f"Ray({self.address!r}, workers={self.workers}, cpus={self.cpus}, gpus={self.gpus})"

    def close(self) -> None:
        """End the actors, and the cluster if it was started for them; the next part starts new ones."""
        super().close()
        if self._ours:
            import ray

            ray.shutdown()
            self._ours = False

    def _connect(self, workers: int | None) -> None:
        try:
            import ray
        except ImportError as error:
            words = "engine='ray' needs Ray, which is not installed; pip install 'separatrix[ray]'."
            raise InputError(words) from error
        if ray.is_initialized():
            return
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked to be counted
            cores = max(os.cpu_count() or 1, (workers or 1) * self.cpus)
            quiet |= {"num_cpus": cores, "include_dashboard": False}
        with _signals_kept():
            try:
                ray.init(address=self.address or "local", **quiet)
            # What is wrong with a cluster is said by many exceptions.
            except Exception as error:
                where = "could not be started here" if self.address is None else f"does not answer at {self.address}"
                raise EngineError(
                    f"A Ray cluster {where} ({first_line(error)}); start one with 'ray start --head', or choose another engine."
                ) from error
        self._ours = True

    def _room(self) -> int:
        """Return how many actors the cluster has room for."""
        import ray

        there = ray.cluster_resources()
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        return max(1, min(math.floor(there.get(name, 0) / many) for name, many in wanted.items() if many))

    # -- workers -----------------------------------------------------------------------------------------------------

    def _idle(self) -> Iterator[_Actor]:
        import ray

        self._connect(self.workers)
        yield from [actor for actor in self._crew if actor.idle]
        for _ in range(self.workers - len(self._crew)):
            self._crew.append(_Actor(self.cpus, self.gpus))
        failed = 0
        while starting := [actor for actor in self._crew if not actor.greeted]:
            nobody = len(starting) == len(self._crew)
            ready, _ = ray.wait([actor.answer for actor in starting], timeout=STARTED if nobody else 0)
            if not ready:
                if nobody:
                    raise EngineError(
                        f"No worker has started on the Ray cluster within {STARTED:.0f} seconds; ask for fewer cpus and gpus per worker, or wait "
                        "until the cluster has room."
                    )
                return
            for actor in [actor for actor in starting if actor.answer in ready]:
                lost = actor.greet()
                if lost is None:
                    yield actor
                    continue
                failed += 1
                self._dismiss(actor)
                if failed > self.workers:
                    raise EngineError(
                        f"Workers could not be started on the Ray cluster ({lost}); install the same versions everywhere."
                    )
                self._crew.append(_Actor(self.cpus, self.gpus))

    def _give(self, worker: _Actor, task: Callable[..., Any], part: Any, places: list[Any]) -> None:
        worker.give(pickle.dumps((task, part), protocol=pickle.HIGHEST_PROTOCOL), places)

    def _heard(self, busy: list[_Actor], timeout: float | None) -> list[tuple[_Actor, Result | Failure]]:
        import ray

        starting = [actor for actor in self._crew if not actor.greeted]
        ready, _ = ray.wait([actor.answer for actor in [*busy, *starting]], timeout=timeout)
        heard = []
        for actor in [actor for actor in busy if actor.answer in ready]:
            answer = actor.heard()
            if answer is None:
                answer = Failure(_LOST)
                self._dismiss(actor)
            heard.append((actor, answer))
        return heard

    def _dismiss(self, worker: _Actor) -> None:
        if worker in self._crew:
            self._crew.remove(worker)
            worker.end()

    def _bring(self, value: Any) -> Any:
        import ray

        return ray.put(sent(value))

    def _remove(self, place: Any) -> None:
        """Ray drops what nobody refers to."""


class _Actor:
    """One actor, and the answer that is awaited from it: first its versions, then what it computes."""

    def __init__(self, cpus: int, gpus: float) -> None:
        import ray

        made = ray.remote(Computing).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        self.handle = made.remote(cpus, sys.path)
        self.answer = self.handle.versions.remote()
        self.greeted = self.idle = False

    def greet(self) -> str | None:
        """Hear which versions it has; if it could not be started, the reason is returned.

        Raises:
            EngineError: they are others than here.
        """
        import ray

        from separatrix.engines._worker import versions

        try:
            theirs = ray.get(self.answer)
        except ray.exceptions.RayError as error:
            return first_line(error)
        require_same(theirs, versions())
        self.greeted = self.idle = True
        return None

    def give(self, message: bytes, places: list[Any]) -> None:
        """Let it compute a part."""
        self.answer, self.idle = self.handle.compute.remote(message, places), False

    def heard(self) -> Result | Failure | None:
        """Return what became of its part; None if it is lost, or the answer is."""
        import ray

        self.idle = True
        try:
            answer: Result | Failure = pickle.loads(ray.get(self.answer))
        except ray.exceptions.RayTaskError as error:  # the actor is there, and could not read what it was sent
            return Failure(f"{type(error.cause).__name__}: {first_line(error.cause)}")
        except ray.exceptions.RayError:
            return None
        return answer

    def end(self) -> None:
        """Kill it."""
        import ray

        with suppress(ray.exceptions.RayError, ValueError):  # the cluster may be gone
            ray.kill(self.handle)


class Computing:
    """The tasks of parts run in an actor of this class."""

    def __init__(self, threads: int, import_path: list[str]) -> None:
        sys.path += [
            entry for entry in import_path if entry not in sys.path
        ]  # modules of the caller are found here too
        import ray
        import torch

        from separatrix.engines._worker import Shared

        torch.set_num_threads(threads)
        self._shared = Shared(ray.get)

    def versions(self) -> dict[str, str]:
        """Say who is there."""
        from separatrix.engines._worker import versions

        return versions()

    def compute(self, message: bytes, places: list[Any]) -> bytes:
        """Compute a part."""
        task, part = pickle.loads(message)
        return sent(self._shared.compute(task, part, places))


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep what this process does when it is told to end: Ray puts a handler of its own there."""
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            if handler is not None:
                signal.signal(name, handler)
