"""The exit codes of every command, in one place.

Below 64: what was found. From 64 on: why nothing was, by the numbers of ``sysexits.h``, so that the verdict of an audit
cannot be mistaken for a typing error.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """A script may rely on these codes. ``ExitCode.BAD_INPUT.sentence`` is the documentation, ``--help`` prints it.

    >>> int(ExitCode.NOTHING_FOUND), ExitCode.OK.sentence
    (3, 'success; of an audit or a budget of edits: within the budget')
    """

    sentence: str

    def __new__(cls, value: int, sentence: str) -> ExitCode:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    OK = (0, "success; of an audit or a budget of edits: within the budget")
    EXCEEDED = (1, "an audit, or a drift with a budget, ran to the end: the budget is exceeded")
    CANNOT_SAY = (2, "an audit, or a drift with a budget, ran to the end, and cannot say")
    NOTHING_FOUND = (3, "ran to the end, but no start reached a limit set")
    USAGE = (64, "the command line itself is wrong: an unknown option, a missing argument")
    BAD_INPUT = (65, "the input, the model or a file cannot be used; the sentence on stderr says what to do")
    BUG = (70, "an error that separatrix did not expect; --traceback shows where")
    INTERRUPTED = (
        130,
        "interrupted; nothing half-written is left, and a run goes on where it was when its command is given again",
    )
