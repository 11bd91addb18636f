"""A round in parts: some of its rows, followed against what is known at its head by whoever has the model.

A part carries all that is remembered of its orbits and brings it back, so that the search has one place where anything is kept, and who
computes which part, where and when changes nothing. How the rows of a round are cut follows from their number alone, whoever computes them:
a network may round differently in batches of another size, and so would parts of another size.

A part goes to another process as the bytes of a safetensors file, and comes back so: nothing in it can be run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from separatrix.engines import Engine, Keeping, SharedFolder
from separatrix.errors import FieldError, OutOfMemoryError
from separatrix.field import LatentField, Raised, all_alike, answers
from separatrix.limitsets._capture import Capture, Frozen
from separatrix.limitsets._records import Records
from separatrix.limitsets._regions import StepNorms, TrappingRegions
from separatrix.limitsets._statistical import Guess, Library
from separatrix.numerics import ClosedCurve
from separatrix.orbits import Observer, Status
from separatrix.orbits._judge import Judge, OrbitState
from separatrix.orbits._looks import steps_between
from separatrix.orbits._pool import Columns, Rows, advance, width_for
from separatrix.protocol import GROUPS, Protocol, Rounds
from separatrix.storage import from_bytes, to_bytes


@dataclass(frozen=True)
class Round:
    """It tells what all parts of a round share.

    Attributes:
        steps: that every row makes at most.
        judges: of orbits in the model's own precision, and of those in float64.
        known: captures orbits; None captures none.
        library: of statistical captures, if there is one.
        good: ``(m, *latent)`` at which the model was examined.
    """

    steps: int
    judges: tuple[Judge, Judge]
    known: Frozen | None
    library: Library | None
    good: Tensor


@dataclass
class Part:
    """Some rows of a round, and what is remembered of them.

    Attributes:
        fine: they are followed in float64.
        orbit: ``(b,)`` int64, their numbers in the search.
        rows: numbered 0 … b − 1.
        exempt: ``(b,)`` bool, never captured.
        records: of the orbits among them that are recorded.
        guess: watches for statistical captures.
    """

    fine: bool
    orbit: Tensor
    rows: Rows
    exempt: Tensor
    records: Records | None = None
    guess: Guess | None = None


@dataclass
class Followed:
    """It tells what became of a part: ``paused`` goes on in the next round, of the others ``ends`` holds the end.

    Attributes:
        paused: rows, numbered as in the search.
        ended: ``(e,)`` int64, rows of the part.
        set: ``(b,)`` int64, the set that captured each; −1 for none.
        surplus: evaluations among all ``evaluations`` that were made of rows which had ended.
        raised: exceptions of the model.
    """

    fine: bool
    orbit: Tensor
    paused: Rows
    ended: Tensor
    ends: Columns
    set: Tensor
    records: Records | None
    guess: Guess | None
    evaluations: int
    surplus: int
    raised: Raised


def cut(rows: Rows, field: LatentField, rules: Rounds) -> Iterator[tuple[Tensor, Rows]]:
    """The rows in parts, each numbered from 0, and their numbers in the search.

    An accelerator gets as many at once as are judged together, because it is one worker and likes full batches.
    """
    size = rules.rows_in_a_part(len(rows))
    if steps_between(field.device) > 1:
        size = max(size, width_for(field))
    for first in range(0, len(rows), size):
        part = rows.keep(slice(first, first + size))
        yield part.orbit, replace(part, orbit=torch.arange(len(part), device=part.orbit.device))


class Fields(tuple[LatentField, LatentField]):
    """The model as a search uses it: in its own precision, and in float64."""

    @cached_property
    def _model(self) -> dict[str, Any]:
        native, fine = self
        described = native.describe()
        return {
            **{name: described[name] for name in ("latent_shape", "dtype", "device", "fingerprint")},
            "fine": str(fine.dtype).removeprefix("torch."),
            "answers": answers(native),
        }

    @property
    def identity(self) -> dict[str, Any]:
        """All on which the bits of a part depend, JSON-ready: the model, by what it computes, and the rows that go through it at once.

        Cost: 6 map evaluations and 6 decodings, once.
        """
        sizes = [[each.batches.asked, each.batches.usual, each.batches.fits] for each in self]
        return {"model": self._model, "sizes": sizes}

    @classmethod
    def like(cls, identity: Any, field: LatentField) -> Fields | None:
        """The same of a field, as some other process has it; None if that has another model."""
        fine, _ = finest(field)
        for native in (field, fine):
            own = cls((native, fine))
            wanted = dict(identity["model"])
            if all_alike(own._model["answers"], wanted.pop("answers")) and wanted == {
                name: value for name, value in own._model.items() if name != "answers"
            }:
                for each, sizes in zip(own, identity["sizes"], strict=True):
                    each.batches.asked, each.batches.usual, each.batches.fits = sizes
                return own
        return None


def finest(field: LatentField) -> tuple[LatentField, tuple[str, ...]]:
    """A float64 copy, or the field itself and a sentence about what that means."""
    try:
        return field.to(dtype=torch.float64), ()
    except (FieldError, OutOfMemoryError) as error:
        return field, (f"Polished only in {field.dtype}: {error}",)


class Crew:
    """Has the parts of a round followed: here, or by an engine.

    Args:
        fields: in the model's own precision, and in float64.
        engine: None for this process, without the detour by bytes.
    """

    def __init__(self, fields: Fields, engine: Engine | Keeping | None = None) -> None:
        self._fields, self._engine = fields, engine

    def follow(self, parts: list[Part], head: Round) -> Iterator[Followed]:
        """Return what becomes of the parts, in any order. One alone is followed here, because nobody would have anything to do meanwhile.

        Raises:
            EngineError: the engine has failed.
        """
        if self._engine is None or len(parts) < 2:
            yield from (follow(part, self._fields, head) for part in parts)
            return
        content = to_bytes(head, _SENT)
        sent = (to_bytes(part, _SENT) for part in parts)
        for _, found in self._engine.map(follow_bytes, sent, self._fields, content):
            yield from_bytes(found, _SENT)

    def forget(self) -> None:
        """Parts that were kept are not needed any more."""
        if isinstance(self._engine, (Keeping, SharedFolder)):
            self._engine.forget()


def follow_bytes(part: bytes, fields: tuple[LatentField, LatentField], head: bytes) -> bytes:
    """:func:`follow` for whoever is sent a part."""
    return to_bytes(follow(from_bytes(part, _SENT), fields, _unpacked(head)), _SENT)


@lru_cache(maxsize=2)
def _unpacked(head: bytes) -> Round:
    """Return what a round begins with, once for all its parts."""
    found: Round = from_bytes(head, _SENT)
    return found


def follow(part: Part, fields: tuple[LatentField, LatentField], head: Round) -> Followed:
    """Follow the rows of a part until each has ended or has made the steps of the round.

    Args:
        part: it is used up.
        fields: in the model's own precision, and in float64.
        head: what is known at the head of the round.

    Cost: one map evaluation per row and step, the surplus included.
    """
    field, judge, count = fields[part.fine], head.judges[part.fine], len(part.rows)
    ends = Columns.empty(count, part.rows.z)
    capture = Capture(head.known, count, ends.steps.device, part.exempt) if head.known is not None else None
    observers: list[Observer] = []
    if part.records is not None:
        observers.append(part.records)
    if part.guess is not None:
        part.guess.library = head.library
        observers.append(part.guess)
    taken = 0

    def take(wanted: int) -> Rows:
        nonlocal taken
        rows = part.rows.keep(slice(taken, taken + wanted))
        taken += len(rows)
        return rows

    with field.guest():
        done = advance(
            field,
            judge,
            take,
            ends,
            width_for(field),
            steps=head.steps,
            observers=observers,
            catcher=capture,
            good=head.good.to(part.rows.z),
        )
    paused = part.rows.keep(slice(0, 0)).joined(*done.paused)
    paused = paused.keep(paused.orbit.argsort())
    if part.guess is not None:
        part.guess.library = None
    return Followed(
        fine=part.fine,
        orbit=part.orbit,
        paused=replace(paused, orbit=part.orbit[paused.orbit]),
        ended=(ends.status != int(Status.RUNNING)).nonzero().squeeze(1),
        ends=ends,
        set=capture.set if capture is not None else torch.full_like(part.orbit, -1),
        records=part.records,
        guess=part.guess,
        evaluations=done.evaluations,
        surplus=done.surplus,
        raised=done.raised,
    )


_SENT = (
    ClosedCurve, Columns, Followed, Frozen, Guess, Judge, Library, OrbitState, Part, Protocol, Raised, Records, Round, Rows, StepNorms, TrappingRegions,
    *GROUPS.values(),
)  # fmt: skip

TASKS = (follow_bytes,)
"""What workers may be asked for who are not sent the code (`separatrix.engines.SharedFolder`)."""
