"""This file tells what figures and pages call a limit set, and which colour it has: the same everywhere.

Names are letters, not numbers: on images of digits a "3" beside a picture of a seven would be read as a
label.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from separatrix.limitsets import LimitSets, same_sets

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Name(NamedTuple):
    """A limit set in figures: ``label``, and the ``rank`` that decides its colour (−1: unstable, in ink)."""

    label: str
    rank: int

    @property
    def unstable(self) -> bool:
        """True for sets with an unstable direction."""
        return self.rank < 0


def letters(rank: int) -> str:
    """The rank-th name of A … Z, AA, AB, …

    >>> [letters(rank) for rank in (0, 25, 26, 701, 702)]
    ['A', 'Z', 'AA', 'ZZ', 'AAA']
    """
    name = ""
    rank += 1
    while rank:
        rank, letter = divmod(rank - 1, len(_ALPHABET))
        name = _ALPHABET[letter] + name
    return name


def names_of(limits: LimitSets, like: LimitSets | None = None) -> tuple[Name, ...]:
    """One name per limit set: A, B, C … for those that attract or may attract, s1, s2 … for unstable ones.

    Args:
        limits: the sets to name.
        like: another search of the same field; a set found there too keeps the name and colour that it has
            there, and sets not found there get the next free letters.

    Raises:
        InputError: the two results live in latent spaces of different shapes.
    """
    return names_across((limits,) if like is None else (like, limits))[-1]


def names_across(searches: Iterable[LimitSets]) -> list[tuple[Name, ...]]:
    """Names for several searches of one field: one name means one set in all of them.

    A set keeps the name that it has in the first search that found it; the others get the next free letters.

    Raises:
        InputError: results in latent spaces of different shapes.
    """
    named: list[tuple[LimitSets, tuple[Name, ...]]] = []
    free = {False: 0, True: 0}
    for limits in searches:
        known: dict[int, Name] = {}
        for earlier, names in reversed(named):  # so that the first search has the last word
            for index, other in enumerate(same_sets(limits, earlier).tolist()):
                if other >= 0:
                    known[index] = names[other]
        for index, unstable in enumerate((limits.unstable_directions > 0).tolist()):
            if index not in known:
                place = free[unstable]
                free[unstable] += 1
                known[index] = Name(f"s{place + 1}", -1) if unstable else Name(letters(place), place)
        named.append((limits, tuple(known[index] for index in range(len(limits)))))
    return [names for _, names in named]


def in_order(names: Sequence[Name]) -> list[int]:
    """Indices of the sets in the order of their letters, unstable ones last.

    >>> in_order([Name("B", 1), Name("s1", -1), Name("A", 0)])
    [2, 0, 1]
    """
    return sorted(range(len(names)), key=lambda index: (names[index].unstable, names[index].rank))
