"""This file tells what fails while a training is watched: counted, said once, and held back from the training."""

from __future__ import annotations

import inspect
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from types import FrameType
from typing import ParamSpec, TypeVar

from separatrix.errors import ConvergenceWarning, ModelWarning, SeparatrixError, SeparatrixWarning, warn

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST = 300  # characters of a message


@dataclass(frozen=True)
class Failure:
    """All that went wrong at one place.

    Attributes:
        where: the place, such as ``"the search"`` or ``"JSONLinesLogger.log"``.
        count: how often.
        step: the training step at which it happened first.
        message: what was said then, in one line.
    """

    where: str
    count: int
    step: int | None
    message: str


class Failures:
    """Runs what may fail. Whatever it raises is counted and put into words; the caller goes on.

    Only what is meant for the training passes: Ctrl-C, an exit, and all that the handler of a signal raises, such as a deadline.
    """

    def __init__(self) -> None:
        self._found: dict[str, Failure] = {}
        self._known: set[object] = set()
        self._unsaid: list[str] = []

    @property
    def found(self) -> tuple[Failure, ...]:
        """One entry per place, in the order of appearance."""
        return tuple(self._found.values())

    @property
    def count(self) -> int:
        """Count how many there were, at all places."""
        return sum(failure.count for failure in self._found.values())

    def attempt(
        self, where: str, step: int | None, work: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T | None:
        """Return what ``work`` returns, or None if it raises."""
        outside = sys.exc_info()[1]  # what the caller is handling at this moment, such as a Ctrl-C
        try:
            return work(*args, **options)
        except BaseException as error:  # a model may raise anything
            if _is_for_the_training(error, outside):
                raise
            self._add(where, step, in_one_line(error))
            return None

    def note(self, kind: object, sentence: str) -> None:
        """Something to be said once, which is not a failure."""
        if kind not in self._known:
            self._known.add(kind)
            self._unsaid.append(sentence)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside no warning is shown, and none is an error, whatever the filters say; those of separatrix are said later, once.

        What the model warns of is shown by the training itself.
        """
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", SeparatrixWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)  # the share that converged is recorded
            yield
        for warning in heard:
            self.note((warning.filename, warning.lineno), str(warning.message))

    def say(self) -> None:
        """Warn of what was not said yet, in a way that cannot fail, even where warnings are errors."""
        unsaid, self._unsaid = self._unsaid, []
        for sentence in unsaid:
            try:
                warn(sentence, ModelWarning)
            except Exception:
                with suppress(Exception), warnings.catch_warnings():
                    warnings.simplefilter("always")
                    warn(sentence, ModelWarning)

    def _add(self, where: str, step: int | None, message: str) -> None:
        known = self._found.get(where)
        self._found[where] = (
            Failure(where, 1, step, message) if known is None else replace(known, count=known.count + 1)
        )
        at = "" if step is None else f" at step {step}"
        self.note(where, f"Watching failed in {where}{at}, and training goes on: {message}")


def _is_for_the_training(error: BaseException | None, outside: BaseException | None) -> bool:
    """Was this, or what it came from, sent to the process, and not raised by what was being done?"""
    while error is not None and error is not outside:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            return True
        if any(_handles_a_signal(frame) for frame, _ in traceback.walk_tb(error.__traceback__)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _handles_a_signal(frame: FrameType) -> bool:
    """A handler is called with a number and with the frame that it interrupts, which is that of its caller."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    given: list[object] = []
    for name in code.co_varnames[:count]:
        value = frame.f_locals.get(name)
        given.extend(value if isinstance(value, tuple) else [value])
    return frame.f_back is not None and any(
        isinstance(number, int) and interrupted is frame.f_back for number, interrupted in pairwise(given)
    )


def in_one_line(error: BaseException) -> str:
    """The message of an error, with its type unless it is one of our own.

    >>> in_one_line(ValueError("no such thing"))
    'ValueError: no such thing'
    """
    try:
        said = " ".join(str(error).split())
    except Exception:  # of a class whose own text fails
        said = ""
    kind = type(error).__name__
    line = said if said and isinstance(error, SeparatrixError) else f"{kind}: {said}" if said else kind
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
