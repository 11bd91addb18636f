"""The pool: everything that still needs steps, in full batches, for at most so many steps at a time.

`iterate` sends all its starts through a pool until the last of them has ended. A search does the same in *rounds*: each row makes
at most R steps, against a catalogue of limit sets that does not change meanwhile, and rows that have not ended are handed back
with the judge's memory of them. A row's fate in a round depends on that row and the catalogue alone. So neither the batch size,
nor the order of the rows, nor who computes which part of a round changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol as Interface
from typing import Self

import numpy as np
import torch
from torch import Tensor

from separatrix.field import LatentField, Raised, evaluated
from separatrix.orbits._judge import Judge, OrbitState, StepReport
from separatrix.orbits._looks import steps_between
from separatrix.orbits._observers import Observer
from separatrix.orbits._status import Status
from separatrix.protocol import Protocol
from separatrix.starts import Starts
from separatrix.work import SILENT, Progress

# How many rows are judged together moves no count: what becomes of a row follows from that row (see above). The judge and the regions
# cost the same for 100 orbits as for 1000, and the network is fastest in smaller chunks.
_MOST_TOGETHER = 8192
_LEAST_TOGETHER = 32  # … of latents so large that looking at a row costs nothing beside evaluating it
_COORDINATES_TOGETHER = 2**17
_FOR_EVER = 2**62  # steps


@dataclass
class Rows:
    """Orbits under way, one row each: where they are, how far they have come, and what the judge remembers."""

    orbit: Tensor  # (b,) int64, which orbit: a row of the columns that its end is written to
    t: Tensor  # (b,) int64 steps made
    z: Tensor  # (b, *latent)
    state: OrbitState

    @classmethod
    def fresh(cls, orbit: Tensor, z: Tensor, protocol: Protocol, t: Tensor | None = None) -> Self:
        """Orbits of which the judge remembers nothing, at step ``t`` (0 if not given)."""
        t = torch.zeros_like(orbit) if t is None else t.clone()
        return cls(orbit, t, z, OrbitState.fresh(z, protocol, t))

    def __len__(self) -> int:
        return len(self.orbit)

    def keep(self, chosen: Tensor | slice) -> Self:
        """Only the chosen rows."""
        return type(self)(self.orbit[chosen], self.t[chosen], self.z[chosen], self.state.keep(chosen))

    def joined(self, *others: Self) -> Self:
        """These rows and the others."""
        parts = (self, *others)
        columns = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("orbit", "t", "z")}
        return type(self)(**columns, state=self.state.joined(*(part.state for part in others)))


class Catcher(Interface):
    """Watches orbits and ends those of which it knows where they go (`separatrix.limitsets._capture`)."""

    def see(self, orbit: Tensor, z: Tensor, f_z: Tensor) -> Tensor:
        """The active orbits ``orbit`` (−1: one that has ended) go from z to f_z; ``(b,)`` bool: end this one as CAPTURED."""


@dataclass
class Columns:
    """It tells how orbits ended, one row per orbit, filled in as they end."""

    points: Tensor
    steps: Tensor
    residual: Tensor
    rate: Tensor
    error: Tensor
    status: Tensor
    period: Tensor

    @classmethod
    def empty(cls, count: int, like: Tensor) -> Self:
        """For ``count`` orbits, of the shape and type of the latents ``like``."""
        unknown = torch.full((count,), torch.nan, dtype=torch.float64, device=like.device)
        return cls(
            points=like.new_zeros((count, *like.shape[1:])),
            steps=torch.zeros(count, dtype=torch.int64, device=like.device),
            residual=unknown.clone(),
            rate=unknown.clone(),
            error=torch.full_like(unknown, torch.inf),
            status=torch.zeros(count, dtype=torch.uint8, device=like.device),
            period=torch.zeros(count, dtype=torch.int64, device=like.device),
        )

    def put(self, rows: Rows, report: StepReport, where: Tensor) -> None:
        """The end of the chosen rows."""
        chosen = rows.orbit[where]
        self.points[chosen] = rows.z[where].to(self.points)
        self.steps[chosen] = rows.t[where]
        for name in ("residual", "rate", "error", "status", "period"):
            getattr(self, name)[chosen] = getattr(report, name)[where]


class Queue:
    """Starts not yet under way, fetched in blocks so that encoding data also runs in full batches.

    Given an ``order`` ``(n,)``, all of them are fetched first, to where their ends will be (``room``), and taken in that order.
    """

    def __init__(
        self,
        field: LatentField,
        source: Starts,
        block: int,
        order: Tensor | None = None,
        room: Columns | None = None,
    ) -> None:
        self._field, self._source, self._block = field, source, block
        self.order = torch.arange(len(source), device=field.device) if order is None else order
        self._room = room
        if room is not None:
            for first in range(0, len(source), block):
                last = min(first + block, len(source))
                room.points[first:last] = source.block(field, first, last)
        self._next = 0  # first start not fetched yet
        self._buffer: Tensor | None = None
        self.taken = 0

    def __len__(self) -> int:
        """Starts that were not taken yet."""
        return len(self._source) - self.taken

    def take(self, count: int) -> tuple[Tensor, Tensor]:
        """Up to ``count`` further starts and their indices."""
        if self._room is not None:
            index = self.order[self.taken : self.taken + count]
            self.taken += len(index)
            return index, self._room.points[index].to(self._field.dtype)
        parts: list[Tensor] = []
        while count > 0 and (self._buffer is not None or self._next < len(self._source)):
            if self._buffer is None:
                last = min(self._next + self._block, len(self._source))
                self._buffer = self._source.block(self._field, self._next, last)
                self._next = last
            parts.append(self._buffer[:count])
            count -= len(parts[-1])
            rest = self._buffer[len(parts[-1]) :]
            self._buffer = rest if len(rest) else None
        field = self._field
        none = torch.zeros((0, *field.latent_shape), dtype=field.dtype, device=field.device)
        z = torch.cat(parts).to(none) if parts else none
        index = torch.arange(self.taken, self.taken + len(z), device=z.device)
        self.taken += len(z)
        return index, z


@dataclass
class Advanced:
    """A pool reports the rows that paused, and how many evaluations of the map it took, with the ``surplus`` of rows that had
    ended before the next look; what the model ``raised`` is counted with the evaluations."""

    paused: list[Rows]
    evaluations: int = 0
    surplus: int = 0
    raised: Raised = field(default_factory=Raised)


def width_for(field: LatentField) -> int:
    """Count how many rows are judged together: more of small latents, whose evaluation costs less than looking at them."""
    few = max(_LEAST_TOGETHER, _COORDINATES_TOGETHER // field.latent_dim)
    return max(field.batches.size, min(_MOST_TOGETHER, few))


def advance(
    field: LatentField,
    judge: Judge,
    take: Callable[[int], Rows],
    columns: Columns,
    width: int,
    *,
    steps: int | None = None,
    observers: Sequence[Observer] = (),
    catcher: Catcher | None = None,
    progress: Progress = SILENT,
    look: Callable[[Rows, Advanced], None] | None = None,
    good: Tensor | None = None,
) -> Advanced:
    """Make steps with all rows that ``take`` supplies until each has ended, or has made so many ``steps`` and pauses.

    Rows that leave the batch are replaced at once, so the network sees full batches. ``take(n)`` returns up to n further rows.
    Must be called inside ``field.guest()``. ``progress`` advances by one for every row that ends. ``look`` is shown the rows under way and what
    was done so far, before each look; from there one may go on. A row for which the model raises an exception becomes NaN, if it takes one of the
    others, or of the ``good`` latents ``(m, *latent)``.
    """
    done, rows = Advanced([]), take(width)

    def model(z: Tensor) -> Tensor:
        return evaluated(field.bare, z, done.raised, good)

    allowed = steps or _FOR_EVER
    left = np.full(len(rows), allowed)  # steps until a row pauses; the first rows have the fewest
    while len(rows):
        if look is not None:
            look(rows, done)
        block = min(steps_between(rows.z.device), int(left[0]))
        report, idle, f_z = _until_look(model, judge, rows, block, observers, catcher)
        steps_idle = idle.cpu().numpy()  # the one question of a look
        ended, left = steps_idle > 0, left - block
        done.evaluations += block * len(rows)
        if left[0] and not ended.any():
            rows.t, rows.z = rows.t + 1, f_z
            continue
        done.surplus += int((steps_idle - ended).sum())
        fate = np.where(ended, 0, np.where(left, 2, 1))
        order = torch.from_numpy(fate.argsort(kind="stable")).to(idle.device, non_blocking=True)
        ending, resting, staying = order.split(np.bincount(fate, minlength=3).tolist())
        if len(ending):
            judge.complete(rows.state, rows.t, report)
            columns.put(rows, report, ending)
            progress.advance(len(ending))
        rows.t, rows.z = rows.t + 1, f_z
        if len(resting):
            done.paused.append(rows.keep(resting))
        rows, left = rows.keep(staying), left[fate == 2]
        further = take(width - len(rows))
        if len(further):
            rows, left = rows.joined(further), np.append(left, np.full(len(further), allowed))
    done.evaluations += done.raised.evaluations
    return done


def _until_look(
    model: Callable[[Tensor], Tensor],
    judge: Judge,
    rows: Rows,
    steps: int,
    observers: Sequence[Observer],
    catcher: Catcher | None,
) -> tuple[StepReport, Tensor, Tensor]:
    """Make so many steps, the last of them up to f(z): the reports, at how many of the steps each row had ended, and f(z).

    A row that has ended stays where it is, and so does the report on it.
    """
    report, f_z = _one_step(model, judge, rows, observers, catcher, None)
    ended = report.status != int(Status.RUNNING)
    idle = ended.long()
    for _ in range(steps - 1):
        running = ~ended
        rows.t, rows.z = rows.t + running, torch.where(running.view(-1, *[1] * (f_z.ndim - 1)), f_z, rows.z)
        later, f_z = _one_step(model, judge, rows, observers, catcher, running)
        report = later.where(running, report)
        ended = report.status != int(Status.RUNNING)
        idle = idle + ended
    return report, idle, f_z


def _one_step(
    model: Callable[[Tensor], Tensor],
    judge: Judge,
    rows: Rows,
    observers: Sequence[Observer],
    catcher: Catcher | None,
    running: Tensor | None,
) -> tuple[StepReport, Tensor]:
    """Return what judge, observers and catcher say of one step, and f(z); without a mask all rows are ``running``."""
    f_z = model(rows.z)
    report = judge.step(rows.state, rows.t, rows.z, f_z)
    orbit = rows.orbit if running is None else torch.where(running, rows.orbit, -1)
    for observer in observers:
        stopped = _shown(observer, orbit, rows, f_z, running)
        if stopped is not None:
            report.status.masked_fill_(stopped & (report.status == int(Status.RUNNING)), int(Status.CAPTURED))
    if catcher is not None:
        report.status.masked_fill_(catcher.see(orbit, rows.z, f_z), int(Status.CAPTURED))
    return report, f_z


def _shown(observer: Observer, orbit: Tensor, rows: Rows, f_z: Tensor, running: Tensor | None) -> Tensor | None:
    """Return what the observer says of the running rows: the others are orbit −1, or left out if it has no place for them."""
    if running is None or getattr(observer, "spare", False):
        return observer.see(orbit, rows.t, rows.z, f_z)
    chosen = running.nonzero().squeeze(1)
    stopped = observer.see(orbit[chosen], rows.t[chosen], rows.z[chosen], f_z[chosen]) if len(chosen) else None
    return None if stopped is None else torch.zeros_like(running).index_put((chosen,), stopped)
