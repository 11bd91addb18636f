"""This file tells who is audited: a random sample of the captured orbits is followed to the very end, and a disagreement has consequences."""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.limitsets._capture_audit import CaptureAudit
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._curves import CurveSearch
from separatrix.limitsets._ledger import Ledger
from separatrix.numerics.counter_random import SELECTION, uniform
from separatrix.protocol import DEFAULT, Auditing

_NUMBERS_AT_ONCE = 2**20  # coordinates compared with the regions at once: moves no count, as each is compared by itself


class CaptureAuditor:
    """Draws the sample, and decides what follows from a disagreement.

    Each captured orbit is drawn by a random number of its own, (seed, index), so that the sample does not depend on the order in
    which orbits are captured. A disagreement shrinks all regions; what was captured outside of them, or in one that later shrank
    because a neighbour was found, goes on. If that does not help, nothing that was captured is believed.
    """

    def __init__(self, share: float, rules: Auditing = DEFAULT.auditing) -> None:
        self._share, self._rules = share, rules
        self._rounds, self._captured, self._checked, self._agreed = 1, 0, 0, 0
        self._abandoned = False
        self._drawn: tuple[int, Tensor] = 0, torch.zeros(0)

    def draw(self, ledger: Ledger, rows: Tensor) -> Tensor:
        """Return those of the captured rows that are to be followed to their end; they lose their set until then."""
        rows = rows[ledger.captured[rows] & ~ledger.on_curve[rows]]
        return self._followed(ledger, rows[self._numbers(ledger, rows) < self._share])

    @staticmethod
    def _followed(ledger: Ledger, rows: Tensor) -> Tensor:
        ledger.given[rows], ledger.audited[rows], ledger.withdrawn[rows] = ledger.set[rows], True, True
        return CaptureAuditor._released(ledger, rows)

    def reopened(self, ledger: Ledger, catalogue: Catalogue, curves: CurveSearch) -> tuple[Tensor, Tensor]:
        """Rows that have to go on before the search may end: audits that are still to be made, and captures that are withdrawn.

        An orbit on a closed curve never comes to an end; those that are drawn are followed for a while, here.
        """
        audits = ledger.audited.nonzero().squeeze(1)
        captured = (ledger.captured & ~ledger.on_curve).nonzero().squeeze(1)
        none = captured[:0]
        if not self._share:
            return none, none
        outside = self._outside(ledger, catalogue, captured)
        if self._abandoned or bool(outside.any()):
            return none, self._released(ledger, captured[outside & (not self._abandoned)])
        least = self._rules.least
        if missing := max(0, min(least - len(audits), len(captured))):
            order = self._numbers(ledger, captured).argsort(stable=True)
            return self._followed(ledger, captured[order[:missing]].sort().values), none
        agreed = ledger.set[audits] == ledger.given[audits]
        moving = (ledger.captured & ledger.on_curve).nonzero().squeeze(1)
        order = self._numbers(ledger, moving).argsort(stable=True)
        drawn = moving[order[: max(min(least, len(moving)), round(self._share * len(moving)))]]
        stay = curves.stay(ledger.ends.points[drawn], ledger.set[drawn])
        self._captured = len(captured) + len(audits) + len(moving)
        self._checked, self._agreed = len(audits) + len(drawn), int(agreed.sum()) + int(stay.sum())
        if not bool(stay.all()):  # no tube is believed
            ledger.on_curve[moving], ledger.withdrawn[moving] = False, True
            return none, self._released(ledger, moving)
        if bool(agreed.all()):
            return none, none
        if self._rounds == self._rules.rounds:
            self._abandoned = True
            return self._followed(ledger, captured), none
        self._rounds += 1
        catalogue.shrink_regions(self._rules.shrink)
        ledger.audited[audits] = False
        outside = self._outside(ledger, catalogue, captured)
        released = self._released(ledger, captured[outside])
        return self.draw(ledger, captured[~outside]), released

    @staticmethod
    def _outside(ledger: Ledger, catalogue: Catalogue, rows: Tensor) -> Tensor:
        """Say of each captured row whether today's regions would not hold it."""
        parts = rows.split(max(1, _NUMBERS_AT_ONCE // ledger.ends.points[:1].numel()))
        held = [catalogue.inside(ledger.ends.points[part], ledger.set[part]) for part in parts]
        return ~torch.cat(held)

    def _numbers(self, ledger: Ledger, rows: Tensor) -> Tensor:
        """The random number of each row, the same for the same start."""
        if self._drawn[0] != self._rounds:
            draw = torch.from_numpy(uniform(SELECTION + self._rounds, first=0, count=max(len(ledger), 1), width=1))
            self._drawn = self._rounds, draw.squeeze(1).to(rows.device)
        return self._drawn[1][rows]

    @staticmethod
    def _released(ledger: Ledger, rows: Tensor) -> Tensor:
        ledger.set[rows], ledger.captured[rows] = -1, False
        ledger.followed[rows] = ledger.withdrawn[rows]  # who was captured wrongly before is not captured again
        ledger.withdrawn[rows] = True
        return rows

    def result(self) -> CaptureAudit:
        """Return what was seen."""
        return CaptureAudit(self._captured, self._checked, self._agreed, self._rounds, self._abandoned)
