"""One line of progress for everything that a function or a command does: what it is doing, how far, how fast, how long still.

A `Progress` is handed down through all functions. Each of them opens a *stage*, and a stage inside another one moves the
same line: nobody has to know whether somebody else is already showing something.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol as Interface

from tqdm.auto import tqdm

from separatrix.words import duration, percent

FIRST_LINE = 60.0  # seconds


@dataclass(frozen=True)
class Moment:
    """The state of the work at one moment.

    Attributes:
        stages: names of the open stages, the outermost first.
        done: how much of the innermost stage is done, in its own units.
        total: how much that stage has at most; None where nobody knows.
        fraction: share of the whole, between 0 and 1; it never falls.
    """

    stages: tuple[str, ...]
    done: float
    total: float | None
    fraction: float


class Sink(Interface):
    """Whoever shows the progress: a bar, a log, or a test that remembers."""

    def show(self, moment: Moment) -> None:
        """The work has come this far."""

    def close(self) -> None:
        """The outermost stage is over."""


@dataclass
class _Stage:
    name: str
    total: float | None
    worth: float
    done: float = 0.0


class Progress:
    """The progress of one piece of work, shown by one sink.

    The share of the whole is the sum over the stages: a stage of ``total`` 4 in which 2 are done and a third is half done
    stands at 5/8. So it never falls, and it is an honest share of the *stages*, not of the time; a stage without a total adds
    its share when it ends.

    Args:
        sink: shows the moments; None shows nothing.

    >>> progress = Progress(sink=None)
    >>> with progress.stage("audit", total=2):
    ...     with progress.stage("orbits", total=100):
    ...         progress.advance(50)
    ...         progress.fraction
    0.25
    """

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._open: list[_Stage] = []
        self._watching: list[Sink] = []
        self.fraction = 0.0

    @classmethod
    def of(cls, progress: bool | Progress) -> Progress:
        """Return what a ``progress`` argument asks for: a bar for True, silence for False, or the line that is there already."""
        if isinstance(progress, Progress):
            return progress
        return cls(Bar() if progress else None)

    @contextmanager
    def stage(self, name: str, total: float | None = None, *, worth: float = 1.0) -> Iterator[Progress]:
        """Open a stage: ``name`` says what is being done, ``total`` how many units it has at most.

        When it ends, the stage around it has advanced by ``worth``.
        """
        if not self._open:
            self.fraction = 0.0
        outermost = _under_way.get() is None
        if outermost:
            _under_way.set(self)
        self._open.append(_Stage(name, total, worth))
        self._show()
        try:
            yield self
        finally:
            if outermost:
                _under_way.set(None)
            ended = self._open.pop()
            if self._open:
                self._open[-1].done += ended.worth
                self._show()
            elif self._sink is not None:
                self._sink.close()

    def advance(self, units: float = 1) -> None:
        """Count ``units`` more of the innermost stage as done; outside of all stages nothing is counted."""
        if self._open:
            self._open[-1].done += units
            self._show()

    def _show(self) -> None:
        share = 0.0
        for stage, inner in zip(
            reversed(self._open), [0.0, *(each.worth for each in reversed(self._open))], strict=False
        ):
            share = min((stage.done + inner * share) / stage.total, 1.0) if stage.total else 0.0
        self.fraction = max(self.fraction, share)
        for sink in (self._sink, *self._watching):
            if sink is not None:
                innermost = self._open[-1]
                names = tuple(stage.name for stage in self._open)
                sink.show(Moment(names, innermost.done, innermost.total, self.fraction))


_under_way: ContextVar[Progress | None] = ContextVar("separatrix progress", default=None)


@contextmanager
def watched_by(sink: Sink) -> Iterator[None]:
    """Show the moments of the work that is under way to this sink too, while the block lasts.

    >>> class Last:
    ...     def show(self, moment):
    ...         self.moment = moment
    >>> progress, last = Progress(sink=None), Last()
    >>> with progress.stage("orbits", total=4), watched_by(last):
    ...     progress.advance(1)
    ...     last.moment.fraction
    0.25
    """
    progress = _under_way.get()
    if progress is None:
        yield
        return
    progress._watching.append(sink)
    try:
        yield
    finally:
        progress._watching.remove(sink)


SILENT = Progress(sink=None)
"""Progress that nobody sees."""


class Bar:
    """The sink of the library: one tqdm line, in a terminal or a notebook, that disappears when the work is done."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._stages: tuple[str, ...] = ()
        self._begun, self._done_then = 0.0, 0.0

    def show(self, moment: Moment) -> None:
        """Draw the line anew, ten times a second at most; at once where a stage begins."""
        if self._bar is None:
            line = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed}, {remaining} left{postfix}"
            self._bar = tqdm(total=1.0, bar_format=line, leave=False, smoothing=0, miniters=0, dynamic_ncols=True)
        now = time.monotonic()
        changed = moment.stages != self._stages
        if changed:
            self._stages, self._begun, self._done_then = moment.stages, now, moment.done
        per_second = (moment.done - self._done_then) / max(now - self._begun, 1e-3)
        self._bar.set_description_str(words_of(moment), refresh=False)
        self._bar.set_postfix_str(f"{per_second:,.1f}/s" if moment.done > self._done_then else "", refresh=False)
        self._bar.update(moment.fraction - self._bar.n)
        if changed:
            self._bar.refresh()

    def close(self) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._stages = None, ()


class Lines:
    """The sink where nobody watches, such as a log of a job: a plain line after a minute, and then ever more rarely.

    Args:
        write: takes a line.
        clock: seconds.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._begun: float | None = None
        self._next = 0.0

    def show(self, moment: Moment) -> None:
        """Write how far the work is, if it is time."""
        now = self._clock()
        if self._begun is None:
            self._begun, self._next = now, now + FIRST_LINE
        if now < self._next:
            return
        spent = now - self._begun
        self._next = now + max(FIRST_LINE, spent / 10)
        self._write(f"{words_of(moment)}; {percent(moment.fraction)} of all stages after {duration(spent)}")

    def close(self) -> None:
        """The next work has a minute of its own."""
        self._begun = None


def words_of(moment: Moment) -> str:
    """Return what is being done, and how many of how many.

    >>> words_of(Moment(("audit", "search", "following orbits"), 312, 1000, 0.2))
    'audit, following orbits: 312/1,000'
    >>> words_of(Moment(("scoring",), 0, None, 0.0))
    'scoring'
    """
    name = ", ".join(dict.fromkeys((moment.stages[0], moment.stages[-1])))
    if moment.total is None:
        return f"{name}: {moment.done:,.0f}" if moment.done else name
    return f"{name}: {moment.done:,.0f}/{moment.total:,.0f}"
