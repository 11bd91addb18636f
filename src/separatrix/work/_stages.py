"""Long work in parts that can be kept: whoever does it names each part, and whoever wants it decides what becomes of the parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol as Interface
from typing import TypeVar

T = TypeVar("T")


class Stages(Interface):
    """Gives the parts of a long piece of work by their names: made now, or kept from before (`separatrix.runs.Run`)."""

    def stage(self, name: str, make: Callable[[], T], /) -> T:
        """Return what ``make`` gives."""

    def unfinished(self, name: str, /) -> Path | None:
        """The folder for what a part keeps on its way; None keeps nothing."""


class AtOnce:
    """Every part is made now, and nothing is kept.

    >>> AtOnce().stage("sum", lambda: 1 + 1)
    2
    """

    def stage(self, name: str, make: Callable[[], T], /) -> T:
        """Return what ``make`` gives."""
        del name
        return make()

    def unfinished(self, name: str, /) -> Path | None:
        """None: nothing is kept."""
        del name
        return None
