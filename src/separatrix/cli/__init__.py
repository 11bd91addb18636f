"""The command line: commands parse, call one public function, and print.

Nothing here imports torch before a command runs, so ``--help`` and mistakes in the arguments answer at once.
"""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run ``separatrix`` with the arguments of this process, and exit with an `ExitCode`."""
    from separatrix.cli._app import app

    stop_cleanly()
    app(prog_name="separatrix")


def stop_cleanly() -> None:
    """End a run as Ctrl-C does, with nothing half-written left, also when a scheduler or a lost connection ends it.

    A shell starts what it runs in the background with Ctrl-C ignored, and children of such processes inherit that: whoever
    sends the signal all the same means it. Only ``nohup`` means what it says, so a SIGHUP that is ignored stays so.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows knows no SIGHUP
        if number is not None and not (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
