"""``separatrix ood score``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._ood_options import Folder, Fpr, parsed_rate
from separatrix.cli._options import OUTPUT_PANEL, NoExplorer, NoFigures, Scale
from separatrix.cli._place import reserved
from separatrix.cli._tables import heading, labelled, number
from separatrix.cli._terminal import Terminal
from separatrix.cli._workers import Computing
from separatrix.words import percent

if TYPE_CHECKING:
    from separatrix.ood._score_run import ScoreRun


def score(
    ctx: typer.Context,
    detector: Folder,
    model: ChosenModel,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES…", show_default=False,
                       help="Folders of pictures, with folders in them if need be, and shards (.tar, .parquet, or folders of them), here or at a URL "
                       "such as s3://bucket/shards; or one .npy, .npz, idx."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", rich_help_panel=OUTPUT_PANEL,
                     help="The table: .csv, or .parquet or .arrow (these need pyarrow)."),
    ],
    fpr: Fpr = "0.01",
    resize: Annotated[bool, typer.Option("--resize", help="Bring pictures to the size that the detector was fitted on.")] = False,
    scale: Scale = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", rich_help_panel=OUTPUT_PANEL,
                     help="Also write a folder with a page: the scores beside their calibration, the highest ones as pictures, and those "
                     "without one."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Compute everything anew.", rich_help_panel=OUTPUT_PANEL)
    ] = False,
    no_figures: NoFigures = False,
    no_explorer: NoExplorer = False,
    *,
    compute: Computing,
) -> ExitCode:  # fmt: skip
    """Score pictures and decide on each: in, out, or unscorable.

    The table has one row per picture: file, score, p_value, decision. What is scored
    is kept in FILE.partial-… while it runs. After an interruption the same command
    goes on; after new files arrive it scores only those; with another --fpr it decides
    anew without scoring. A file that cannot be decoded is unscorable, and named; so is
    a picture of another size than the detector's, unless all have it or --resize.

    [bold]separatrix ood score detector my_model.py:load photos/ --out scores.csv --fpr 0.01[/bold]

    [bold]separatrix ood score detector my_model.py:load shards/*.tar --out scores.csv --workers 2[/bold]
    """
    terminal: Terminal = ctx.obj
    rate = parsed_rate(ctx, fpr)

    from separatrix.ood import Detector, load_detector
    from separatrix.ood._score_table import require_format
    from separatrix.runs import score as run_score

    require_format(out)
    reads = (model.spec, *model.given.values(), detector, *images)
    place = reserved(ctx, out, kind=None, overwrite=True, reads=reads)  # a table of these images is gone on with
    page = report and reserved(
        ctx, report, kind="separatrix ood", overwrite=overwrite, run=True, reads=(*reads, str(out))
    )
    field = model.load()
    known = load_detector(detector, field, kind=Detector)  # type: ignore[type-abstract]
    ctx.with_resource(compute.everything())
    try:
        found = run_score(
            known,
            images,
            place,
            fpr=rate,
            resize=resize,
            scale=scale,
            out=page,
            overwrite=overwrite,
            figures=not no_figures,
            explorer=not no_explorer,
            progress=terminal.progress,
        )
    except KeyboardInterrupt:
        terminal.warn(f"What was scored is kept beside {out}; the same command goes on from there.")
        raise
    run = found.scores
    if run.broken:
        first, reason = next(iter(run.broken.items()))
        terminal.warn(f"{len(run.broken)} of {len(run.names)} files are unscorable: {first} and others ({reason})"
                      if len(run.broken) > 1 else f"{first} is unscorable: {reason}")  # fmt: skip
    terminal.show(heading("Decisions"), labelled(_entries(run)))
    terminal.run(found, ExitCode.OK, str(out))
    return ExitCode.OK


def _entries(run: ScoreRun) -> list[tuple[str, str]]:
    total = len(run.names)
    out, lost = int(run.decisions.is_ood.sum()), int(run.decisions.unscorable.sum())
    between = run.decisions.between
    interval = (
        ""
        if between is None
        else f" (these calibration scores promise {number(between[0], '.2g')} to {number(between[1], '.2g')}, with 95 % confidence)"
    )
    entries = [
        ("out", f"{out:,} of {total:,} ({percent(out / max(total, 1))})"),
        ("in", f"{total - out - lost:,}"),
        ("unscorable", f"{lost:,}"),
        ("promised", f"{number(run.decisions.rate)} of the inputs like the held-out images are called out{interval}"),
    ]
    return entries + ([("known before", f"{run.reused:,} scores, not computed again")] if run.reused else [])
