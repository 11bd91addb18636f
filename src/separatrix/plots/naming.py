"""What figures and pages call a limit set, and which colour it has: the same everywhere.

Names are letters, not numbers: on images of digits a "3" beside a picture of a seven would be read as a
label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.limitsets.sets import Kind, LimitSets
from separatrix.numerics.distances import nearest

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SAME_POINT = 1e-3  # share of the spread within which a polished set of another search is the same set
_SAME_CURVE = 2e-2  # the same for sets known by samples of their points


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
    partner = torch.full((len(limits),), -1) if like is None else matched(limits, like)
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


def matched(limits: LimitSets, other: LimitSets) -> Tensor:
    """``(m,)`` for each set its index in ``other``, −1 where it is not there.

    Two sets are one if they are of one kind and agree in stability, and a point of the first lies within 0.1
    % of the spread of a point of the second (2 % for curves, which are known by samples).
    """
    if limits.points.shape[1:] != other.points.shape[1:]:
        raise InputError(
            f"Limit sets in latent spaces of shape {tuple(limits.points.shape[1:])} and "
            f"{tuple(other.points.shape[1:])} "
            "cannot share names; pass results of the same field."
        )
    found = torch.full((len(limits),), -1)
    if not len(other):
        return found
    traces = [other.trace(index) for index in range(len(other))]
    owner = torch.cat([torch.full((len(trace),), index) for index, trace in enumerate(traces)])
    near = nearest(limits.points, torch.cat(traces))
    for index, (point, distance) in enumerate(zip(near.index.tolist(), near.distance.tolist(), strict=True)):
        candidate = int(owner[point])
        sampled = int(limits.kind[index]) in (int(Kind.CLOSED_CURVE), int(Kind.CONTINUUM), int(Kind.CHAOTIC))
        alike = limits.kind[index] == other.kind[candidate] and limits.stable[index] == other.stable[candidate]
        if alike and distance <= (_SAME_CURVE if sampled else _SAME_POINT) * max(limits.spread, other.spread):
            found[index] = candidate
    return found


def in_order(names: Sequence[Name]) -> list[int]:
    """Indices of the sets in the order of their letters, unstable ones last.

    >>> in_order([Name("B", 1), Name("s1", -1), Name("A", 0)])
    [2, 0, 1]
    """
    return sorted(range(len(names)), key=lambda index: (names[index].unstable, names[index].rank))
