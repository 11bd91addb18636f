"""``separatrix probe``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import (
    STARTS_PANEL,
    BatchSize,
    Scale,
    Seed,
    Size,
)
from separatrix.cli._parsing import size_of_images, usage_error
from separatrix.cli._place import ExploredOutput, name_of_run
from separatrix.cli._tables import heading, labelled, page_table
from separatrix.cli._terminal import Terminal
from separatrix.cli._workers import Computing
from separatrix.words import duration

if TYPE_CHECKING:
    from separatrix.runs import ProbeRun
    from separatrix.studies import Probe

_IMAGES, _SUSPECTS = "What the dictionary has to code", "What the model may have been trained on"


def probe(
    ctx: typer.Context,
    model: ChosenModel,
    images: Annotated[
        str | None,
        typer.Option("--images", metavar="SOURCE", rich_help_panel=_IMAGES,
                     help="Real images: a folder of pictures, .npy, .npz (file.npz#name picks an array), idx."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="SOURCE", rich_help_panel=_IMAGES,
                     help="Other images, for the controls that need data; half of --images is set aside if not given."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=4, metavar="N", help="At most so many of each.", rich_help_panel=_IMAGES)
    ] = 500,
    size: Size = None,
    scale: Scale = None,
    draws: Annotated[
        int,
        typer.Option("--draws", min=1, metavar="N", rich_help_panel=_IMAGES,
                     help="Draws of the noise that are pooled: with few atoms another draw may say otherwise."),
    ] = 1,
    suspects: Annotated[
        str | None,
        typer.Option("--suspects", metavar="SOURCE", rich_help_panel=_SUSPECTS,
                     help="Images that it may have been trained on: compared with every decoded attractor."),
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option("--held-out", metavar="SOURCE", rich_help_panel=_SUSPECTS,
                     help="Images from the same source that it never saw; without them there is no verdict."),
    ] = None,
    noise: Annotated[
        int | None,
        typer.Option("--noise", min=1, metavar="N", rich_help_panel=STARTS_PANEL,
                     help="Draws from N(0, 1) per coordinate; as many as latent dimensions if not given, at most 1000, "
                          "without --images at least 256."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, metavar="N", rich_help_panel=STARTS_PANEL,
                     help="Take the end points after N steps and search for no attractor: for large fields that never settle."),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option("--max-steps", min=1, metavar="N", help="Budget per orbit of the search.", rich_help_panel=STARTS_PANEL),
    ] = None,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    *,
    compute: Computing,
    output: ExploredOutput,
) -> ExitCode:  # fmt: skip
    """What is stored in the weights? Noise is iterated, and where it ends is decoded and looked at. No data needed.

    Writes a folder with report.html, summary.json and what was found: a contact
    sheet of the decoded attractors, which of them look like images (decoded noise
    may do so too), and what cannot be concluded.

    [bold]separatrix probe my_model.py:load[/bold]

    With images the attractors are a dictionary: how few of them code a real
    latent? That is compared, image by image, with a random basis, the noise
    itself, f applied once, an untrained copy, and real latents. The headline
    follows these controls: beating a random basis alone shows nothing about
    attractors, because one step of f may do as well.

    [bold]separatrix probe my_model.py:load --images photos/ --size 32,32[/bold]

    A large field that never settles, with end points instead of attractors:

    [bold]separatrix probe taef2 --latent-shape 32,4,4 --images photos/ --size 32,32 --steps 100[/bold]
    """
    terminal: Terminal = ctx.obj
    pixels = size_of_images(ctx, size, scale, {"--images": images, "--suspects": suspects})
    if reference is not None and images is None:
        raise usage_error(ctx, "--reference", "it goes with the images to be coded; give --images too.")
    if draws > 1 and images is None:
        raise usage_error(ctx, "--draws", "several draws are pooled over the images to be coded; give --images too.")
    if held_out is not None and suspects is None:
        raise usage_error(ctx, "--held-out", "it is compared with the suspects; give --suspects too.")
    if steps is not None and (max_steps is not None or suspects is not None):
        other = "--max-steps" if max_steps is not None else "--suspects"
        raise usage_error(ctx, "--steps", f"it takes the place of a search, which {other} needs; give one of them.")

    from dataclasses import replace

    from separatrix.data import load_images
    from separatrix.protocol import Protocol
    from separatrix.runs import probe as run_probe

    reads = (*model.reads, images, reference, suspects, held_out)
    place = output.reserved(name_of_run(model.spec), recipe="probe", reads=reads)
    field = model.load()
    known = {
        name: None if source is None else load_images(source, limit=most, size=pixels, scale=scale)
        for name, source, most in (
            ("images", images, limit),
            ("reference", reference, limit),
            ("suspects", suspects, None),
            ("held_out", held_out, None),
        )
    }
    terminal.show(labelled((("model", field.title),)))
    ctx.with_resource(compute.everything())
    found = run_probe(
        field,
        known["images"],
        starts=noise,
        steps=steps,
        draws=draws,
        protocol=Protocol() if max_steps is None else replace(Protocol(), max_steps=max_steps),
        reference=known["reference"],
        suspects=known["suspects"],
        held_out=known["held_out"],
        out=place,
        batch_size=batch_size,
        seed=seed,
        figures=output.figures,
        explorer=output.explorer,
        progress=terminal.progress,
    )
    code = ExitCode.OK if found.reached or steps is not None else ExitCode.NOTHING_FOUND
    _show(terminal, found)
    terminal.run(found, code)
    return code


def _show(terminal: Terminal, found: ProbeRun) -> None:
    """Show what became of the noise, what it looks like, what it is worth."""
    terminal.show(labelled((("noise", found.found.fates.words),)))
    seen = found.appearance
    if seen is None:
        terminal.show(Text("\nThe decoder makes no images, so there is nothing to look at."))
    else:
        terminal.show(heading("What noise ends on"), Text(str(seen.statement)))
        if seen.resemblance is not None:
            terminal.show(Text(str(seen.resemblance.statement), style="bold"))
        terminal.show(
            Text("What cannot be concluded:", style="dim"),
            *(Text(f"  · {reason}", style="dim") for reason in seen.cannot),
        )
    if found.probe is not None:
        _show_probe(terminal, found.probe)
    terminal.show(
        Text(
            f"\n{found.summary['cost']['map']:,} map evaluations for the noise, {duration(found.seconds)} in all.",
            style="dim",
        )
    )


def _show_probe(terminal: Terminal, found: Probe) -> None:
    from separatrix.report._probe import dictionary_table

    terminal.show(
        heading(
            f"{len(found):,} images coded with few atoms: share of the latent not coded, squared error of the image"
        ),
        page_table(dictionary_table(found), without=("distinct", "directions")),
        Text("How many atoms of each differ, and how many directions they fill, is on the page.", style="dim"),
        *(Text(reason, style="dim") for reason in (*found.reasons, *found.absent)),
        Text(f"\n{found.statement}", style="bold"),
    )
