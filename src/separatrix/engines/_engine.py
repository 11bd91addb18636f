"""Engines compute parts of long work: here, in other processes, or on other machines. No number depends on which.

An engine knows nothing of what it computes. A *task* is a function of one part and of what all parts share; parts are independent of each
other, and it does not matter who computes which, in what order they are done, or whether one is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from typing import Protocol as Interface

from separatrix.errors import SeparatrixError

P = TypeVar("P")
R = TypeVar("R")

TRIES = 3
"""A part that fails so many times is given up."""


@dataclass(frozen=True)
class Result:
    """A part is done."""

    value: Any


@dataclass(frozen=True)
class Failure:
    """A part is not done, for this reason; an error of ours is raised as it would be here."""

    words: str
    error: SeparatrixError | None = None


class Engine(Interface):
    """Computes parts.

    Attributes:
        workers: how many parts are computed at once.
    """

    workers: int

    def map(self, task: Callable[..., R], parts: Iterable[P], *shared: Any) -> Iterator[tuple[int, R]]:
        """Give the number of each part and ``task(part, *shared)``, in the order in which they are done.

        Args:
            task: a function of a module, which other processes import too.
            parts: taken from here when somebody is free for the next.
            shared: sent to every worker once, however many parts and calls use the same object.

        Raises:
            EngineError: parts have failed three times each. It is raised at the end, when all others have been given.
            SeparatrixError: what a task raises of these is raised at once, because it would be the same everywhere.
        """

    def close(self) -> None:
        """Let the workers go."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Here:
    """Computes one part after the other in this process.

    >>> dict(Here().map(pow, [2, 3], 2))
    {0: 4, 1: 9}
    """

    workers = 1

    def __repr__(self) -> str:
        return "Here()"

    def map(self, task: Callable[..., R], parts: Iterable[P], *shared: Any) -> Iterator[tuple[int, R]]:
        """Compute the parts as `Engine.map` does; any error is raised at once."""
        for number, part in enumerate(parts):
            yield number, task(part, *shared)

    def close(self) -> None:
        """Nothing to let go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
