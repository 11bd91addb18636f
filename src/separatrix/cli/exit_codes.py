"""The exit codes of every command, in one place."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script may rely on. ``ExitCode.BAD_INPUT.sentence`` is the documentation, ``--help`` prints it.

    >>> int(ExitCode.NOTHING_FOUND), ExitCode.OK.sentence
    (3, 'success')
    """

    sentence: str

    def __new__(cls, value: int, sentence: str) -> ExitCode:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    OK = (0, "success")
    BAD_INPUT = (1, "the input, the model or a file cannot be used; the sentence on stderr says what to do")
    USAGE = (2, "the command line itself is wrong: an unknown option, a missing argument")
    NOTHING_FOUND = (3, "ran to the end, but no orbit reached a limit set")
    BUG = (70, "an error that separatrix did not expect; --traceback shows where")
    INTERRUPTED = (130, "interrupted (Ctrl-C); nothing half-written is left")
