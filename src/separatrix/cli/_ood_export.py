"""``separatrix ood export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from separatrix.cli._chosen_model import ChosenModel
from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._ood_options import Folder
from separatrix.cli._options import OUTPUT_PANEL, OverwriteFile, Scale
from separatrix.cli._parsing import usage_error
from separatrix.cli._place import reserved
from separatrix.cli._tables import heading, labelled, number
from separatrix.cli._terminal import Terminal


def export(
    ctx: typer.Context,
    detector: Folder,
    model: ChosenModel,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The .onnx file to write.", rich_help_panel=OUTPUT_PANEL)
    ],
    examples: Annotated[
        str | None,
        typer.Option("--examples", metavar="SOURCE",
                     help="Eight of these images are kept in the file with their scores; else noise and constants."),
    ] = None,
    scale: Scale = None,
    overwrite: OverwriteFile = False,
) -> ExitCode:  # fmt: skip
    """Write a fitted detector with its model as one ONNX file: images in, score and p-value out.

    The file holds images whose scores are known, and is tested on them before it is
    there, and again by separatrix.ood.OnnxDetector whenever it is loaded.

    [bold]separatrix ood export detector my_model.py:load --out detector.onnx[/bold]
    """
    terminal: Terminal = ctx.obj
    if out.suffix != ".onnx":
        raise usage_error(ctx, "--out", f"{out.name!r} must end in .onnx.")
    if out.exists() and not overwrite:
        raise usage_error(ctx, "--out", f"{out} exists; give another name, or --overwrite.")

    from separatrix.data import load_images
    from separatrix.ood import Detector, export_onnx, load_detector
    from separatrix.ood._onnx_detector import PARITY

    place = reserved(
        ctx, out, kind=None, overwrite=overwrite, reads=(model.spec, *model.given.values(), detector, examples)
    )
    field = model.load()
    known = load_detector(detector, field, kind=Detector)  # type: ignore[type-abstract]
    written = export_onnx(known, place, None if examples is None else load_images(examples, limit=8, scale=scale))
    size = out.stat().st_size
    entries = [
        ("kind", known.kind),
        ("x", "n×" + "×".join(map(str, written.input_shape)) + f", {written.record['dtype']}"),
        ("golden scores", f"differ by {number(written.parity, '.1g')} of their size; {PARITY:g} is allowed"),
        ("size", f"{size / 1e6:.1f} MB"),
    ]
    terminal.show(heading("The file"), labelled(entries), Text(""))
    terminal.line(str(out))
    terminal.document(
        {
            "file": str(out),
            "kind": known.kind,
            "input_shape": list(written.input_shape),
            "dtype": written.record["dtype"],
            "parity": written.parity,
            "bytes": size,
            "exit_code": int(ExitCode.OK),
        }
    )
    return ExitCode.OK
