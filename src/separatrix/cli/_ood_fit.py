"""``separatrix ood fit``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import OUTPUT_PANEL, NoExplorer, NoFigures, Overwrite, Scale, Seed
from separatrix.cli._parsing import parsed_size, usage_error
from separatrix.cli._place import reserved
from separatrix.cli._tables import heading, labelled, number, table
from separatrix.cli._terminal import Terminal
from separatrix.cli._workers import Computing

if TYPE_CHECKING:
    from separatrix.ood import Detector, SelfCheck

_TRAINING = "The data"


class DetectorKind(StrEnum):
    """Detectors by name."""

    TYPICALITY = "typicality"
    TRAJECTORY = "trajectory"
    KNN = "knn"
    MAHALANOBIS = "mahalanobis"
    RECONSTRUCTION = "reconstruction"
    RESIDUAL = "residual"
    AUTO = "auto"


def fit(
    ctx: typer.Context,
    model: ChosenModel,
    data: Annotated[
        str,
        typer.Option("--data", metavar="SOURCE", rich_help_panel=_TRAINING,
                     help="Images like those the model is for, but not its own training images: a folder, .npy, .npz, idx. "
                     "Half of them calibrate."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder to write.", rich_help_panel=OUTPUT_PANEL)
    ],
    calibration: Annotated[
        str | None,
        typer.Option("--calibration", metavar="SOURCE", rich_help_panel=_TRAINING,
                     help="Calibrate on these instead, and fit on all of --data."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=3, metavar="N", help="At most so many.", rich_help_panel=_TRAINING)
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="H,W", help="Resize all images to this.", rich_help_panel=_TRAINING)
    ] = None,
    scale: Scale = None,
    detector: Annotated[
        DetectorKind, typer.Option("--detector", help="The default is best in the mean over kinds of input that nothing was chosen on; auto: the one that does best on simple inputs (docs/ood.md).")
    ] = DetectorKind.TYPICALITY,
    steps: Annotated[int, typer.Option("--steps", min=1, metavar="N", help="Of every trajectory.")] = 10,
    max_steps: Annotated[
        int | None,
        typer.Option("--max-steps", min=1, metavar="N", help="Budget per orbit in the search for training attractors."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Test all detectors on constant, noise, blurred and negative inputs.")
    ] = True,
    seed: Seed = 0,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", rich_help_panel=OUTPUT_PANEL,
                     help="Also write a folder with a page: the check, the false-alarm rates that can be promised, and the held-out pictures that look least typical."),
    ] = None,
    overwrite: Overwrite = False,
    no_figures: NoFigures = False,
    no_explorer: NoExplorer = False,
    *,
    compute: Computing,
) -> ExitCode:  # fmt: skip
    """Fit a detector on images like the training data, and hold half of them out to calibrate it.

    First every detector is tested on inputs that are simpler than the data; the
    table shows which of them fail at that on this model. The false-alarm rates hold for images
    that the model has [italic]not[/italic] been trained on, so give held-out ones.

    [bold]separatrix ood fit my_model.py:load --data mnist.npz#x_test --out detector[/bold]
    """
    terminal: Terminal = ctx.obj
    pixels = parsed_size(ctx, size)
    if out.exists() and not overwrite:
        raise usage_error(ctx, "--out", f"{out} exists; give another name, or --overwrite.")
    if detector is DetectorKind.AUTO and not check:
        raise usage_error(ctx, "--no-check", "auto chooses by the check; leave it on, or name a --detector.")

    from dataclasses import replace

    from separatrix.data import load_images
    from separatrix.ood._landmarks import SEARCH
    from separatrix.runs import fit as run_fit
    from separatrix.storage import DETECTOR

    reads = (model.spec, *model.given.values(), data, calibration)
    place = reserved(ctx, out, kind=DETECTOR, overwrite=overwrite, reads=reads)
    page = report and reserved(
        ctx, report, kind="separatrix ood fit", overwrite=overwrite, run=True, reads=(*reads, str(out))
    )
    field = model.load()
    images = load_images(data, limit=limit, size=pixels, scale=scale)
    held_out = None if calibration is None else load_images(calibration, limit=limit, size=pixels, scale=scale)
    ctx.with_resource(compute.everything())
    found = run_fit(
        field,
        images,
        place,
        detector.value,
        calibration=held_out,
        steps=steps,
        protocol=None if max_steps is None else replace(SEARCH, max_steps=max_steps),
        check=check,
        seed=seed,
        out=page,
        overwrite=overwrite,
        figures=not no_figures,
        explorer=not no_explorer,
        progress=terminal.progress,
    )
    fitted = found.fitted
    if fitted.check is not None:
        terminal.show(*_checked(fitted.check))
        if fitted.check.recommended != fitted.detector.kind:
            advice = f"This fits {fitted.detector.kind}; on these inputs {fitted.check.recommended} does best (--detector {fitted.check.recommended})"
            best = (
                ", which by itself is no reason to change: see docs/ood.md"
                if detector is DetectorKind.TYPICALITY
                else ""
            )
            terminal.show(Text(f"{advice}{best}."))
    terminal.show(heading("The detector"), labelled(_entries(fitted.detector)), Text(""))
    terminal.run(found, ExitCode.OK, str(out))
    return ExitCode.OK


def _checked(check: SelfCheck) -> list[RenderableType]:
    names = list(next(iter(check.auroc.values())))
    rows = [
        (kind + (" ←" if kind == check.recommended else ""), *(number(row[name].value, ".2f") for name in names))
        for kind, row in check.auroc.items()
    ]
    return [
        heading(
            "AUROC on inputs that are simpler than the data (1 = told apart, 0.5 = chance, below = inverted; ← does best)"
        ),
        table(("detector", *names), rows),
        *(Text(f"  · {finding}", style="dim") for finding in check.findings),
    ]


def _entries(detector: Detector) -> list[tuple[str, str]]:
    count = len(detector.calibrated)
    lost = f"; {detector.lost_in_calibration} could not be scored" if detector.lost_in_calibration else ""
    return [
        ("kind", detector.kind),
        ("calibration", f"{count:,} held-out scores{lost}"),
        ("smallest --fpr", f"{number(1 / (count + 1), '.2g')}: below it no input can be called out"),
    ]
