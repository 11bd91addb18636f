"""The engine that long work uses where no other is given: a choice for a whole block, so that no study has to hand it on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from separatrix.engines._engine import Engine

E = TypeVar("E", bound=Engine)

_current: ContextVar[Engine | None] = ContextVar("separatrix engine", default=None)


def current() -> Engine | None:
    """Return the engine of this block; None computes in this process."""
    return _current.get()


@contextmanager
def using(engine: E) -> Iterator[E]:
    """Let all searches and scores in a block use this engine, and close it at the end.

    >>> from separatrix.engines import Here
    >>> with using(Here()) as engine:
    ...     current() is engine
    True
    >>> current() is None
    True
    """
    token = _current.set(engine)
    try:
        with engine:
            yield engine
    finally:
        _current.reset(token)
