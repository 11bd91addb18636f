"""The parts of one call that are not done are kept in a book: who has them, how often they failed, and which one an idle worker gets."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from separatrix.engines._engine import TRIES, Failure, Result
from separatrix.errors import EngineError

P = TypeVar("P")
W = TypeVar("W", bound=Hashable)

_SLOW = 3  # times the median time of a part, after which an idle worker gets the same part


class Book(Generic[P, W]):
    """The book says who has which part.

    Args:
        parts: numbered from 0; the next is taken when somebody is free for it.

    >>> book = Book("ab")
    >>> _ = book.give(book.following(), "a worker"), book.give(book.following(), "another")
    >>> list(book.heard("another", Failure("it was killed"))), list(book.heard("a worker", Result("A")))
    ([], [(0, 'A')])
    >>> book.following()
    1
    """

    def __init__(self, parts: Iterable[P]) -> None:
        self._waiting = iter(enumerate(parts))
        self._lost: deque[int] = deque()
        self._parts: dict[int, P] = {}
        self._tries: dict[int, int] = {}
        self._given: dict[W, tuple[int, float]] = {}
        self._took: list[float] = []
        self._failures: dict[int, str] = {}

    @property
    def open(self) -> bool:
        """Somebody has a part that is not done."""
        return bool(self._parts)

    @property
    def busy(self) -> list[W]:
        """Those who have a part, be it one that is done by now."""
        return list(self._given)

    def following(self) -> int | None:
        """The part for an idle worker: a lost one, a new one, or one that has been waited for too long; None if there is none."""
        if self._lost:
            return self._lost.popleft()
        for number, part in self._waiting:
            self._parts[number], self._tries[number] = part, 0
            return number
        have = [number for number, _ in self._given.values()]
        now = time.monotonic()
        slow = [
            (since, number)
            for number, since in self._given.values()
            if number in self._parts and have.count(number) == 1 and self._took and now - since > _SLOW * self._usual
        ]
        return min(slow)[1] if slow else None

    def part(self, number: int) -> P:
        """The part of this number, which is open."""
        return self._parts[number]

    def give(self, number: int, worker: W) -> None:
        """This worker computes it from now on."""
        self._given[worker] = number, time.monotonic()

    def patience(self, workers: int) -> float | None:
        """Seconds until it is time to look who is slow; None as long as nobody has nothing to do."""
        return self._usual if len(self._given) < workers and self._took else None

    def heard(self, worker: W, answer: Result | Failure) -> Iterator[tuple[int, Any]]:
        """Give what a worker has computed, unless somebody else was quicker.

        Raises:
            SeparatrixError: the task has raised it.
        """
        number, since = self._given.pop(worker)
        if number not in self._parts:
            return
        if isinstance(answer, Result):
            del self._parts[number]
            self._took.append(time.monotonic() - since)
            yield number, answer.value
        elif answer.error is not None:
            raise answer.error
        else:
            self._tries[number] += 1
            if self._tries[number] >= TRIES:
                self._failures[number] = answer.words
                del self._parts[number]
            elif number not in [other for other, _ in self._given.values()]:
                self._lost.append(number)

    def require_all(self) -> None:
        """Refuse to end where parts were given up.

        Raises:
            EngineError: the message names the first and its reason.
        """
        if self._failures:
            raise EngineError(given_up(self._failures))

    @property
    def _usual(self) -> float:
        return statistics.median(self._took)


def given_up(failures: dict[int, str]) -> str:
    """One sentence for parts that were given up.

    >>> given_up({2: "ValueError: no"})
    'Part 2 failed 3 times (ValueError: no); all other parts are done. Mend the cause and give the same command again.'
    """
    number, reason = next(iter(failures.items()))
    others = f" and {len(failures) - 1} others" if len(failures) > 1 else ""
    return (
        f"Part {number}{others} failed {TRIES} times ({reason}); all other parts are done. "
        "Mend the cause and give the same command again."
    )
