"""``separatrix film``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import OUTPUT_PANEL, AllowCode, Json, NoFigures, Quiet, Scale, Seed, Traceback
from separatrix.cli._parsing import usage_error
from separatrix.cli._place import reserved
from separatrix.cli._tables import number, table
from separatrix.cli._terminal import Terminal
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
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The page to write.", rich_help_panel=OUTPUT_PANEL)
    ] = Path("film.html"),
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", rich_help_panel=OUTPUT_PANEL,
                     help="Also save the film there, to be matched again: sx.load_result(DIR).rematched(by=\"points\")."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the page, and an earlier film at --keep.", rich_help_panel=OUTPUT_PANEL)
    ] = False,
    no_figures: NoFigures = False,
    _json: Json = False,
    _quiet: Quiet = False,
    _traceback: Traceback = False,
) -> ExitCode:  # fmt: skip
    """Show how attractors and basins form while a model is trained: a page with a slider over the epochs.

    The model has two latent numbers, so that its whole latent space is the
    picture. A minute on one core:

    [bold]separatrix film[/bold], then open film.html.

    With your own checkpoints:

    [bold]separatrix film checkpoints/ --data images.npy --model my_model.py:build[/bold]

    A damaged checkpoint is named and left out. Prints how many sets attract in
    each frame and what happened to them; with --no-figures that is all. For
    larger latent spaces there is no picture; follow them in Python with
    sx.continuation or, during training, sx.DynamicsMonitor.
    """
    terminal: Terminal = ctx.obj
    if checkpoints is not None and data is None:
        raise usage_error(ctx, "--data", "with checkpoints, give the images to show.")
    if checkpoints is None and model is not None:
        raise usage_error(ctx, "--model", "it belongs to a folder of checkpoints; give one.")
    for option, place in (("--out", None if no_figures else out), ("--keep", keep)):
        if place is not None and place.exists() and not overwrite:
            raise usage_error(ctx, option, f"{place} exists; give another name, or --overwrite.")

    from separatrix.report._film_page import write_film
    from separatrix.storage import RESULT, new_file, save_result
    from separatrix.studies._footage import footage_of_checkpoints, footage_of_training
    from separatrix.studies._training_film import training_film

    reads = (None if checkpoints is None else str(checkpoints), data, model)
    page = None if no_figures else reserved(ctx, out, kind=None, overwrite=overwrite, reads=reads)
    kept = None if keep is None else reserved(ctx, keep, kind=RESULT, overwrite=overwrite, reads=reads)
    with terminal.progress.stage("film", 2) as line:
        if checkpoints is not None and data is not None:
            footage = footage_of_checkpoints(
                checkpoints, data, model=model, limit=frames, scale=scale, allow_code=allow_code
            )
        else:
            footage = footage_of_training(
                data, epochs=epochs, frames=frames, channels=channels, seed=seed, scale=scale, progress=line
            )
        shot = training_film(
            footage.fields,
            footage.shown,
            parameters=footage.parameters,
            unit=footage.unit,
            errors=footage.errors,
            classes=footage.classes,
            resolution=resolution,
            progress=line,
        )
    if kept is not None:
        save_result(shot, kept)
    if page is not None:
        with new_file(page) as building:
            write_film(building, shot, title="How attractors form", subtitle=footage.words)
    story = shot.continuation
    elsewhere = (shot.ids < 0).double().mean(dim=(1, 2)).tolist()
    rows = [
        {
            footage.unit: float(shot.parameter[time]),
            "sets": int(count),
            "trivial": bool(shot.trivial[time]),
            "reached_none": elsewhere[time],
            "errors": {name: float(values[time]) for name, values in shot.errors.items()},
            "events": [
                word for word, when in zip(story.events.words, story.events.time.tolist(), strict=True) if when == time
            ],
        }
        for time, count in enumerate(story.counts.tolist())
    ]
    heads = (footage.unit, "sets", "reached none", *(f"error, {name}" for name in shot.errors), "what happened")
    terminal.show(
        table(
            heads,
            [
                (
                    number(row[footage.unit], "g"),
                    f"{row['sets']}{' (trivial)' if row['trivial'] else ''}",
                    percent(row["reached_none"]),
                    *(number(value, ".4f") for value in row["errors"].values()),
                    ", ".join(row["events"]),
                )
                for row in rows
            ],
            words=(len(heads) - 1,),
        ),
        Text(f"\n{shot.statement}\n", style="bold"),
    )
    for name, why in footage.left_out.items():
        terminal.show(Text(f"{name} is left out: {why}", style="yellow"))
    if page is not None:
        terminal.line(str(out))
    elif terminal.quiet:
        terminal.line(str(shot.statement))
    found = any(row["sets"] for row in rows)
    code = ExitCode.OK if found else ExitCode.NOTHING_FOUND
    terminal.document(
        {
            "page": None if page is None else str(out),
            "frames": rows,
            "code": shot.statement.slug,
            "summary": str(shot.statement),
            "subtitle": footage.words,
            "left_out": dict(footage.left_out),
            "exit_code": int(code),
        }
    )
    return code
