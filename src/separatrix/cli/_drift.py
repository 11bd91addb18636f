"""``separatrix drift``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._drift_edits import HELP, parsed_edits
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import BatchSize, Scale, Seed
from separatrix.cli._parsing import parsed_size, usage_error
from separatrix.cli._place import ExploredOutput, name_of_run
from separatrix.cli._tables import heading, labelled, page_table
from separatrix.cli._terminal import Terminal
from separatrix.words import counted, duration

if TYPE_CHECKING:
    from separatrix.runs import DriftRun

_PICTURES, _WAYS, _BESIDE = "The pictures", "How they are edited", "What is measured beside"


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
    video: Annotated[
        bool, typer.Option("--video", help="They are frames in their order: measure flicker too.", rich_help_panel=_PICTURES)
    ] = False,
    trips: Annotated[
        int, typer.Option("--trips", min=1, metavar="N", help="How often each passes.", rich_help_panel=_WAYS)
    ] = 20,
    edit: Annotated[list[str] | None, typer.Option("--edit", metavar="EDIT", help=HELP, rich_help_panel=_WAYS)] = None,
    bar: Annotated[
        float, typer.Option("--bar", min=1.0, max=100.0, metavar="dB", help="PSNR below which a picture is spoilt.",
                            rich_help_panel=_WAYS)
    ] = 30.0,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="30dB:3", rich_help_panel=_WAYS,
                     help="So many trips must leave 95 % of pictures above so many dB: exits with 0 (they do), 1 (they do not) or 2 "
                     "(cannot say, as with fewer than 72 pictures)."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="MODEL", help="Another model, to be ranked; again for more.", rich_help_panel=_BESIDE),
    ] = None,
    no_remedies: Annotated[
        bool, typer.Option("--no-remedies", help="Leave out other ways to edit.", rich_help_panel=_BESIDE)
    ] = False,
    patterns: Annotated[
        int,
        typer.Option("--patterns", min=0, metavar="N", rich_help_panel=_BESIDE,
                     help="At so many pictures, look for patterns that grow; 0 leaves that out."),
    ] = 1,
    settle: Annotated[
        int,
        typer.Option("--settle", min=0, metavar="STEPS", rich_help_panel=_BESIDE,
                     help="Follow four pictures for so many trips, to see where they end; 0 leaves that out."),
    ] = 0,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    *,
    output: ExploredOutput,
) -> ExitCode:  # fmt: skip
    """How often may a picture pass through this autoencoder before it rots? For whoever edits pictures with one.

    Every edit by latent diffusion sends the whole picture through the
    autoencoder, and the next edit sends the result. Writes a folder with
    report.html (a slider over the trips, what helps, which patterns grow),
    summary.json, an animation to share and the numbers.

    [bold]separatrix drift taef2 --data photos/ --size 256,256[/bold]

    Two models on the same pictures, and a budget for CI:

    [bold]separatrix drift taef2 --against vae.py:load --data photos/ --budget 30dB:3[/bold]
    """
    terminal: Terminal = ctx.obj
    pixels = parsed_size(ctx, size)
    edits = parsed_edits(ctx, edit)
    names = [model.spec, *(against or ())]
    if len(set(names)) < len(names):
        raise usage_error(ctx, "--against", "a model is named twice; compare different ones.")

    from separatrix.data import load_images
    from separatrix.models import load
    from separatrix.runs import drift as run_drift
    from separatrix.studies import EditBudget

    asked = None if budget is None else EditBudget.parsed(budget)
    reads = (*model.reads, data, *(against or ()))
    name = f"drift-{name_of_run(model.spec)}"
    place = output.reserved(name, recipe="drift", reads=reads)
    field = model.load()
    others = {spec: load(spec, allow_code=model.allow_code) for spec in against or ()}
    images = load_images(data, limit=limit, size=pixels, scale=scale)
    terminal.show(labelled((("model", field.title), ("pictures", f"{len(images):,} from {data}"))))
    found = run_drift(
        field,
        images,
        against=others,
        trips=trips,
        edits=edits,
        bar=bar,
        budget=asked,
        remedies=not no_remedies,
        patterns=min(patterns, len(images)),
        settle=settle,
        video=video,
        name=model.spec,
        out=place,
        batch_size=batch_size,
        seed=seed,
        figures=output.figures,
        explorer=output.explorer,
        progress=terminal.progress,
    )
    code = _code(found)
    _show(terminal, found)
    terminal.run(found, code)
    return code


def _code(found: DriftRun) -> ExitCode:
    from separatrix.studies import BudgetDecision

    if found.decision is None:
        return ExitCode.OK
    return {
        BudgetDecision.WITHIN: ExitCode.OK,
        BudgetDecision.EXCEEDED: ExitCode.EXCEEDED,
        BudgetDecision.CANNOT_SAY: ExitCode.CANNOT_SAY,
    }[BudgetDecision(found.decision.code)]


def _show(terminal: Terminal, found: DriftRun) -> None:
    from separatrix.report._drift import bars_table, marks_table
    from separatrix.report._drift_sections import ranking_table, remedy_table

    results = found.results
    terminal.show(
        heading("What is left after each trip"),
        page_table(marks_table(results.drift)),
        heading("How often"),
        page_table(bars_table(results.drift)),
        Text(f"For a model card: {results.drift.badge}"),
    )
    if results.ranking is not None:
        terminal.show(
            heading("Model against model"),
            page_table(ranking_table(results.ranking)),
            Text(str(results.ranking.statement)),
        )
    if results.remedies is not None:
        terminal.show(
            heading(f"What to do about it, on the first {counted(len(results.remedies.usual), 'picture')}"),
            page_table(remedy_table(results.remedies)),
            Text(str(results.remedies.statement)),
        )
    for part in (results.patterns, results.linearised):
        if part is not None:
            terminal.show(Text(part.sentence))
    if results.limits is not None:
        terminal.show(Text(f"Where it ends: {results.limits.fates.sentence}"))
    if results.flicker is not None:
        terminal.show(Text(str(results.flicker.statement)))
    terminal.show(Text(f"\n{found.drift.statement}", style="bold"))
    if found.decision is not None:
        terminal.show(Text(str(found.decision), style="bold"))
    terminal.show(
        Text(f"\n{found.summary['cost']['map']:,} map evaluations, {duration(found.seconds)} in all.", style="dim")
    )
