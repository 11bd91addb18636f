"""``separatrix ood monitor``."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._ood_options import Folder, Fpr, parsed_rate
from separatrix.cli._options import AllowCode, Decoder, Device, LatentShape, Scale, Set, Weights
from separatrix.cli._parsing import usage_error
from separatrix.cli._place import reserved
from separatrix.cli._tables import heading, number, table
from separatrix.cli._terminal import Terminal

if TYPE_CHECKING:
    from separatrix.field import LatentField
    from separatrix.ood._watch import Reading

_IMAGES = "A stream of images"
_MOST_ROWS = 20


def monitor(
    ctx: typer.Context,
    detector: Folder,
    source: Annotated[
        str,
        typer.Argument(metavar="SCORES", show_default=False,
                       help="A table of separatrix ood score; - for such lines on standard input; with --model a folder of "
                       "pictures or an array, which is scored now."),
    ],
    fpr: Fpr = "0.01",
    delta: Annotated[
        float, typer.Option("--delta", metavar="δ", help="Probability of crying although nothing has changed, however long.")
    ] = 0.05,
    every: Annotated[int, typer.Option("--every", min=1, metavar="N", help="Inputs per reading.")] = 1000,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE",
                     help="Go on from these counts, and keep them there, for a stream in several sittings."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="The detector's model, to score images.", rich_help_panel=_IMAGES),
    ] = None,
    resize: Annotated[
        bool,
        typer.Option("--resize", help="Bring pictures to the size that the detector was fitted on.", rich_help_panel=_IMAGES),
    ] = False,
    scale: Scale = None,
    weights: Weights = None,
    latent_shape: LatentShape = None,
    decoder: Decoder = None,
    settings: Set = None,
    allow_code: AllowCode = False,
    device: Device = None,
) -> ExitCode:  # fmt: skip
    """Compare the alarms on a stream with the rate that was promised, and say when chance no longer explains them.

    May be read after every block, for ever: on a stream like the training data it
    cries with probability at most --delta in all. Inputs count in the order of the
    table. Exit code 1 if it cries, 2 if there was no scorable input.

    [bold]separatrix ood monitor detector scores.csv --fpr 0.01[/bold]
    [bold]tail -n +1 -f scores.csv | separatrix ood monitor detector - --every 100[/bold]
    """
    terminal: Terminal = ctx.obj
    rate = parsed_rate(ctx, fpr)
    if not 0 < delta < 1:
        raise usage_error(ctx, "--delta", f"it is a probability between 0 and 1, not {delta:g}.")
    if resize and model is None:
        raise usage_error(ctx, "--resize", "it is about images; give their --model too.")
    if scale is not None and model is None:
        raise usage_error(ctx, "--scale", "it is about images; give their --model too.")

    import torch

    from separatrix.ood import AlarmBudget, load_monitor, save_monitor
    from separatrix.ood._decisions import decided
    from separatrix.ood._files import read_calibration
    from separatrix.ood._watch import watch
    from separatrix.words import jsonable

    alpha = rate.rate if isinstance(rate, AlarmBudget) else rate
    field = None
    if model is not None:
        chosen = ChosenModel.of(ctx, model, weights, latent_shape, decoder, settings, allow_code, device)
        field = chosen.load()
    calibration = read_calibration(detector)
    none = torch.empty(0, dtype=torch.float64)
    decided(none, none, alpha, len(calibration))  # warns of a calibration that is too small, once
    counts = None if state is None else reserved(ctx, state, kind=None, overwrite=True, reads=(source, detector))
    kept = load_monitor(state or Path("no such state"), alpha, len(calibration), delta)
    scores = _of_images(detector, field, source, resize, scale) if field is not None else _of_table(source)
    readings: list[Reading] = []
    cried: str | None = None
    for reading in watch(kept, calibration, scores, every=every):
        readings.append(reading)
        if counts is not None:  # after every reading: a stream ends when it is stopped
            save_monitor(kept, counts)
        if reading.report.drifted and cried is None:
            cried = reading.last
            terminal.show(Text(f"At {reading.last}: {reading.report.statement}", style="bold red"))
    if counts is not None and not readings:
        save_monitor(kept, counts)
    report = kept.report()
    terminal.show(*_table(readings, report.threshold))
    terminal.line(str(report.statement))
    code = ExitCode.EXCEEDED if cried else ExitCode.OK if report.inputs else ExitCode.CANNOT_SAY
    terminal.document(
        jsonable(
            {
                **vars(report),
                "code": report.statement.slug,
                "sentence": str(report.statement),
                "first_drift": cried,
                "readings": [{"last": reading.last, **vars(reading.report)} for reading in readings],
                "exit_code": int(code),
            }
        )
    )
    return code


def _of_table(source: str) -> Iterator[tuple[str, float]]:
    from separatrix.ood._score_table import parsed_rows, read_rows

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a name that is no UTF-8 does not end a stream
    rows = parsed_rows(sys.stdin, "Standard input", damaged=True) if source == "-" else read_rows(Path(source))
    for row in rows:
        yield row.file, row.score


def _of_images(
    detector: str, field: LatentField, source: str, resize: bool, scale: float | None
) -> Iterator[tuple[str, float]]:
    from separatrix.ood import Detector, load_detector
    from separatrix.ood._score_stream import stream_scores

    known = load_detector(detector, field, kind=Detector)  # type: ignore[type-abstract]
    for block, scores in stream_scores(known, Path(source), resize=resize, scale=scale):
        yield from zip(block.names, scores.tolist(), strict=True)


def _table(readings: list[Reading], threshold: float) -> list[RenderableType]:
    heads = (
        "up to",
        "inputs",
        "alarms",
        "unscorable",
        "observed (95 %)",
        f"evidence (cry:\N{NO-BREAK SPACE}{threshold:.3g})",
    )
    step = max(1, -(-len(readings) // _MOST_ROWS))
    shown = [reading for index, reading in enumerate(readings) if (len(readings) - 1 - index) % step == 0]
    rows = [
        (
            last,
            f"{r.inputs:,}",
            f"{r.alarms:,}",
            f"{r.unscorable:,}",
            f"{number(r.observed)} ({number(r.low)}–{number(r.high)})",
            number(r.evidence, ".2g"),
        )
        for last, r in shown
    ]
    return [heading("Alarms so far"), table(heads, rows), Text("")]
