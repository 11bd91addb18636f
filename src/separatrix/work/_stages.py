"""Long work in parts that can be kept: whoever does it names each part, and whoever wants it decides what becomes of the parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as Interface
from typing import TypeVar

T = TypeVar("T")


class Stage(Interface):
    """Gives a part of the work by its name: made now, or kept from before."""

    def __call__(self, name: str, make: Callable[[], T], /) -> T:
        """What ``make`` gives."""


def at_once(name: str, make: Callable[[], T], /) -> T:
    """What ``make`` gives, made now and not kept.

    >>> at_once("sum", lambda: 1 + 1)
    2
    """
    del name
    return make()
