"""``separatrix diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import (
    STARTS,
    STARTS_PANEL,
    AllowCode,
    Data,
    Device,
    LatentShape,
    Scale,
    Seed,
    Set,
    Size,
)
from separatrix.cli._parsing import parsed_settings, parsed_shape, size_of_images, usage_error
from separatrix.cli._place import ExploredOutput, name_of_run
from separatrix.cli._tables import heading, labelled, number, page_table
from separatrix.cli._terminal import Terminal
from separatrix.cli._workers import Computing

if TYPE_CHECKING:
    from separatrix.field import LatentField
    from separatrix.studies import Comparison

_MODELS, _CEILING = "The models", "What to expect of two equal models"


def diff(
    ctx: typer.Context,
    a: Annotated[
        str, typer.Argument(metavar="A", show_default=False, help="A model, as for [bold]separatrix attractors[/bold].")
    ],
    b: Annotated[str, typer.Argument(metavar="B", show_default=False, help="Another one.")],
    weights_a: Annotated[
        str | None, typer.Option("--weights-a", metavar="FILE", help="Weights for A.", rich_help_panel=_MODELS)
    ] = None,
    weights_b: Annotated[
        str | None, typer.Option("--weights-b", metavar="FILE", help="Weights for B.", rich_help_panel=_MODELS)
    ] = None,
    latent_shape: LatentShape = None,
    settings: Set = None,
    allow_code: AllowCode = False,
    device: Device = None,
    data: Data = None,
    size: Size = None,
    scale: Scale = None,
    noise: Annotated[
        int | None,
        typer.Option("--noise", min=1, metavar="N", rich_help_panel=STARTS_PANEL,
                     help="Start from N draws from N(0, 1) instead: only for models with the same latent coordinates."),
    ] = None,
    starts: Annotated[
        int, typer.Option("--starts", min=2, metavar="N", help="At most so many of the data.", rich_help_panel=STARTS_PANEL)
    ] = STARTS,
    reseeded: Annotated[
        list[str] | None,
        typer.Option("--reseeded", metavar="MODEL", rich_help_panel=_CEILING,
                     help="A model trained like A from another seed, or with --weights-a the weights of one; again for more."),
    ] = None,
    rerun: Annotated[
        bool,
        typer.Option("--rerun/--no-rerun", rich_help_panel=_CEILING,
                     help="Search A twice, the second time in another order, to see how far it agrees with itself."),
    ] = True,
    threshold: Annotated[
        float,
        typer.Option("--threshold", metavar="SPREADS", help="Two attractors nearer than this are the same."),
    ] = 0.25,
    max_steps: Annotated[int | None, typer.Option("--max-steps", min=1, metavar="N", help="Budget per orbit.")] = None,
    seed: Seed = 0,
    *,
    compute: Computing,
    output: ExploredOutput,
) -> ExitCode:  # fmt: skip
    """Compare two models through their dynamics: checkpoints, a quantised copy, a fine-tune, another seed.

    Do the same images end together in both? And are the attractors the same,
    once the two latent spaces are aligned on shared images?

    Two saved models:

    [bold]separatrix diff before.safetensors after.safetensors --data test.npy[/bold]

    Two checkpoints of one factory, and what another seed would give:

    [bold]separatrix diff my_model.py:build my_model.py:build --weights-a a.pt[/bold]
    [bold]    --weights-b b.pt --reseeded c.pt --data test.npy[/bold]

    Agreement is adjusted for chance: 1 is the same partition of the images, 0
    what shuffled labels give. Read it beside what equally good models reach: that
    is below 1 if A does not agree with itself or with another run of its recipe.

    Writes a folder with report.html, summary.json, every search, and the
    comparison: sx.load_result("DIR/comparison").
    """
    terminal: Terminal = ctx.obj
    shape, pixels = parsed_shape(ctx, latent_shape), size_of_images(ctx, size, scale, {"--data": data})
    options = parsed_settings(ctx, settings)
    if (data is None) == (noise is None):
        raise usage_error(
            ctx, "--data", "give images that both models read, or --noise N for the same latent coordinates."
        )
    if not threshold > 0:
        raise usage_error(ctx, "--threshold", f"it must be positive, not {threshold:g}.")

    from separatrix import starts as starting
    from separatrix.data import load_images
    from separatrix.models import load
    from separatrix.protocol import Protocol
    from separatrix.runs import diff as run_diff

    def loaded(spec: str, weights: str | None) -> LatentField:
        return load(spec, weights=weights, latent_shape=shape, options=options, allow_code=allow_code, device=device)

    reads = (a, b, weights_a, weights_b, data, *(reseeded or ()))
    names = (weights_a or a, weights_b or b)
    name = f"diff-{'-'.join(map(name_of_run, names))}"
    place = output.reserved(name, recipe="diff", reads=reads)
    first, second = loaded(a, weights_a), loaded(b, weights_b)
    others = [loaded(a, each) if weights_a is not None else loaded(each, None) for each in reseeded or ()]
    if data is not None:
        source = starting.encoded(load_images(data, limit=starts, size=pixels, scale=scale))
    else:
        source = starting.gaussian(noise or starts, seed=seed)
    terminal.show(labelled((("A", names[0]), ("B", names[1]), ("starts", source.describe()))))
    ctx.with_resource(compute.everything())
    found = run_diff(
        first,
        second,
        source,
        names=names,
        reseeded=others,
        rerun=rerun,
        threshold=threshold,
        protocol=None if max_steps is None else Protocol(max_steps=max_steps),
        out=place,
        overwrite=output.overwrite,
        seed=seed,
        figures=output.figures,
        explorer=output.explorer,
        progress=terminal.progress,
    )
    terminal.show(*_tables(found.comparison), Text(""), *map(Text, found.comparison.sentences), Text(""))
    nothing = not (found.summary["attractors_a"] and found.summary["attractors_b"])
    code = ExitCode.NOTHING_FOUND if nothing else ExitCode.OK
    ami, ceiling = (number(found.summary[key], ".3f") for key in ("ami", "ceiling"))
    terminal.run(found, code, last=f"agreement of the basins {ami}, of equally good models {ceiling}")
    return code


def _tables(found: Comparison) -> list[RenderableType]:
    from separatrix.report._difference import pair_table, view_table

    counts = f"{len(found.limits_a)} attractors of A, {len(found.limits_b)} of B"
    return [
        heading("Attractors in shared spaces (distances: 1 is the spread of the shared images or starts)"),
        page_table(view_table(found)),
        *((heading(counts), page_table(pair_table(found))) if len(found) else ()),
    ]
