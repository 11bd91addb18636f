"""Every way a command can end, as an exit code and at most one sentence."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._terminal import Terminal
from separatrix.errors import FileError, SeparatrixError

# Typer exports only this subclass of its usage errors; where the class itself lives depends on Typer's version.
_UsageError: type[BaseException] = typer.BadParameter.__mro__[1]


class OneSentenceGroup(TyperGroup):
    """A group whose commands end with one sentence and an exit code, never with a traceback.

    A method of the group, and not a wrapper around the program, so that whoever calls the group goes the same way.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; exits with its code, or returns it with ``standalone_mode=False``."""
        arguments = list(sys.argv[1:] if args is None else args)
        terminal = Terminal.for_arguments(arguments)

        def run() -> Any:
            return super(OneSentenceGroup, self).main(
                arguments,
                prog_name=prog_name,
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                obj=terminal,
                **extra,
            )

        code = guarded(run, terminal)
        if standalone_mode:
            sys.exit(int(code))
        return code


class OneSentenceCommand(TyperCommand):
    """A command that has stdout to itself: a model that prints does not write into the results."""

    def invoke(self, ctx: Any) -> Any:
        """Run it, its arguments parsed."""
        with ctx.find_object(Terminal).alone():
            return super().invoke(ctx)


def guarded(run: Callable[[], Any], terminal: Terminal) -> ExitCode:
    """Run a command to one of the exit codes; what goes wrong is said in one sentence.

    Args:
        run: returns an exit code, or None for success.
        terminal: hears the warnings and says the sentence.
    """
    try:
        with terminal.listening():
            returned = run() or ExitCode.OK
            code = next(known for known in ExitCode if known == returned)
            if code is ExitCode.INTERRUPTED:  # some versions of Typer turn the exception into its code
                raise KeyboardInterrupt
        sys.stdout.flush()
        return code
    except _UsageError as error:
        return _failed(terminal, _usage(error), error, ExitCode.USAGE)
    except SeparatrixError as error:
        return _failed(terminal, str(error), error, ExitCode.BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort) as error:
        sentence = ExitCode.INTERRUPTED.sentence
        return _failed(terminal, f"{sentence[0].upper()}{sentence[1:]}.", error, ExitCode.INTERRUPTED)
    except MemoryError as error:
        words = "The machine ran out of memory; choose a smaller --batch-size or fewer starts."
        return _failed(terminal, words, error, ExitCode.BAD_INPUT)
    except OSError as error:
        if error.filename is not None and error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR):
            words = f"{os.fsdecode(error.filename)} cannot be used ({error.strerror}); give another path."
            return _failed(terminal, words, FileError(words), ExitCode.BAD_INPUT)
        if not _is_about_stdout(error):
            return _failed(terminal, _bug(error, terminal), error, ExitCode.BUG)
        _abandon_stdout()
        if error.errno == errno.EPIPE:  # whoever read our output has seen enough; that is no news
            return ExitCode.BAD_INPUT
        words = f"The output cannot be written ({error.strerror}); send it to a place with room."
        return _failed(terminal, words, FileError(words), ExitCode.BAD_INPUT)
    except Exception as error:
        return _failed(terminal, _bug(error, terminal), error, ExitCode.BUG)


def _failed(terminal: Terminal, sentence: str, error: BaseException, code: ExitCode) -> ExitCode:
    terminal.fail(sentence, error, code)
    try:
        sys.stdout.flush()
    except OSError:  # the exit code is that of the failure, not of what could not be printed about it
        _abandon_stdout()
    return code


def _usage(error: BaseException) -> str:
    """The parser's words as one sentence, with the place where the options are explained."""
    said = error.format_message() if hasattr(error, "format_message") else str(error)
    said = " ".join(said.split()).replace(". Did you mean", "; did you mean")
    if said.endswith("?"):
        return said
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "separatrix"
    return f"{said.rstrip('.')}; {command} --help explains the options."


def _bug(error: Exception, terminal: Terminal) -> str:
    said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
    remedy = (
        "report it with the traceback above" if terminal.traceback else "add --traceback to see where it comes from"
    )
    return (
        f"An error that separatrix did not expect, {type(error).__name__}: {said}; "
        f"this is a bug in separatrix or in the model's code, {remedy}."
    )


def _is_about_stdout(error: OSError) -> bool:
    """Errors of named files have become a FileError long before; a write to a stream carries no file name."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EDQUOT, errno.EBADF)


def _abandon_stdout() -> None:
    """Nothing that is still in the buffer may fail once more when Python ends."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # a stream without a file behind it has no such end
        return
