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

SERVED = "Without -o: the page is served"


def explore(
    ctx: typer.Context,
    model: ChosenModel,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", rich_help_panel=OUTPUT_PANEL,
                     help="Write one .html file and end; without it the page is served."),
    ] = None,
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="MODEL", help="Where MODEL is the folder of a run: the model that it is of, or the folder of its checkpoints."),
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
                     help="Leave the model out of the file: the page plays orbits that were computed beforehand."),
    ] = False,
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, metavar="N", rich_help_panel=SERVED, help="Of this machine; any free one if not given."),
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", rich_help_panel=SERVED, help="Print the address, and open nothing.")
    ] = False,
    seed: Seed = 0,
    overwrite: OverwriteFile = False,
) -> ExitCode:  # fmt: skip
    """Open a living page: click anywhere in the latent space and watch where the network takes you.

    The page is served to this machine alone, and the model answers from here, any
    model at its full size. It ends with its last page, or with Ctrl-C. The last
    line is its address: who knows it may ask the model.

    With -o it is one HTML file with the model inside, which works from a disk,
    offline. MODEL may also be the folder of a finished run, whose search is then
    not repeated; of a film the page has a slider over the checkpoints.

    [bold]separatrix explore my_model.py:load --data images/[/bold]
    [bold]separatrix explore runs/my_model-1 --of my_model.py:load -o page.html[/bold]
    """
    terminal: Terminal = ctx.obj
    if out is not None and out.suffix not in (".html", ".htm"):
        raise usage_error(ctx, "--out", f"{out.name!r} must end in .html.")
    if out is not None and out.exists() and not overwrite:
        raise usage_error(ctx, "--out", f"{out} exists; give another name, or --overwrite.")
    if out is None and without_model:
        raise usage_error(ctx, "--without-model", "it is about a file; give -o FILE.")
    if out is not None and (port or no_browser):
        raise usage_error(
            ctx, "--port" if port else "--no-browser", "a file is not served; leave it out, or leave -o out."
        )
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
    from separatrix.explorer import require_server, serve
    from separatrix.runs import living, living_run

    place = None if out is None else reserved(ctx, out, kind=None, overwrite=overwrite, reads=(*model.reads, of, data))
    if place is None:
        require_server(port)
    inside, live, line = not without_model, place is None, terminal.progress
    if is_run:
        load = None if of is None else replace(model, spec=of).load
        page = living_run(
            model.spec,
            load,
            checkpoints=of,
            allow_code=model.allow_code,
            origin="" if of is None else replace(model, spec=of).origin,
            model=inside,
            live=live,
            progress=line,
        )
    else:
        field = model.load()
        images = None if data is None else load_images(data, limit=starts or STARTS, size=pixels, scale=scale)
        source = starting.gaussian(starts or STARTS, seed=seed) if images is None else starting.encoded(images)
        page = living(field, source, images=images, origin=model.origin, model=inside, live=live, progress=line)
    about = page.scene.about
    reached = sum(row["share"] is not None for row in about["sets"])
    more = len(about["sets"]) - reached
    sets = (
        "limit sets",
        f"{reached:,}{f', and {more:,} that only points of the plane reach' if more else ''}; {about['fates']}",
    )
    record = {"limit_sets": len(about["sets"]), "exit_code": int(ExitCode.OK)}
    if place is None:

        def ready(url: str) -> None:
            terminal.show(heading("The living page"), labelled([sets, ("model", "here, asked by the page")]), Text(""))
            terminal.line(url)
            terminal.document({"url": url, **record})

        serve(page.scene, page.field, earlier=page.earlier, port=port, browser=not no_browser, ready=ready)
        return ExitCode.OK
    found = page.written(place)
    where = "inside, tested against Python" if about["graph"] else f"not inside. {about['why_no_model']}"
    written = ("size", f"{found.size / 1e6:.2f} MB")
    terminal.show(heading("The living page"), labelled([sets, ("model", where), written]), Text(""))
    terminal.line(str(out))
    terminal.document(
        {
            "file": str(out),
            "bytes": found.size,
            "model_inside": about["graph"] is not None,
            "why_no_model": about["why_no_model"] or None,
            **record,
        }
    )
    return ExitCode.OK
