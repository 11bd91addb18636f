"""Does a model keep pictures above a bar for so many edits? Yes, no, or these pictures cannot say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.numerics import trials_without_success
from separatrix.storage import storable
from separatrix.studies._drift.safe import SafeTrips
from separatrix.words import Readable, Statement, Tone, counted, percent


@storable
class BudgetDecision(StrEnum):
    """A budget of edits comes to one of these."""

    WITHIN = "within budget"
    EXCEEDED = "budget exceeded"
    CANNOT_SAY = "cannot say"


@checked
@dataclass(frozen=True, kw_only=True, repr=False)
class EditBudget(Readable):
    """So many trips must leave 95 % of pictures at or above so many decibels.

    >>> EditBudget.parsed("30dB:3")
    EditBudget(bar=30, trips=3)
    """

    bar: float
    trips: int

    def __post_init__(self) -> None:
        if not (0 < self.bar <= 100 and self.trips >= 1):
            raise InputError(
                f"A budget is a bar between 0 and 100 dB and at least one trip, not {self.bar} and {self.trips}."
            )

    @classmethod
    def parsed(cls, text: str) -> EditBudget:
        """Read ``"30dB:3"``: at least 30 dB after 3 trips.

        Raises:
            InputError: it is not written so.
        """
        bar, colon, trips = text.partition(":")
        try:
            if not colon:
                raise ValueError
            return cls(bar=float(bar.strip().lower().removesuffix("db")), trips=int(trips))
        except ValueError as error:
            raise InputError(
                f"{text!r} is no budget of edits; give a bar and a number of trips, such as 30dB:3."
            ) from error

    def judge(self, safe: SafeTrips) -> Statement:
        """Within it if so many trips are safe with 97.5 % certainty, exceeded if with as much certainty they are not.

        Args:
            safe: safe trips at this bar, followed at least so far.

        Raises:
            InputError: they are of another bar, or were not followed so far.
        """
        if safe.bar != self.bar or safe.followed < self.trips:
            raise InputError(
                f"This budget is about {self.trips} trips at {self.bar:g} dB, and these were followed for {safe.followed} at "
                f"{safe.bar:g} dB; measure it anew."
            )
        counts = (
            f"{safe.alive[self.trips - 1]:,} of {counted(safe.images, 'picture')} are still above {self.bar:g} dB after "
            f"{counted(self.trips, 'trip')}, and {percent(safe.share)} of all such pictures must be."
        )
        if safe.low >= self.trips:
            return Statement("Within budget", counts, BudgetDecision.WITHIN, Tone.CALM)
        if safe.high < self.trips:
            return Statement("Budget exceeded", counts, BudgetDecision.EXCEEDED, Tone.ALARM)
        fewest = trials_without_success(1 - safe.share)
        more = f"No answer but no can come of fewer than {fewest} pictures." if safe.images < fewest else ""
        return Statement("Cannot say", counts, BudgetDecision.CANNOT_SAY).followed_by(more)
