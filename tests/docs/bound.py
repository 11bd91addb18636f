"""A phrase of the documentation whose numbers are computed from committed results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]


class Bound(NamedTuple):
    """``phrase`` is a format string: with the values that ``numbers`` returns in it, it must stand in the page, word for word.

    ``numbers`` is one of the functions below it, or its values; a phrase with no numbers to compare has a ``reason`` instead.
    """

    phrase: str
    numbers: Callable[[], Sequence[Any]] | None = None
    reason: str = ""

    @property
    def words(self) -> str:
        """As it must stand there."""
        return self.phrase.format(*self.numbers()) if self.numbers else self.phrase


@cache
def result(path: str) -> Any:
    """The committed numbers of ``reproduce/probing`` or ``benchmarks/ood``, as they are on disk."""
    folder, stem = path.split("/")
    return json.loads((ROOT / folder / "results" / f"{stem}.json").read_text(encoding="utf-8"))


def span(values: Iterable[float]) -> tuple[float, float]:
    """Least and largest."""
    listed = list(values)
    return min(listed), max(listed)


def prose(page: str, first: str = "", last: str = "") -> str:
    """A page, from the heading ``first`` to the heading ``last``, on one line, without link targets and code."""
    text = (ROOT / page).read_text(encoding="utf-8")
    text = text[text.index(first) if first else 0 : text.index(last) if last else None]
    text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    return " ".join(re.sub(r"\]\([^)]*\)", "]", text).split())


def unbound(text: str, phrases: Iterable[Bound]) -> Iterator[str]:
    """Every number of the text that no phrase holds, with a few words around it; TAEF2 and conv128 are names."""
    held = [(m.start(), m.end()) for bound in phrases for m in re.finditer(re.escape(bound.words), text)]
    for number in re.finditer(r"(?<![\w.])\d+(?:[.,]\d+)*", text):
        if not any(start <= number.start() and number.end() <= end for start, end in held):
            yield f"{number.group()} in “…{text[max(number.start() - 40, 0) : number.end() + 40]}…”"
