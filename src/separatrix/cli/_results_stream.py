"""stdout for our own results alone: whatever a model or a library writes there meanwhile goes to stderr."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

_STDOUT = 1  # what code that is not Python writes to


@contextmanager
def results_alone() -> Iterator[TextIO]:
    """A stream to the stdout of before; in the block `print` and writes to file descriptor 1, of C code and of children, go to stderr.

    Where `sys.stdout` is no file, as in a notebook or under a test runner, only Python's own writes are led away.
    """
    given = sys.stdout
    given.flush()
    if not _is_the_process_stdout(given):
        with redirect_stdout(sys.stderr):
            yield given
        return
    kept = os.dup(_STDOUT)
    ours = open(os.dup(kept), "w", encoding=given.encoding, errors=given.errors)  # noqa: SIM115  # closed below
    try:
        os.dup2(sys.stderr.fileno(), _STDOUT)
        with redirect_stdout(sys.stderr):
            yield ours
        ours.flush()
    except BaseException:
        # What cannot be written must not fail once more when the stream is closed.
        with suppress(OSError):
            ours.flush()
        raise
    finally:
        _flush_others(given)
        os.dup2(kept, _STDOUT)
        os.close(kept)
        with suppress(OSError):
            ours.close()


def _is_the_process_stdout(stream: TextIO) -> bool:
    try:
        return stream.fileno() == _STDOUT and sys.stderr.fileno() >= 0
    except (OSError, ValueError):  # a stream without a file behind it
        return False


def _flush_others(given: TextIO) -> None:
    """Flush what others have buffered for stdout while it still leads to stderr: Python's own buffer, and that of C."""
    for stream in (given, sys.__stdout__):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)
