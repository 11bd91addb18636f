"""This file tells what became of the starts: one set of definitions and one way to say it, for every output.

* A start *reached a limit set* if its orbit ended on any set that has a name: point, cycle, curve or continuum, stable or not.
* It *reached an attractor* if that set was checked and attracts.
* It *rests at a saddle* if that set was checked and does not attract. Sources are meant too. An orbit may rest there for
  good, or pass ever more slowly, as along a heteroclinic cycle; no finite look tells the two apart.
* Otherwise it *is still moving* at the end of its budget, *diverged*, or *ended in NaN or infinity*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum

import torch
from torch import Tensor

from separatrix.orbits._status import Status
from separatrix.storage import storable
from separatrix.words import Readable


class Fate(IntEnum):
    """It tells what became of one start; ``short`` is for the label of a bar, ``sentence`` explains.

    >>> Fate.SADDLE.short, Fate.SADDLE.on_a_set, Fate.MOVING.on_a_set
    ('at a saddle', True, False)
    """

    one: str
    many: str
    short: str
    sentence: str

    def __new__(cls, value: int, one: str, many: str, short: str, sentence: str) -> Fate:
        member = int.__new__(cls, value)
        member._value_ = value
        member.one, member.many, member.short, member.sentence = one, many, short, sentence
        return member

    ATTRACTOR = (
        0,
        "reached an attractor",
        "reached an attractor",
        "at an attractor",
        "the set was checked and attracts",
    )
    SADDLE = (
        1,
        "rests at a saddle",
        "rest at a saddle",
        "at a saddle",
        "the set was checked and does not attract: the orbit began on it or on its stable manifold, or passes it ever more "
        "slowly, as along a heteroclinic cycle",
    )
    UNKNOWN = (
        2,
        "reached a limit set of unknown stability",
        "reached a limit set of unknown stability",
        "stability unknown",
        "whether the set attracts is not known: it is neutral to rounding, or was not checked",
    )
    UNLISTED = (
        3,
        "reached a limit set that is not listed",
        "reached a limit set that is not listed",
        "at a set not listed",
        "the set is not among those listed, as in a selection of sets, or under a rule that counts no cycles",
    )
    MOVING = (4, "is still moving", "are still moving", "still moving", "the budget ended before the orbit did")
    DIVERGED = (5, "diverged", "diverged", "diverged", "the orbit left every bounded region")
    NONFINITE = (
        6,
        "ended in NaN or infinity",
        "ended in NaN or infinity",
        "not finite",
        "the map returned NaN or infinity",
    )

    @property
    def on_a_set(self) -> bool:
        """True if the start reached a limit set."""
        return self < Fate.MOVING


@storable
@dataclass(frozen=True, kw_only=True)
class Fates(Readable):
    """It tells how many starts had which `Fate`; the seven numbers add up to the number of starts.

    Attributes:
        attractor: reached an attractor.
        saddle: rest at a set that does not attract.
        unknown: reached a limit set of which nobody knows whether it attracts.
        unlisted: reached a limit set that is not in this result: `LimitSets` of which some sets were chosen.
        moving: still moving at the end of the budget.
        diverged: left every bounded region.
        nonfinite: ended in NaN or infinity.

    >>> fates = Fates(attractor=138, saddle=10, moving=2)
    >>> fates
    Fates(138 of 150 starts reached an attractor, 10 rest at a saddle, 2 are still moving)
    >>> fates.starts, fates.limit_set
    (150, 148)
    """

    attractor: int = 0
    saddle: int = 0
    unknown: int = 0
    unlisted: int = 0
    moving: int = 0
    diverged: int = 0
    nonfinite: int = 0

    @classmethod
    def of(cls, each: Tensor) -> Fates:
        """Count the fates of single starts, as `fate_of_each` gives them."""
        counts = torch.bincount(each, minlength=len(Fate)).tolist()
        return cls(**{fate.name.lower(): counts[fate] for fate in Fate})

    @classmethod
    def of_statuses(cls, counts: Mapping[Status, int]) -> Fates:
        """Count orbits of which the statuses alone are known. Nobody has checked the stability of their limits.

        >>> Fates.of_statuses({Status.CONVERGED: 9, Status.BUDGET: 7})
        Fates(none of 16 starts reached an attractor, 9 reached a limit set of unknown stability, 7 are still moving)
        """
        status = torch.tensor([int(status) for status in counts], dtype=torch.int64)
        repeated = status.repeat_interleave(torch.tensor(list(counts.values()), dtype=torch.int64))
        each = fate_of_each(repeated)
        return cls.of(torch.where(each == Fate.UNLISTED, int(Fate.UNKNOWN), each))

    @property
    def counts(self) -> dict[Fate, int]:
        """By fate, only those that occur."""
        numbers = {fate: int(getattr(self, fate.name.lower())) for fate in Fate}
        return {fate: number for fate, number in numbers.items() if number}

    @property
    def starts(self) -> int:
        """Count how many there are."""
        return sum(self.counts.values())

    @property
    def limit_set(self) -> int:
        """Starts that reached a limit set, stable or not."""
        return sum(number for fate, number in self.counts.items() if fate.on_a_set)

    @property
    def words(self) -> str:
        """All counts in running text, attractors first."""
        return self.told()

    def told(self, noun: str = "start") -> str:
        """`words` with another noun, such as ``"pilot orbit"``.

        >>> Fates(attractor=4).told(), Fates(moving=1).told("orbit")
        ('all 4 starts reached an attractor', 'the only orbit is still moving')
        """
        total, counts = self.starts, self.counts
        if not total:
            return f"no {noun}s"
        if len(counts) == 1:
            (fate,) = counts
            return f"the only {noun} {fate.one}" if total == 1 else f"all {total:,} {noun}s {fate.many}"
        first = f"{self.attractor:,}" if self.attractor else "none"
        return f"{first} of {total:,} {noun}s {Fate.ATTRACTOR.many}, {self.others}"

    @property
    def others(self) -> str:
        """The counts of the starts that reached no attractor, empty if there are none."""
        return ", ".join(
            f"{number:,} {fate.one if number == 1 else fate.many}"
            for fate, number in self.counts.items()
            if fate is not Fate.ATTRACTOR
        )

    @property
    def sentence(self) -> str:
        """`words` as a sentence of its own."""
        return f"{self.words[0].upper()}{self.words[1:]}."

    def to_dict(self) -> dict[str, int | str]:
        """JSON-ready: the seven counts, their sum, how many reached a limit set, and the sentence."""
        each = {each.name: int(getattr(self, each.name)) for each in fields(self)}
        return {"starts": self.starts, **each, "limit_set": self.limit_set, "sentence": self.sentence}

    def __repr__(self) -> str:
        return f"Fates({self.words})"


def fate_of_each(status: Tensor, labels: Tensor | None = None, stable: Tensor | None = None) -> Tensor:
    """``(n,)`` int64, the `Fate` of every start.

    Args:
        status: ``(n,)`` a `Status` each.
        labels: ``(n,)`` start → set, −1 for none; without them no set is listed.
        stable: ``(m,)`` of the sets: 1 attracts, 0 does not, −1 unknown.

    >>> status = torch.tensor([int(Status.CONVERGED), int(Status.CONVERGED), int(Status.SLOW)])
    >>> [Fate(value).name for value in fate_of_each(status, torch.tensor([1, 0, -1]), torch.tensor([0, 1])).tolist()]
    ['ATTRACTOR', 'SADDLE', 'MOVING']
    """
    table = torch.full((len(Status),), int(Fate.MOVING), dtype=torch.int64, device=status.device)
    table[int(Status.DIVERGED)], table[int(Status.NONFINITE)] = int(Fate.DIVERGED), int(Fate.NONFINITE)
    table[[int(known) for known in Status if known.reached_limit_set]] = int(Fate.UNLISTED)
    each = table[status.to(torch.int64)]
    if labels is None or stable is None or not len(stable):
        return each
    by_stability = torch.tensor([Fate.SADDLE, Fate.ATTRACTOR, Fate.UNKNOWN], dtype=torch.int64, device=labels.device)
    return torch.where(labels >= 0, by_stability[stable.to(torch.int64)][labels], each.to(labels.device))
