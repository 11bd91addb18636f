"""The command line: commands parse, call one public function, and print.

Nothing here imports torch before a command runs, so ``--help`` and mistakes in the arguments answer at once.
"""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run ``separatrix`` with the arguments of this process, and exit with an `ExitCode`."""
    from separatrix.cli.app import app

    # What a scheduler or `timeout` sends ends a run as Ctrl-C does: nothing half-written is left.
    signal.signal(signal.SIGTERM, _interrupt)
    app(prog_name="separatrix")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
