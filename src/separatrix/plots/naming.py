"""What figures and pages call a limit set, and which colour it has: the same everywhere.

Names are letters, not numbers: on images of digits a "3" beside a picture of a seven would be read as a
label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from separatrix.limitsets.same import same_sets
from separatrix.limitsets.sets import LimitSets

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
    known = () if like is None else names_of(like)
    partner = torch.full((len(limits),), -1) if like is None else same_sets(limits, like)
    free = {unstable: sum(name.unstable is unstable for name in known) for unstable in (False, True)}
    named = []
    for unstable, other in zip((limits.unstable_directions > 0).tolist(), partner.tolist(), strict=True):
        if other >= 0:
            named.append(known[other])
            continue
        place = free[unstable]
        free[unstable] += 1
        named.append(Name(f"s{place + 1}", -1) if unstable else Name(letters(place), place))
    return tuple(named)


def in_order(names: Sequence[Name]) -> list[int]:
    """Indices of the sets in the order of their letters, unstable ones last.

    >>> in_order([Name("B", 1), Name("s1", -1), Name("A", 0)])
    [2, 0, 1]
    """
    return sorted(range(len(names)), key=lambda index: (names[index].unstable, names[index].rank))
