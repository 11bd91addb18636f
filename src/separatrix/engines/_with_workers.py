"""An engine may have workers that are slow, fail, or are lost; how they are reached is left to its kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, Self, TypeVar

from separatrix.engines._book import Book
from separatrix.engines._engine import Failure, Result
from separatrix.errors import EngineError

P = TypeVar("P")
R = TypeVar("R")
W = TypeVar("W", bound=Hashable)

_KEPT = 8  # shared objects that workers find
STARTED = 120.0
"""Seconds in which a worker must have said who it is."""


class WithWorkers(ABC, Generic[W]):
    """An engine with workers. One that is lost is replaced and its part computed again; a slow one loses its part to whoever is idle, and
    the first result counts.

    Attributes:
        workers: how many there are at most.
    """

    workers: int

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._crew: list[W] = []
        self._places: dict[int, tuple[Any, Any]] = {}  # by the identity of what is shared

    def map(self, task: Callable[..., R], parts: Iterable[P], *shared: Any) -> Iterator[tuple[int, R]]:
        """Compute the parts as `Engine.map` does."""
        book: Book[P, W] = Book(parts)
        places: list[Any] | None = None
        try:
            while True:
                for worker in self._idle():
                    number = book.following()
                    if number is None:
                        break
                    if places is None:
                        places = [self._place(value) for value in shared]
                    self._give(worker, task, book.part(number), places)
                    book.give(number, worker)
                if not book.open:
                    break
                for worker, answer in self._heard(book.busy, book.patience(self.workers)):
                    yield from book.heard(worker, answer)
        finally:
            for worker in book.busy:  # it computes what nobody waits for
                self._dismiss(worker)
        book.require_all()

    def close(self) -> None:
        """Let all workers go; the next part starts new ones."""
        for worker in list(self._crew):
            self._dismiss(worker)
        for _, place in self._places.values():
            self._remove(place)
        self._places.clear()

    def _place(self, value: Any) -> Any:
        """Return where workers find a shared object, which is brought there once."""
        known = self._places.pop(id(value), None)
        if known is None:
            known = value, self._bring(value)
        self._places[id(value)] = known  # which holds the object, so that its identity stays its own
        while len(self._places) > _KEPT:
            self._remove(self._places.pop(next(iter(self._places)))[1])
        return known[1]

    @abstractmethod
    def _idle(self) -> Iterator[W]:
        """Workers without a part. Those that are missing are started when another one is asked for; at least one comes if nobody is busy."""

    @abstractmethod
    def _bring(self, value: Any) -> Any:
        """Put a shared object where workers find it, and return where that is."""

    @abstractmethod
    def _remove(self, place: Any) -> None:
        """Nobody needs what is there any more."""

    @abstractmethod
    def _give(self, worker: W, task: Callable[..., Any], part: Any, places: list[Any]) -> None:
        """Let a worker compute a part."""

    @abstractmethod
    def _heard(self, busy: list[W], timeout: float | None) -> list[tuple[W, Result | Failure]]:
        """Return those that have answered within so many seconds, or are lost, which is a failure."""

    @abstractmethod
    def _dismiss(self, worker: W) -> None:
        """End a worker, which leaves the crew."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


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
