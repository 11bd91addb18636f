"""Names for the limit sets of successive fields, and what happens to those who bear them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from separatrix.limitsets import LimitSets
from separatrix.studies._continuation.events import EventKind
from separatrix.studies._continuation.matching import By, checked_threshold, matched
from separatrix.studies._continuation.portrait import Portrait

Happening = tuple[EventKind, int, int]  # kind, id, other


class Follower:
    """Gives limit sets names, field after field, each by comparison with the one before.

    A start that does not settle keeps the set on which it ended last, and a set whose starts do not settle is remembered until
    they do.
    """

    def __init__(self, by: By, threshold: float | None = None) -> None:
        self.by, self.threshold = by, checked_threshold(by, threshold)
        self._before: Portrait | None = None  # the last sets, then those out of sight
        self._names = torch.zeros(0, dtype=torch.int64)
        self._in_sight = 0
        self._fresh = 0

    def follow(self, sets: LimitSets, decoded: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Happening]]:
        """The ids ``(m,)`` of these sets, and what happened since the last ones: (kind, id, other)."""
        now = Portrait.of(sets, decoded)
        before, names = self._before, self._names
        happened: list[Happening] = []
        if before is None:
            own = torch.arange(len(now))
            self._fresh, self._before = len(now), now
        else:
            matching = matched(before, now, by=self.by, threshold=self.threshold)
            own = torch.full((len(now),), -1, dtype=torch.int64)
            there = matching.partner >= 0
            own[there] = names[matching.partner[there]]
            back = matching.partner >= self._in_sight
            happened += [(EventKind.SIGHTING, name, -1) for name in own[back].tolist()]
            unseen_before = now.out_of_sight(before).tolist()
            for new in (~there).nonzero().squeeze(1).tolist():
                own[new] = self._fresh
                parent = int(matching.parent[new])
                if unseen_before[new]:
                    happened.append((EventKind.SIGHTING, self._fresh, -1))
                elif parent < 0:
                    happened.append((EventKind.BIRTH, self._fresh, -1))
                else:
                    happened.append((EventKind.SPLIT, self._fresh, int(names[parent])))
                self._fresh += 1
            place = torch.full((len(before),), -1, dtype=torch.int64)
            place[matching.partner[there]] = there.nonzero().squeeze(1)
            unseen_now = before.out_of_sight(now).tolist()
            remembered: list[int] = []
            for lost in (place < 0).nonzero().squeeze(1).tolist():
                name, heir = int(names[lost]), int(matching.heir[lost])
                if unseen_now[lost]:
                    place[lost] = len(now) + len(remembered)
                    remembered.append(lost)
                    if lost < self._in_sight:
                        happened.append((EventKind.OCCLUSION, name, -1))
                elif heir < 0:
                    happened.append((EventKind.DEATH, name, -1))
                else:
                    happened.append((EventKind.MERGE, name, int(own[heir])))
            self._before, names = now.remembering(before, place), names[remembered]
        self._names, self._in_sight = torch.cat([own, names]), len(now)
        return own, happened
