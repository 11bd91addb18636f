"""The ledger of a search: one row per orbit, with how it ended, on which set, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from separatrix.cost import Cost
from separatrix.orbits import Orbits, Status
from separatrix.orbits._pool import Columns
from separatrix.protocol import Protocol

MOVING = (Status.WANDERING, Status.BUDGET, Status.SLOW)


@dataclass
class Claims:
    """It tells how orbits had ended before they went on to be confirmed; the columns of `Columns`, of few orbits."""

    orbit: Tensor
    points: Tensor
    steps: Tensor
    residual: Tensor
    rate: Tensor
    error: Tensor
    status: Tensor
    period: Tensor

    def without(self, orbits: Tensor) -> Claims:
        """All but these."""
        kept = ~torch.isin(self.orbit, orbits)
        return Claims(*(getattr(self, field.name)[kept] for field in fields(self)))

    def joined(self, other: Claims) -> Claims:
        """These and the others."""
        return Claims(
            *(
                torch.cat([getattr(self, field.name), getattr(other, field.name).to(getattr(self, field.name))])
                for field in fields(self)
            )
        )


@dataclass
class Ledger:
    """Columns, one row per start of the search.

    Attributes:
        ends: where each orbit is and how it got there; of an orbit under way, its last end.
        set: ``(n,)`` int64, its number in the catalogue; −1 for none.
        captured: ``(n,)`` bool, it ended in a region or a tube, and was not followed to its end since.
        likely: ``(n,)`` bool, it ended by a statistical capture: ``set`` is where earlier orbits beside it went.
        on_curve: ``(n,)`` bool, its set is a closed curve, and it was seen to move there.
        followed: ``(n,)`` bool, it goes to its very end, and nothing captures it: its capture is audited, or was withdrawn twice.
        withdrawn: ``(n,)`` bool, its capture was withdrawn once.
        audited: ``(n,)`` bool, it is in the sample of the audit.
        given: ``(n,)`` int64, the set that an audited orbit had been given.
        asked: ``(n,)`` int64, the version of the catalogue when the end of the orbit was last compared with it; −1 never.
        claims: how the orbits had ended that are being confirmed.
        looked: ``(n,)`` int64, steps that the orbit had made when it was last examined for a closed curve; 0 never.
    """

    ends: Columns
    set: Tensor
    captured: Tensor
    likely: Tensor
    on_curve: Tensor
    followed: Tensor
    withdrawn: Tensor
    audited: Tensor
    given: Tensor
    asked: Tensor
    looked: Tensor
    claims: Claims | None = None

    @classmethod
    def blank(cls, count: int, like: Tensor) -> Ledger:
        """For ``count`` orbits of the shape and type of the latents ``like``, in which they end at the latest."""
        none = torch.full((count,), -1, dtype=torch.int64, device=like.device)
        no = torch.zeros(count, dtype=torch.bool, device=like.device)
        return cls(
            ends=Columns.empty(count, like),
            set=none,
            captured=no,
            likely=no.clone(),
            on_curve=no.clone(),
            followed=no.clone(),
            withdrawn=no.clone(),
            audited=no.clone(),
            given=none.clone(),
            asked=none.clone(),
            looked=torch.zeros_like(none),
        )

    def __len__(self) -> int:
        return len(self.set)

    def among(self, rows: Tensor, *statuses: Status) -> Tensor:
        """Return those of the rows that ended with one of these statuses."""
        wanted = torch.tensor([int(status) for status in statuses], dtype=torch.uint8, device=rows.device)
        return rows[torch.isin(self.ends.status[rows], wanted)]

    def end(self, rows: Tensor, ends: Columns, at: Tensor) -> None:
        """These orbits have ended; how, stands in the rows ``at`` of other columns."""
        for field in fields(Columns):
            column = getattr(self.ends, field.name)
            column[rows] = getattr(ends, field.name)[at].to(column)

    def capture(self, rows: Tensor, given: Tensor) -> None:
        """Capture those of the rows that have a set in ``given``, a row each; it is certain."""
        caught = rows[given >= 0]
        self.set[caught], self.captured[caught] = given[given >= 0], True

    def sample(self, rows: Tensor, given: Tensor) -> None:
        """The same by the leave of a sample, unless they have a set already."""
        new = (given >= 0) & (self.set[rows] < 0)
        self.set[rows[new]], self.likely[rows[new]] = given[new], True

    def remember(self, rows: Tensor) -> None:
        """Keep how these orbits ended, in case that what they claim is confirmed."""
        kept = Claims(rows, *(getattr(self.ends, field.name)[rows] for field in fields(Columns)))
        self.claims = kept if self.claims is None else self.claims.without(rows).joined(kept)

    def confirm(self, rows: Tensor, near: Tensor) -> None:
        """These orbits were captured after a claim; those that were ``near`` ``(n,)`` their set already end where they claimed to."""
        if self.claims is None or not len(rows):
            return
        at = torch.isin(self.claims.orbit, rows[near])
        chosen = self.claims.orbit[at]
        for field in fields(Columns):
            column = getattr(self.ends, field.name)
            column[chosen] = getattr(self.claims, field.name)[at].to(column)
        self.claims = self.claims.without(rows)

    def claimed(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return those of the rows that ended with a claim of convergence, and where they were then."""
        if self.claims is None:
            return rows[:0], self.ends.points[:0]
        good = torch.tensor([int(Status.CONVERGED), int(Status.PERIODIC)], device=rows.device)
        at = torch.isin(self.claims.orbit, rows) & torch.isin(self.claims.status.to(good), good)
        return self.claims.orbit[at], self.claims.points[at]

    def orbits(self, spread: float, protocol: Protocol, cost: Cost) -> Orbits:
        """The finished columns.

        A claim that no limit set confirms is a place where the orbit lingers, not a limit.
        """
        status, none = self.ends.status.clone(), self.set < 0
        status[self.on_curve], status[self.likely] = int(Status.QUASIPERIODIC), int(Status.SAMPLED)
        rows = none.nonzero().squeeze(1)
        status[self.among(rows, Status.CONVERGED, Status.PERIODIC, Status.CAPTURED)] = int(Status.SLOW)
        ends = replace(self.ends, status=status, period=torch.where(self.on_curve, 0, self.ends.period))
        return Orbits(**vars(ends), spread=spread, protocol=protocol, cost=cost)
