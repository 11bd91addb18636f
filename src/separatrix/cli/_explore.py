"""``separatrix explore``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import OUTPUT_PANEL, STARTS, STARTS_PANEL, Data, OverwriteFile, Scale, Seed, Size
from separatrix.cli._parsing import parsed_size, usage_error
from separatrix.cli._place import reserved
from separatrix.cli._tables import heading, labelled
from separatrix.cli._terminal import Terminal


def explore(
    ctx: typer.Context,
    model: ChosenModel,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The .html file to write.", rich_help_panel=OUTPUT_PANEL)
    ] = Path("explorer.html"),
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="MODEL", help="Where MODEL is the folder of a run: the model that it is of."),
    ] = None,
    data: Data = None,
    size: Size = None,
    scale: Scale = None,
    starts: Annotated[
        int | None,
        typer.Option("--starts", min=1, metavar="N", rich_help_panel=STARTS_PANEL,
                     help=f"So many of the data, or draws from N(0, 1); {STARTS} if not given."),
    ] = None,
    without_model: Annotated[
        bool,
        typer.Option("--without-model", rich_help_panel=OUTPUT_PANEL,
                     help="Leave the model out: the page plays orbits that were computed beforehand."),
    ] = False,
    seed: Seed = 0,
    overwrite: OverwriteFile = False,
) -> ExitCode:  # fmt: skip
    """Write a living page: click anywhere in the latent space and watch where the network takes you.

    One HTML file with the model inside, which works from a disk, offline. MODEL may
    also be the folder of a finished run, whose search is then not repeated.

    [bold]separatrix explore my_model.py:load --data images/ -o page.html[/bold]
    [bold]separatrix explore runs/my_model-1 --of my_model.py:load -o page.html[/bold]
    """
    terminal: Terminal = ctx.obj
    if out.suffix not in (".html", ".htm"):
        raise usage_error(ctx, "--out", f"{out.name!r} must end in .html.")
    if out.exists() and not overwrite:
        raise usage_error(ctx, "--out", f"{out} exists; give another name, or --overwrite.")
    is_run = (Path(model.spec) / "manifest.json").is_file()
    if of is not None and not is_run:
        raise usage_error(
            ctx, "--of", f"it says which model a run is of, and {model.spec} is no run; give the model alone."
        )
    for option, value in (("--data", data), ("--starts", starts), ("--size", size), ("--scale", scale)):
        if is_run and value is not None:
            raise usage_error(ctx, option, "a run has its starts already; leave it out.")
    pixels = parsed_size(ctx, size)

    from separatrix import starts as starting
    from separatrix.data import load_images
    from separatrix.runs import explore as explore_model
    from separatrix.runs import explore_run

    place = reserved(ctx, out, kind=None, overwrite=overwrite, reads=(*model.reads, of, data))
    inside, line = not without_model, terminal.progress
    if is_run:
        load = None if of is None else replace(model, spec=of).load
        found = explore_run(model.spec, load, out=place, origin=of or "", model=inside, progress=line)
    else:
        field = model.load()
        images = None if data is None else load_images(data, limit=starts or STARTS, size=pixels, scale=scale)
        source = starting.gaussian(starts or STARTS, seed=seed) if images is None else starting.encoded(images)
        found = explore_model(field, source, out=place, images=images, origin=model.spec, model=inside, progress=line)
    about = found.scene.about
    entries = [
        ("limit sets", f"{len(about['sets']):,}; {about['fates']}"),
        ("model", "inside, tested against Python" if about["graph"] else f"not inside. {about['why_no_model']}"),
        ("size", f"{found.size / 1e6:.2f} MB"),
    ]
    terminal.show(heading("The living page"), labelled(entries), Text(""))
    terminal.line(str(out))
    terminal.document(
        {
            "file": str(out),
            "bytes": found.size,
            "model_inside": about["graph"] is not None,
            "why_no_model": about["why_no_model"] or None,
            "limit_sets": len(about["sets"]),
            "exit_code": int(ExitCode.OK),
        }
    )
    return ExitCode.OK
