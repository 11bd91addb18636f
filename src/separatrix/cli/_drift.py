"""``separatrix drift``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import BatchSize, Scale, Seed
from separatrix.cli._parsing import parsed_size
from separatrix.cli._place import RunOutput, name_of_run
from separatrix.cli._tables import heading, labelled, page_table
from separatrix.cli._terminal import Terminal
from separatrix.words import duration

_PICTURES = "The pictures"


def drift(
    ctx: typer.Context,
    model: ChosenModel,
    data: Annotated[
        str,
        typer.Option("--data", metavar="SOURCE", rich_help_panel=_PICTURES, show_default=False,
                     help="Pictures: a folder of them, .npy, .npz (file.npz#name picks an array), idx."),
    ],
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most so many.", rich_help_panel=_PICTURES)
    ] = 200,
    size: Annotated[
        str | None, typer.Option("--size", metavar="H,W", help="Resize all pictures to this.", rich_help_panel=_PICTURES)
    ] = None,
    scale: Scale = None,
    trips: Annotated[int, typer.Option("--trips", min=1, metavar="N", help="How often each picture passes.")] = 20,
    bar: Annotated[
        float, typer.Option("--bar", min=0.0, max=100.0, metavar="dB", help="PSNR below which a picture is spoilt.")
    ] = 30.0,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    *,
    output: RunOutput,
) -> ExitCode:  # fmt: skip
    """How often may a picture pass through this autoencoder before it rots? For whoever edits pictures with one.

    Every edit by latent diffusion sends the whole picture through the
    autoencoder, and the next edit sends the result. Writes a folder with
    report.html (a slider over the trips), summary.json and the numbers.

    [bold]separatrix drift taef2 --data photos/ --size 256,256[/bold]
    """
    terminal: Terminal = ctx.obj
    pixels = parsed_size(ctx, size)

    from separatrix.data import load_images
    from separatrix.runs import drift as run_drift

    reads = (*model.reads, data)
    name = f"drift-{name_of_run(model.spec)}"
    place = output.reserved(name, recipe="drift", reads=reads)
    field = model.load()
    images = load_images(data, limit=limit, size=pixels, scale=scale)
    terminal.show(labelled((("model", field.title), ("pictures", f"{len(images):,} from {data}"))))
    found = run_drift(
        field,
        images,
        trips=trips,
        bar=bar,
        name=model.spec,
        out=place,
        batch_size=batch_size,
        seed=seed,
        figures=output.figures,
        progress=terminal.progress,
    )

    from separatrix.report._drift import marks_table

    terminal.show(
        heading("What is left after each trip"),
        page_table(marks_table(found.drift)),
        Text(f"\n{found.drift.statement}", style="bold"),
        Text(f"\n{found.summary['cost']['map']:,} map evaluations, {duration(found.seconds)} in all.", style="dim"),
    )
    terminal.run(found, ExitCode.OK)
    return ExitCode.OK
