"""``separatrix film``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import AllowCode, Scale, Seed
from separatrix.cli._parsing import usage_error
from separatrix.cli._place import ExploredOutput
from separatrix.cli._tables import number, table
from separatrix.cli._terminal import Terminal
from separatrix.cli._workers import Computing
from separatrix.words import percent

_TRAINING, _CHECKPOINTS = "Without a folder: a training", "With a folder: its checkpoints"


def film(
    ctx: typer.Context,
    checkpoints: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", show_default=False,
                       help="Checkpoints of a model with two latent numbers, ordered by the last number in their names. "
                       "Without it, a small autoencoder is trained now."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="SOURCE",
                     help="Images: a folder of pictures, .npy, .npz (file.npz#name picks an array), idx. To train on, or to show "
                     "with checkpoints; without it and without a folder, handwritten digits that come with the installation."),
    ] = None,
    scale: Scale = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", rich_help_panel=_CHECKPOINTS,
                     help="path/to/file.py:factory of the module, if the files hold weights only."),
    ] = None,
    allow_code: AllowCode = False,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images.", rich_help_panel=_TRAINING)] = 60,
    channels: Annotated[
        int, typer.Option("--channels", min=1, help="Of the first convolution.", rich_help_panel=_TRAINING)
    ] = 16,
    frames: Annotated[
        int, typer.Option("--frames", min=2, metavar="N", help="At most so many; of a training more of its first epochs.")
    ] = 24,
    resolution: Annotated[
        int, typer.Option("--resolution", min=2, metavar="N", help="Points of the plane along each side.")
    ] = 48,
    seed: Seed = 0,
    *,
    compute: Computing,
    output: ExploredOutput,
) -> ExitCode:  # fmt: skip
    """Show how attractors and basins form while a model is trained: a page with a slider over the epochs.

    The model has two latent numbers, so that its whole latent space is the
    picture. A minute on one core:

    [bold]separatrix film[/bold], then open runs/film-1/report.html.

    With your own checkpoints:

    [bold]separatrix film checkpoints/ --data images.npy --model my_model.py:build[/bold]

    A damaged checkpoint is named and left out. Prints how many sets attract in
    each frame and what happened to them. Writes a folder with report.html,
    summary.json and the film, which can be matched again in Python:
    sx.load_result("DIR/film").rematched(by="points"). For larger latent spaces
    there is no picture; follow them in Python with sx.continuation or, during
    training, sx.DynamicsMonitor.
    """
    terminal: Terminal = ctx.obj
    if checkpoints is not None and data is None:
        raise usage_error(ctx, "--data", "with checkpoints, give the images to show.")
    if checkpoints is None and model is not None:
        raise usage_error(ctx, "--model", "it belongs to a folder of checkpoints; give one.")

    from separatrix.runs import film as run_film

    reads = (None if checkpoints is None else str(checkpoints), data, model)
    place = output.reserved("film", recipe="film", reads=reads)
    ctx.with_resource(compute.everything())
    found = run_film(
        checkpoints,
        data,
        scale=scale,
        model=model,
        allow_code=allow_code,
        epochs=epochs,
        channels=channels,
        frames=frames,
        resolution=resolution,
        out=place,
        overwrite=output.overwrite,
        seed=seed,
        figures=output.figures,
        explorer=output.explorer,
        progress=terminal.progress,
    )
    summary, unit = found.summary, found.film.unit
    rows = [
        (
            number(row[unit], "g"),
            f"{row['sets']}{' (trivial)' if row['trivial'] else ''}",
            percent(row["reached_none"]),
            *(number(value, ".4f") for value in row["errors"].values()),
            ", ".join(row["events"]),
        )
        for row in summary["frames"]
    ]
    heads = (unit, "sets", "reached none", *(f"error, {name}" for name in found.film.errors), "what happened")
    terminal.show(table(heads, rows, words=(len(heads) - 1,)), Text(f"\n{summary['summary']}\n", style="bold"))
    for name, why in summary["left_out"].items():
        terminal.show(Text(f"{name} is left out: {why}", style="yellow"))
    code = ExitCode.OK if any(row["sets"] for row in summary["frames"]) else ExitCode.NOTHING_FOUND
    terminal.run(found, code)
    return code
