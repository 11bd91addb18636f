"""The options that say who computes, once for all commands that compute for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

_PANEL = "Who computes"

Workers = Annotated[
    int,
    typer.Option("--workers", min=1, metavar="N", rich_help_panel=_PANEL,
                 help="Compute in so many processes, each with a copy of the model and one thread; 1 is this process."),
]  # fmt: skip


@contextmanager
def computing(workers: int) -> Iterator[None]:
    """Let everything in the block be computed by so many processes."""
    if workers == 1:
        yield
        return
    from separatrix.engines import Processes, using

    with using(Processes(workers)):
        yield
