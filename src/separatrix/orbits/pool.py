"""The pool: everything that still needs steps, in full batches, for at most so many steps at a time.

`iterate` sends all its starts through a pool until the last of them has ended. A search does the same in *rounds*: each row makes
at most R steps, against a catalogue of limit sets that does not change meanwhile, and rows that have not ended are handed back
with the judge's memory of them. A row's fate in a round depends on that row and the catalogue alone. So neither the batch size,
nor the order of the rows, nor who computes which part of a round changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol as Interface
from typing import Self

import torch
from torch import Tensor

from separatrix.field import LatentField
from separatrix.orbits.judge import Judge, OrbitState, Verdict
from separatrix.orbits.observers import Observer
from separatrix.orbits.status import Status
from separatrix.progress import SILENT, Progress
from separatrix.starts import Starts

# The judge and the regions cost the same for 100 orbits as for 1000, and the network is fastest in smaller chunks.
_MOST_TOGETHER = 8192
_LEAST_TOGETHER = 64  # … of latents so large that looking at a row costs nothing beside evaluating it
_COORDINATES_TOGETHER = 2**17


@dataclass
class Rows:
    """Orbits under way, one row each: where they are, how far they have come, and what the judge remembers."""

    orbit: Tensor  # (b,) int64, which orbit: a row of the columns that its end is written to
    t: Tensor  # (b,) int64 steps made
    pause: Tensor  # (b,) int64 steps after which the row is handed back
    z: Tensor  # (b, *latent)
    state: OrbitState

    @classmethod
    def fresh(cls, orbit: Tensor, z: Tensor, budget: int, t: Tensor | None = None) -> Self:
        """Orbits of which the judge remembers nothing, at step ``t`` (0 if not given) of at most ``budget``."""
        t = torch.zeros_like(orbit) if t is None else t.clone()
        return cls(orbit, t, torch.full_like(t, budget + 1), z, OrbitState.fresh(z, budget, t))

    def __len__(self) -> int:
        return len(self.orbit)

    def keep(self, chosen: Tensor | slice) -> Self:
        """Only the chosen rows."""
        return type(self)(
            self.orbit[chosen], self.t[chosen], self.pause[chosen], self.z[chosen], self.state.keep(chosen)
        )

    def joined(self, other: Self) -> Self:
        """These rows and the others."""
        return type(self)(
            orbit=torch.cat([self.orbit, other.orbit]),
            t=torch.cat([self.t, other.t]),
            pause=torch.cat([self.pause, other.pause]),
            z=torch.cat([self.z, other.z]),
            state=self.state.joined(other.state),
        )

    def paused_after(self, steps: int) -> Self:
        """The same rows, to be handed back after so many more steps."""
        return replace(self, pause=self.t + steps)


class Catcher(Interface):
    """Watches orbits and ends those of which it knows where they go (`separatrix.limitsets.capture`)."""

    def see(self, orbit: Tensor, z: Tensor, f_z: Tensor) -> Tensor:
        """The active orbits ``orbit`` go from z to f_z; ``(b,)`` bool: end this one as CAPTURED."""


@dataclass
class Columns:
    """How orbits ended, one row per orbit, filled in as they end."""

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

    def put(self, rows: Rows, verdict: Verdict, where: Tensor) -> None:
        """The end of the chosen rows."""
        chosen = rows.orbit[where]
        self.points[chosen] = rows.z[where].to(self.points)
        self.steps[chosen] = rows.t[where]
        for name in ("residual", "rate", "error", "status", "period"):
            getattr(self, name)[chosen] = getattr(verdict, name)[where]


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
        z = torch.cat(parts) if parts else torch.zeros((0, *self._field.latent_shape))
        z = z.to(self._field.device, self._field.dtype)
        index = torch.arange(self.taken, self.taken + len(z), device=z.device)
        self.taken += len(z)
        return index, z


@dataclass
class Advanced:
    """What a pool did: the rows that paused, and how many evaluations of the map it took."""

    paused: list[Rows]
    evaluations: int


def width_for(field: LatentField) -> int:
    """How many rows are judged together: more of small latents, whose evaluation costs less than looking at them."""
    few = max(_LEAST_TOGETHER, _COORDINATES_TOGETHER // field.latent_dim)
    return max(field.batches.size, min(_MOST_TOGETHER, few))


def advance(
    field: LatentField,
    judge: Judge,
    take: Callable[[int], Rows],
    columns: Columns,
    width: int,
    *,
    observers: Sequence[Observer] = (),
    catcher: Catcher | None = None,
    progress: Progress = SILENT,
) -> Advanced:
    """Make steps with all rows that ``take`` supplies until each has ended or paused.

    Rows that leave the batch are replaced at once, so the network sees full batches. ``take(n)`` returns up to n further rows.
    Must be called inside ``field.guest()``. ``progress`` advances by one for every row that ends.
    """
    done = Advanced([], 0)
    rows = take(width)
    while len(rows):
        f_z = field.bare(rows.z)
        done.evaluations += len(rows)
        verdict = judge.step(rows.state, rows.t, rows.z, f_z)
        for observer in observers:
            stopped = observer.see(rows.orbit, rows.t, rows.z, f_z)
            if stopped is not None:
                verdict.status[stopped & (verdict.status == int(Status.RUNNING))] = int(Status.CAPTURED)
        if catcher is not None:
            verdict.status.masked_fill_(catcher.see(rows.orbit, rows.z, f_z), int(Status.CAPTURED))
        ended = verdict.status != int(Status.RUNNING)
        leaving = ended | (rows.t + 1 >= rows.pause)
        if not bool(leaving.any()):
            rows.t, rows.z = rows.t + 1, f_z
            continue
        if bool(ended.any()):
            judge.complete(rows.state, rows.t, verdict)
            columns.put(rows, verdict, ended)
            progress.advance(int(ended.sum()))
        rows.t, rows.z = rows.t + 1, f_z
        if bool((resting := leaving & ~ended).any()):
            done.paused.append(rows.keep(resting))
        rows = rows.keep(~leaving)
        further = take(width - len(rows))
        rows = rows.joined(further) if len(further) else rows
    return done
