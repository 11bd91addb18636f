"""`DynamicsMonitor`: attractors along training, at a price that was agreed on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from separatrix.arguments import checked, whole
from separatrix.data import ImageSource, tensor_of
from separatrix.errors import FieldError, InputError
from separatrix.field import LatentField, require_self_map
from separatrix.field._guest import modules_behind
from separatrix.limitsets import LimitSets, find_attractors
from separatrix.monitoring._budget import Effort, TimeBudget, Usage
from separatrix.monitoring._failures import Failures
from separatrix.monitoring._loggers import LogTarget, as_loggers
from separatrix.monitoring._snapshot import Snapshot, snapshot_of
from separatrix.monitoring._untouched import frozen, untouched
from separatrix.orbits._glance import GLANCE_STARTS, GLANCE_STEPS, Glance, glance
from separatrix.protocol import Protocol
from separatrix.starts import Starts, as_starts
from separatrix.studies import Continuation, Drift, drift
from separatrix.studies._continuation.events import phrase
from separatrix.studies._continuation.following import Follower
from separatrix.studies._continuation.matching import By
from separatrix.studies._continuation.sequence import continuation_of, lasting
from separatrix.words import Tabular, columns_of, counted

T = TypeVar("T")


class _TimeIsUp(BaseException):  # not an error, and nothing that catches errors may hold it
    """A glance or a search has used the seconds it was given."""


@dataclass
class _Moment:
    """The weights of one training step, and what is known about them so far."""

    step: int
    field: LatentField
    seen: Glance | None = None
    rot: Drift | None = None
    seconds: float = 0.0


class DynamicsMonitor(Tabular):
    """Snapshots of the latent dynamics while a model is trained.

    Call :meth:`step` after every training step. At every multiple of ``every`` the weights are copied. A copy is first glanced
    at (eight starts, sixteen steps), and then searched for attractors as soon as the budget allows, with as many starts and
    steps as it pays for. If it does not before the next multiple, or if the search is cut because its time is up, the snapshot
    is the glance alone: ``searched`` is false, and ``cut`` says which of the two it was. The training sees nothing of all this: weights, gradients,
    train and eval modes, hooks and all random states are as before, so that the loss curve is the same to the last bit.
    Nor does it end a training: whatever fails, the field factory, the model or a logger, is counted in ``usage.failures`` with
    its first message, said once, and the training goes on. Only a wrong argument to the constructor raises.
    Without the time for a single glance there is no snapshot; ``usage`` says what was done.

    Args:
        field_factory: returns the `LatentField` of the model in training, such as ``model.field``; or the field itself.
        starts: the same starts in every snapshot, so that basins can be compared; snapshots of less effort take the first ones.
        every: training steps between snapshots, at least.
        max_share: seconds of watching per second of training; None for no limit, every snapshot a search with full effort.
        log: a path for JSON lines, a `Logger`, a list of them, or None.
        protocol: of the searches; its ``max_steps`` is what full effort means.
        by: how snapshots are matched, ``"basins"`` or ``"points"``; see :func:`separatrix.studies.match`.
        keep_hooks: also run the user's hooks on the copies; by default only those of torch itself.
        pictures: also send these through the model after a glance, as far as the budget allows, and tell their PSNR after one round trip and after the last
            (`separatrix.drift`); a few, such as eight.
        trips: how many round trips they make.
        clock: where the time comes from.

    Raises:
        InputError: an option is out of range.

    Attributes:
        history: the snapshots.
        searches: the limit sets of those in which attractors were sought (`Snapshot.searched`), in the same order.

    >>> import torch
    >>> from separatrix import starts
    >>> gain = torch.nn.Parameter(torch.tensor(0.5))
    >>> field = LatentField.from_map(lambda z: torch.tanh(gain * z), latent_shape=(1,))
    >>> monitor = DynamicsMonitor(field, starts.box(32, -1, 1, seed=0), every=10, max_share=None, log=None)
    >>> for step in range(21):
    ...     _ = gain.data.fill_(0.5 + step / 10)
    ...     _ = monitor.step(step)
    >>> [(shot.step, shot.attractors, shot.events) for shot in monitor.history]
    [(0, 1, ()), (10, 2, ('1 split from 0',)), (20, 2, ())]
    """

    _facts: ClassVar[tuple[str, ...]] = ("usage",)

    @checked
    def __init__(
        self,
        field_factory: Callable[[], LatentField] | LatentField,
        starts: Starts | Tensor,
        every: int,
        *,
        max_share: float | None = 0.1,
        log: LogTarget = "dynamics.jsonl",
        protocol: Protocol | str | None = None,
        by: By = "basins",
        keep_hooks: bool = False,
        pictures: ImageSource | None = None,
        trips: int = 5,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        whole("every", every, 1, of="training steps")
        if max_share is not None and not max_share > 0:
            raise InputError(f"max_share must be positive, or None for no limit, not {max_share!r}.")
        if not callable(field_factory) or isinstance(field_factory, nn.Module):
            raise InputError(
                f"field_factory must be a LatentField or a function that returns one, not {field_factory!r:.80}."
            )
        if by not in ("basins", "points"):
            raise InputError(f'by must be "basins" or "points", not {by!r}.')
        self._given = field_factory
        self.starts, self.every, self.by, self.keep_hooks = as_starts(starts), every, by, keep_hooks
        self.pictures, self.trips = None if pictures is None else tensor_of(pictures, "pictures"), trips
        whole("trips", trips, 1)
        self.protocol = Protocol(max_steps=4096) if protocol is None else Protocol.of(protocol)
        self.history: list[Snapshot] = []
        self.searches: list[LimitSets] = []
        self._loggers = as_loggers(log)
        self._budget = TimeBudget(len(self.starts), self.protocol.max_steps, max_share, clock)
        self._follower = Follower(by)
        self._waiting: _Moment | None = None
        self._last: int | None = None
        self._failures = Failures()
        self._modules: tuple[nn.Module, ...] = ()

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per snapshot."""
        return columns_of(Snapshot, self.history)

    def __repr__(self) -> str:
        last = f", the last at step {self.history[-1].step:,}" if self.history else ""
        return f"DynamicsMonitor({counted(len(self.history), 'snapshot')}{last}; {len(self.searches)} with a search)"

    @property
    def usage(self) -> Usage:
        """Return what watching has cost so far."""
        return replace(self._budget.usage, failures=self._failures.found)

    @checked
    def step(self, step: int) -> Snapshot | None:
        """The training has done ``step`` steps; call it with 0 before the first one to see the model at initialisation.

        Returns:
            The snapshot that was finished now, if one was (the later of two); its step may be an earlier one.
        """
        shot = self._failures.attempt("the monitor", step, self._visited, lambda: self._step(step))
        self._failures.say()
        return shot

    def finish(self) -> Usage:
        """The training is over: the last snapshot, if the budget allows, and no more."""
        self._failures.attempt("the monitor", self._last, self._visited, self._finish)
        self._failures.say()
        return self.usage

    def _visited(self, work: Callable[[], T]) -> T:
        self._budget.enter()
        try:
            return work()
        finally:
            self._budget.leave()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Inside, the training does not notice what is done."""
        given = self._given.modules if isinstance(self._given, LatentField) else modules_behind(self._given)
        with untouched(*self._modules, *given, keep_hooks=self.keep_hooks), self._failures.listening():
            yield

    def _step(self, step: int) -> Snapshot | None:
        due = self._due(step)
        if not due and not self._can_look():
            return None  # what most calls do, in microseconds
        with self._aside():
            told = self._give_up_on_search() if due else None
            if due and not self._copy(step):
                self._count(failed=1)
            return self._look() or told

    def _finish(self) -> None:
        self._failures.attempt("the monitor", self._last, self._last_look)
        self._waiting = None
        for logger in self._loggers:
            self._failures.attempt(f"{type(logger).__name__}.close", self._last, logger.close)

    def _last_look(self) -> None:
        with self._aside():
            if self._look(last=True) is None:
                self._give_up_on_search()

    @checked
    def continuation(self, *, by: By | None = None, threshold: float | None = None) -> Continuation:
        """All searches as one `Continuation`, ``parameters`` being the steps; matched again if a rule is given.

        Raises:
            InputError: attractors were not sought yet.
        """
        if not self.searches:
            raise InputError("There is no snapshot yet with attractors; train longer, or raise max_share.")
        steps = [float(snapshot.step) for snapshot in self.history if snapshot.searched]
        return continuation_of(self.searches, steps, None, by=by or self.by, threshold=threshold)

    def _due(self, step: int) -> bool:
        """Is a snapshot due, and is there room for it?"""
        due = self._last is None or step // self.every > self._last // self.every
        self._last = step
        full = self._waiting is not None and self._waiting.seen is None
        if due and (full or (self._failures.count > 0 and self._budget.available < 0)):  # what fails costs time, too
            self._count(skipped=1)
            return False
        return due

    def _copy(self, step: int) -> bool:
        """Keep the weights of now; False if that failed."""
        attempt = self._failures.attempt
        field = attempt("the field factory", step, self._made)
        made = (
            None if field is None else attempt("the copy of the model", step, frozen, field, keep_hooks=self.keep_hooks)
        )
        if made is None:
            return False
        copy, note = made
        if note:
            self._failures.note("copy", note)
        if not self._budget.calibrated:
            attempt("the first look", step, self._calibrate, copy)
        if self._budget.calibrated:
            self._waiting = _Moment(step, copy)
        return self._budget.calibrated

    def _made(self) -> LatentField:
        field: Any = self._given if isinstance(self._given, LatentField) else self._given()
        if not isinstance(field, LatentField):
            raise FieldError(f"field_factory must return a LatentField, such as model.field() does, not {field!r:.80}.")
        self._modules = field.modules
        return field

    def _calibrate(self, field: LatentField) -> None:
        """One pass over the fewest starts: it shows what things cost, and whether this is a field at all."""
        few = min(GLANCE_STARTS, len(self.starts))
        z = self.starts.block(field, 0, few)
        require_self_map(field, z[:4])
        field(z)  # the first pass pays for lazy initialisation
        began = self._budget.clock()
        field(z)
        self._budget.calibrate(self._budget.clock() - began, field.latent_dim)

    def _can_look(self) -> bool:
        """Is there a copy at which something can be done now?"""
        if self._waiting is None:
            return False
        if self._waiting.seen is None:
            return self._budget.glance_affordable()
        return self._budget.affordable() is not None

    def _look(self, *, last: bool = False) -> Snapshot | None:
        """Glance at the copy that waits and search it, if there is one and as far as the budget allows."""
        moment, budget, attempt = self._waiting, self._budget, self._failures.attempt
        if moment is None:
            return None
        if moment.seen is None and budget.glance_affordable(last=last):
            failed = self._failures.count
            moment.seen = attempt(
                "the glance",
                moment.step,
                self._in_time,
                moment,
                lambda field: glance(field, self.starts),
                budget.glanced,
            )
            self._count(failed=self._failures.count - failed)
            if moment.seen is None:
                self._waiting = None
            else:
                self._send_pictures(moment)
        effort = budget.affordable(last=last)
        if moment.seen is None or effort is None:
            return None
        self._waiting = None
        budget.begin(effort)
        failed = self._failures.count
        limits = attempt(
            "the search", moment.step, self._in_time, moment, lambda field: self._searched(field, effort), budget.spent
        )
        if self._failures.count > failed:  # its glance is left
            self._count(failed=1)
            return self._recorded(moment, None, None)
        return self._recorded(moment, limits, effort)

    def _send_pictures(self, moment: _Moment) -> None:
        """Send the pictures through a copy, where there are some and there is time."""
        pictures, budget = self.pictures, self._budget
        if pictures is not None and budget.pictures_affordable():
            moment.rot = self._failures.attempt(
                "the pictures",
                moment.step,
                self._in_time,
                moment,
                lambda field: drift(field, pictures, trips=self.trips, shown=0),
                budget.pictured,
            )

    def _in_time(
        self, moment: _Moment, work: Callable[[LatentField], T], spent: Callable[[float, T | None], None]
    ) -> T | None:
        """Return what ``work`` makes of the copy, or None if its time was up; ``spent`` is told what it has cost."""
        clock, done = self._budget.clock, None
        began, timed = clock(), self._timed(moment.field)
        try:
            done = work(timed)
        except _TimeIsUp:
            self._count(cut=1)
        finally:
            moment.field.inherit(timed)  # what was learnt of the copy is paid once
            seconds = clock() - began
            moment.seconds += seconds
            spent(seconds, done)
        return done

    def _give_up_on_search(self) -> Snapshot | None:
        """Give up the search of what was only glanced at until now: another copy is due, or the training is over."""
        moment, self._waiting = self._waiting, None
        return None if moment is None or moment.seen is None else self._recorded(moment, None, None)

    def _searched(self, field: LatentField, effort: Effort) -> LimitSets:
        rules = replace(
            self.protocol,
            max_steps=effort.max_steps,
            probe_steps=min(self.protocol.probe_steps, effort.max_steps),
        )
        return find_attractors(field, self.starts[: effort.starts], rules)

    def _timed(self, field: LatentField) -> LatentField:
        """The same field, but each pass looks at the clock first."""
        if self.usage.max_share is None:
            return field
        encode, clock, deadline = field._encode, self._budget.clock, self._budget.deadline

        def watched(x: Any) -> Any:
            if clock() > deadline:
                raise _TimeIsUp
            return encode(x)

        timed = field.with_halves(watched, field._decode)
        timed.inherit(field)
        return timed

    def _recorded(self, moment: _Moment, limits: LimitSets | None, effort: Effort | None) -> Snapshot | None:
        snapshot = self._failures.attempt("the record", moment.step, self._record, moment, limits, effort)
        if snapshot is None:
            self._count(failed=1)
            return None
        for logger in self._loggers:
            self._failures.attempt(f"{type(logger).__name__}.log", moment.step, logger.log, snapshot.to_dict())
        return snapshot

    def _record(self, moment: _Moment, limits: LimitSets | None, effort: Effort | None) -> Snapshot:
        assert moment.seen is not None
        ids, events = None, None
        if limits is not None:
            names, happened = self._follower.follow(lasting(limits)[0])
            ids, events = tuple(names.tolist()), tuple(phrase(*event) for event in happened)
        snapshot = snapshot_of(
            moment.seen,
            limits,
            step=moment.step,
            cut=limits is None and effort is not None,
            effort=Effort(min(GLANCE_STARTS, len(self.starts)), GLANCE_STEPS)
            if limits is None or effort is None
            else effort,
            ids=ids,
            events=events,
            seconds=moment.seconds,
            share=self._budget.share,
            rot=moment.rot,
        )
        self.history.append(snapshot)
        if limits is not None:
            self.searches.append(limits)
        self._count(snapshots=1, glances=int(limits is None))
        return snapshot

    def _count(self, **more: int) -> None:
        now = self._budget.usage
        self._budget.usage = replace(now, **{name: getattr(now, name) + count for name, count in more.items()})
