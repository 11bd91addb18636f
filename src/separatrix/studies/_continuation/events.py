"""This file tells what happens to limit sets from one field to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from torch import Tensor

from separatrix.storage import Columnar, storable


class EventKind(IntEnum):
    """It tells what happened to an id. *Where from* and *where to* are meant in the terms of the matching.

    By points or pictures a split is a new set beside an old one (a pitchfork), and a fold is a death: the place is empty.
    By basins, what its starts do decides: a fold is a merge, because they all go to one other set.

    Where at least half of its starts ran out of steps, nobody can say what became of a set: it is not dead but out of sight (an
    *occlusion*), and keeps its id until those starts settle. A set on starts that had not settled before is not born: it came
    into sight (a *sighting*), under its old id if it is one that was out of sight.
    """

    BIRTH = 0
    DEATH = 1
    MERGE = 2
    SPLIT = 3
    OCCLUSION = 4
    SIGHTING = 5

    @property
    def words(self) -> str:
        """Write it as in running text: ``"birth"``."""
        return self.name.lower()


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Events(Columnar):
    """Events in order of time.

    Attributes:
        time: ``(e,)`` int64; the event lies between the fields ``time − 1`` and ``time``.
        kind: ``(e,)`` uint8, an :class:`EventKind`.
        id: ``(e,)`` int64, who was born, split off, died or merged, went out of sight or came into it.
        other: ``(e,)`` int64, whom it split from or merged into; −1 for all others.
    """

    _columns: ClassVar[tuple[str, ...]] = ("time", "kind", "id", "other")

    _read_off: ClassVar[tuple[str, ...]] = ("words",)
    _members: ClassVar[Mapping[str, type[IntEnum]]] = {"kind": EventKind}

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

    @property
    def counts(self) -> dict[EventKind, int]:
        """Count how many of each kind; of occlusions and sightings only if there are any: most searches run to their end."""
        counts = {kind: len(self.of_kind(kind)) for kind in EventKind}
        return {kind: count for kind, count in counts.items() if count or kind <= EventKind.SPLIT}

    def __repr__(self) -> str:
        return f"Events({', '.join(f'{count} {kind.words}s' for kind, count in self.counts.items())})"


def phrase(kind: EventKind, own: int | str, other: int | str) -> str:
    """Return what happened, in words: ``"3 split from 0"``."""
    return {
        EventKind.BIRTH: f"{own} born",
        EventKind.DEATH: f"{own} died",
        EventKind.MERGE: f"{own} merged into {other}",
        EventKind.SPLIT: f"{own} split from {other}",
        EventKind.OCCLUSION: f"{own} out of sight",
        EventKind.SIGHTING: f"{own} came into sight",
    }[kind]
