"""``separatrix copy``: a finished run to an object store, and back."""

from __future__ import annotations

from typing import Annotated

import typer

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import Overwrite
from separatrix.cli._terminal import Terminal


def copy(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", show_default=False, help="A finished run: its folder or URL.")],
    place: Annotated[
        str, typer.Argument(metavar="PLACE", show_default=False, help="Where it goes: s3://BUCKET/NAME, or a folder.")
    ],
    overwrite: Overwrite = False,
) -> ExitCode:  # fmt: skip
    """Copy a finished run to an object store, or from there to a folder.

    It is complete in its new place, or not there: a copy that was killed is
    completed when the command is given again. Prints where it is.

    [bold]separatrix copy runs/my_model-1 s3://my-bucket/my_model-1[/bold]

    Credentials and the server come from the surroundings (AWS_ACCESS_KEY_ID,
    AWS_PROFILE, AWS_ENDPOINT_URL and so on).
    """
    terminal: Terminal = ctx.obj
    from separatrix.runs import copy as copied

    copied(run, place, overwrite=overwrite)
    terminal.line(place)
    terminal.document({"run": place, "exit_code": int(ExitCode.OK)})
    return ExitCode.OK
