"""What a reading is made of: committed numbers, means and shares that print their interval, and a verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import torch
from scipy.stats import t as student

from separatrix.numerics import clopper_pearson

ROOT = Path(__file__).parents[2]
REPRODUCED, CONDITIONAL, NOT = "reproduced", "conditional", "not"


class Reading(NamedTuple):
    """A verdict, and the numbers that the sentences of its claim have places for."""

    verdict: str
    numbers: dict[str, Any]


class Mean:
    """The mean over seeds with Student's 95 % interval, as far as such numbers can lie; ``f"{Mean([…]):.2f}"`` writes both."""

    def __init__(self, values: Iterable[float], least: float = -math.inf, most: float = math.inf) -> None:
        self.values = list(values)
        self.value = fmean(self.values)
        count = len(self.values)
        reach = student.ppf(0.975, count - 1) * stdev(self.values) / math.sqrt(count) if count > 1 else math.inf
        self.low, self.high = max(least, self.value - reach), min(most, self.value + reach)

    def __format__(self, how: str) -> str:
        return f"{self.value:{how}} (95 %: {self.low:{how}} to {self.high:{how}}, {len(self.values)} seeds)"


class Share:
    """So many of so many, with the exact 95 % interval of the share."""

    def __init__(self, count: int, of: int) -> None:
        self.count, self.of = count, of
        low, high = clopper_pearson(torch.tensor([count]), of)
        self.low, self.high = float(low), float(high)

    def __format__(self, how: str) -> str:
        low, high = (
            f"{100 * end:.0f}" if end == 0 or end >= 0.01 else f"{100 * end:.1g}" for end in (self.low, self.high)
        )
        return f"{self.count:,} of {self.of:,} (95 %: {low} to {high} %)"


_fresh: list[Path] = []


def look_in(folder: Path) -> None:
    """From now on read what recipes of ``reproduce`` wrote into that folder."""
    _fresh[:] = [folder]
    result.cache_clear()


def file_of(path: str) -> Path:
    """Where the numbers of ``reproduce/probing`` or ``benchmarks/ood`` are."""
    folder, stem = path.split("/")
    if _fresh and folder == "reproduce":
        return _fresh[0] / f"{stem}.json"
    return ROOT / folder / "results" / f"{stem}.json"


@cache
def result(path: str) -> Any:
    """The numbers of ``reproduce/probing`` or ``benchmarks/ood``, the committed ones if nothing else was said."""
    return json.loads(file_of(path).read_text(encoding="utf-8"))


def span(values: Iterable[float]) -> tuple[float, float]:
    """Least and largest."""
    listed = list(values)
    return min(listed), max(listed)


def all_some_none(holds: Sequence[bool]) -> str:
    """Reproduced where it holds in every case, conditional where in at least one, else not."""
    return REPRODUCED if all(holds) else CONDITIONAL if any(holds) else NOT
