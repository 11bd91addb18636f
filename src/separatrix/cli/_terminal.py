"""This file tells where a command's words go: results to stdout, everything else to stderr, JSON instead of both on request."""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from separatrix.cli._remedies import in_command_line_words
from separatrix.cli._results_stream import results_alone
from separatrix.errors import SeparatrixWarning

if TYPE_CHECKING:
    from separatrix.cli._exit_codes import ExitCode
    from separatrix.runs._views import Ended
    from separatrix.work import Progress

_WIDTH_WITHOUT_A_TERMINAL = 120  # columns; nobody is there to widen a window


@dataclass
class Terminal:
    """One run's way of talking.

    Attributes:
        json: one JSON document on stdout, and nothing else there.
        quiet: no progress, no tables, no warnings; only the line that the next command may need.
        traceback: show where an error comes from.
        warnings: what was warned about, for the JSON document.
        stdout: where results go while a command runs; None is `sys.stdout`.
    """

    json: bool = False
    quiet: bool = False
    traceback: bool = False
    warnings: list[str] = field(default_factory=list)
    stdout: TextIO | None = None
    _kept: dict[str, Any] = field(default_factory=dict)
    _told: bool = False  # the one document

    @classmethod
    def for_arguments(cls, arguments: Sequence[str]) -> Terminal:
        """Read from the arguments before they are parsed, so that a mistake in them is reported as asked for."""
        options = arguments[: arguments.index("--")] if "--" in arguments else arguments
        return cls("--json" in options, bool({"--quiet", "-q"} & set(options)), "--traceback" in options)

    @cached_property
    def progress(self) -> Progress:
        """The one line of progress of this command for people who watch; a line now and then for a log."""
        from separatrix.work import Lines, Progress

        if self.quiet or self.json or sys.stderr.isatty():
            return Progress.of(not self.quiet and not self.json)
        return Progress(Lines(partial(print, file=sys.stderr, flush=True)))

    def show(self, *parts: RenderableType) -> None:
        """Tables and sentences for people, on stdout."""
        if not self.json and not self.quiet:
            _console(self.stdout or sys.stdout).print(*parts, markup=False, sep="\n")

    def line(self, text: str) -> None:
        """The one line that stays with ``--quiet``, unbroken and unstyled, for people and for pipes."""
        if not self.json:
            print(text, file=self.stdout, flush=True)

    def document(self, record: Mapping[str, Any]) -> None:
        """The JSON document, if it was asked for; `NaN` in it is an error, because JSON has none."""
        if self.json:
            text = json.dumps({**record, "warnings": self.warnings}, ensure_ascii=False, allow_nan=False, indent=2)
            print(text, file=self.stdout, flush=True)
            self._told = True

    def run(self, found: Ended, code: ExitCode, last: str | None = None) -> None:
        """Print where a run is, its page as the last line or ``last`` after it, and the document of all its numbers; it may have no folder."""
        places = {} if found.report is None else {"folder": str(found.folder), "report": str(found.report)}
        if last is not None and found.report is not None:
            self.show(Text(str(found.report)))
        self.line(last or str(found.report))
        self.document({**found.summary, **places, "seconds": found.seconds, "exit_code": int(code)})

    def keep(self, record: Mapping[str, Any]) -> None:
        """Keep what was found before a failure, to be part of its document: there is only one on stdout."""
        self._kept.update(record)

    def warn(self, sentence: str) -> None:
        """One yellow line on stderr, once."""
        words = in_command_line_words(sentence)
        if words in self.warnings:
            return
        self.warnings.append(words)
        if not self.quiet:
            self._say("warning: ", words, "yellow")

    def fail(self, sentence: str, error: BaseException, code: int) -> None:
        """One sentence on stderr; with ``--json`` also as a document on stdout."""
        words = in_command_line_words(sentence)
        if self.traceback:
            traceback.print_exception(error)
        if self.json and not self._told:
            outcome = {"error": words, "kind": type(error).__name__, "exit_code": int(code), "warnings": self.warnings}
            record = {**outcome, **self._kept}
            with suppress(OSError):  # stdout itself may be what failed; the sentence still goes to stderr
                print(json.dumps(record, ensure_ascii=False, indent=2), flush=True)
        self._say("error: ", words, "bold red")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While a command runs, nobody but this terminal writes to stdout."""
        with results_alone() as ours:
            self.stdout = ours
            try:
                yield
            finally:
                self.stdout = None

    def _say(self, label: str, sentence: str, style: str) -> None:
        """One line however long it is: a sentence that is wrapped cannot be searched for."""
        # Results written so far come first where both streams end in one file.
        with suppress(OSError):
            (self.stdout or sys.stdout).flush()
        # The terminal may be gone, and with it whoever would read this; rich would then exit with a code of its own.
        with suppress(OSError, SystemExit), _above_the_line():
            _console(sys.stderr).print(Text(label, style=style) + Text(sentence), soft_wrap=True)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Python warnings become lines while a command runs."""

        def heard(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            del filename, lineno, file, line  # the sentence is what the user can act on
            words = " ".join(str(message).split())
            self.warn(words if issubclass(category, SeparatrixWarning) else f"{category.__name__}: {words}")

        with warnings.catch_warnings():
            warnings.simplefilter("always", SeparatrixWarning)
            warnings.showwarning = heard
            yield


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _WIDTH_WITHOUT_A_TERMINAL
    return Console(file=stream, width=width, highlight=False)


def _above_the_line() -> AbstractContextManager[None]:
    """The line of progress makes room meanwhile, if there is one: then tqdm has been imported."""
    shown = sys.modules.get("tqdm")
    return nullcontext() if shown is None else shown.tqdm.external_write_mode(sys.stderr)
