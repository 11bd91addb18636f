"""The command line: commands parse, call one public function, and print.

Nothing here imports torch before a command runs, so ``--help`` and mistakes in the arguments answer at once.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run ``separatrix`` with the arguments of this process, and exit with an `ExitCode`."""
    from separatrix.cli.app import app

    app(prog_name="separatrix")
