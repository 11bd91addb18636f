"""``separatrix diff``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import (
    OUTPUT_PANEL,
    STARTS,
    STARTS_PANEL,
    AllowCode,
    Data,
    Device,
    Json,
    LatentShape,
    Overwrite,
    Quiet,
    Scale,
    Seed,
    Set,
    Size,
    Traceback,
)
from separatrix.cli._parsing import parsed_settings, parsed_shape, parsed_size, usage_error
from separatrix.cli._place import reserved
from separatrix.cli._tables import heading, labelled, number, table
from separatrix.cli._terminal import Terminal
from separatrix.words import percent

if TYPE_CHECKING:
    from separatrix.field import LatentField
    from separatrix.studies._comparison import Comparison

_MODELS, _CEILING = "The models", "What to expect of two equal models"
_MOST_ROWS = 30


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
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Save the comparison there, for sx.load_result.", rich_help_panel=OUTPUT_PANEL),
    ] = None,
    overwrite: Overwrite = False,
    _json: Json = False,
    _quiet: Quiet = False,
    _traceback: Traceback = False,
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
    """
    terminal: Terminal = ctx.obj
    shape, pixels = parsed_shape(ctx, latent_shape), parsed_size(ctx, size)
    options = parsed_settings(ctx, settings)
    if (data is None) == (noise is None):
        raise usage_error(
            ctx, "--data", "give images that both models read, or --noise N for the same latent coordinates."
        )
    if size is not None and data is None:
        raise usage_error(ctx, "--size", "there are no images to resize; give --data.")
    if scale is not None and data is None:
        raise usage_error(ctx, "--scale", "there are no images; give --data.")
    if not threshold > 0:
        raise usage_error(ctx, "--threshold", f"it must be positive, not {threshold:g}.")
    if out is not None and out.exists() and not overwrite:
        raise usage_error(ctx, "--out", f"{out} exists; give another name, or --overwrite.")

    from separatrix import starts as starting
    from separatrix.data import load_images
    from separatrix.models import load
    from separatrix.protocol import Protocol
    from separatrix.storage import RESULT, save_result
    from separatrix.studies._comparison import compare

    def loaded(spec: str, weights: str | None) -> LatentField:
        return load(spec, weights=weights, latent_shape=shape, options=options, allow_code=allow_code, device=device)

    reads = (a, b, weights_a, weights_b, data, *(reseeded or ()))
    place = None if out is None else reserved(ctx, out, kind=RESULT, overwrite=overwrite, reads=reads)
    first, second = loaded(a, weights_a), loaded(b, weights_b)
    others = [loaded(a, each) if weights_a is not None else loaded(each, None) for each in reseeded or ()]
    if data is not None:
        source = starting.encoded(load_images(data, limit=starts, size=pixels, scale=scale))
    else:
        source = starting.gaussian(noise or starts, seed=seed)
    names = [weights_a or a, weights_b or b]
    terminal.show(labelled((("A", names[0]), ("B", names[1]), ("starts", source.describe()))))
    found = compare(
        first,
        second,
        source,
        reseeded=others,
        rerun=rerun,
        threshold=threshold,
        protocol=None if max_steps is None else Protocol(max_steps=max_steps),
        seed=seed,
        progress=terminal.progress,
    )
    if place is not None:
        save_result(found, place)
    record = found.to_dict()
    terminal.show(*_views(record), *_pairs(record), *_sentences(found))
    terminal.line(_last_line(record))
    nothing = not (len(found.limits_a) and len(found.limits_b))
    code = ExitCode.NOTHING_FOUND if nothing else ExitCode.OK
    terminal.document({"a": names[0], "b": names[1], **record, "exit_code": int(code)})
    return code


def _views(record: Mapping[str, Any]) -> list[RenderableType]:
    heads = ("attractors compared", "matched", "distance", "random data", "p", "fit r²")
    rows = [
        (
            name,
            f"{view['matched']} of {record['attractors_a']}",
            number(view["mean_distance"], ".3f"),
            number(view["null_mean"], ".3f"),
            number(view["p_value"], ".3f"),
            number(view["fit"], ".3f"),
        )
        for name, view in record["views"].items()
    ]
    return [
        heading("Attractors in shared spaces (distances: 1 is the spread of the shared images or starts)"),
        table(heads, rows),
    ]


def _pairs(record: Mapping[str, Any]) -> list[RenderableType]:
    """The attractors of A, most visited first, and where their starts go in B."""
    rows: list[Sequence[str]] = [
        (
            str(index),
            percent(pair["share"]),
            "–" if pair["partner"] is None else str(pair["partner"]),
            number(pair["similarity"], ".2f"),
        )
        for index, pair in enumerate(record["pairs"][:_MOST_ROWS])
    ]
    if not rows:
        return []
    return [
        heading(f"{record['attractors_a']} attractors of A, {record['attractors_b']} of B"),
        table(("A", "share of starts", "B", "overlap of basins"), rows, words=()),
    ]


def _sentences(found: Comparison) -> list[RenderableType]:
    return [Text(""), *(Text(sentence) for sentence in found.sentences), Text("")]


def _last_line(record: Mapping[str, Any]) -> str:
    return f"agreement of the basins {number(record['ami'], '.3f')}, of equally good models {number(record['ceiling'], '.3f')}"
