"""What happens to limit sets from one field to the next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from torch import Tensor

from separatrix.columnar import Columnar
from separatrix.store import storable


class EventKind(IntEnum):
    """What happened to an id. *Where from* and *where to* are meant in the terms of the matching.

    By points or pictures a split is a new set beside an old one (a pitchfork), and a fold is a death: the place is empty.
    By basins, what its starts do decides: a fold is a merge, because they all go to one other set.
    """

    BIRTH = 0
    DEATH = 1
    MERGE = 2
    SPLIT = 3

    @property
    def words(self) -> str:
        """In running text: ``"birth"``."""
        return self.name.lower()


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Events(Columnar):
    """Events in order of time.

    Attributes:
        time: ``(e,)`` int64; the event lies between the fields ``time − 1`` and ``time``.
        kind: ``(e,)`` uint8, an :class:`EventKind`.
        id: ``(e,)`` int64, who was born, split off, died or merged.
        other: ``(e,)`` int64, whom it split from or merged into; −1 for births and deaths.
    """

    _columns: ClassVar[tuple[str, ...]] = ("time", "kind", "id", "other")

    time: Tensor
    kind: Tensor
    id: Tensor
    other: Tensor

    def of_kind(self, *kinds: EventKind) -> Events:
        """The events of these kinds."""
        chosen = self.kind < 0
        for kind in kinds:
            chosen = chosen | (self.kind == int(kind))
        return self[chosen]

    @property
    def words(self) -> list[str]:
        """One phrase per event, such as ``"3 split from 0"``."""
        return [
            phrase(EventKind(kind), own, other)
            for kind, own, other in zip(self.kind.tolist(), self.id.tolist(), self.other.tolist(), strict=True)
        ]

    def __repr__(self) -> str:
        counts = [f"{len(self.of_kind(kind))} {kind.words}s" for kind in EventKind]
        return f"Events({', '.join(counts)})"


def phrase(kind: EventKind, own: int | str, other: int | str) -> str:
    """What happened, in words: ``"3 split from 0"``."""
    return {
        EventKind.BIRTH: f"{own} born",
        EventKind.DEATH: f"{own} died",
        EventKind.MERGE: f"{own} merged into {other}",
        EventKind.SPLIT: f"{own} split from {other}",
    }[kind]
