"""``separatrix runs`` and ``separatrix report``: what is there, and its pages made again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import NoExplorer, NoFigures
from separatrix.cli._terminal import Terminal


class Format(StrEnum):
    """A report is printed as one of these."""

    HTML = "html"
    JSON = "json"
    MARKDOWN = "md"
    PARQUET = "parquet"


def report(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a finished run.")],
    form: Annotated[
        Format,
        typer.Option("--format", help="html: the page; json: all numbers; md: the text for a model card, or the page without its pictures; "
                            "parquet: orbits.parquet, a row per start."),
    ] = Format.HTML,
    no_figures: NoFigures = False,
    no_explorer: NoExplorer = False,
) -> ExitCode:  # fmt: skip
    """Make the page, the pictures and the tables of a run again, without its model.

    Everything comes from what the run stored: not one map evaluation is made.
    Prints the path of the page, or with --format the numbers or the text.

    [bold]separatrix report runs/my_model-1 --format md[/bold]
    """
    terminal: Terminal = ctx.obj
    from separatrix.runs import add_starts
    from separatrix.runs import report as made_again
    from separatrix.runs._views import REPORT, SUMMARY, as_json

    table_of_starts = add_starts(run) if form is Format.PARQUET else None
    view = made_again(run, figures=not no_figures, explorer=not no_explorer, progress=terminal.progress)
    page = run / REPORT if view.page is not None else None
    if form is Format.PARQUET:
        terminal.line(str(table_of_starts))
    elif form is Format.HTML:
        terminal.line(str(page or run / SUMMARY))
    elif form is Format.JSON:
        terminal.line(as_json(view.summary).decode().rstrip())
    else:
        terminal.line(view.as_markdown())
    terminal.document({**view.summary, "folder": str(run), "report": page and str(page), "exit_code": int(ExitCode.OK)})
    return ExitCode.OK
