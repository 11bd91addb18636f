"""``separatrix demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import OUTPUT_PANEL, NoFigures, Overwrite, Seed
from separatrix.cli._place import reserved
from separatrix.cli._tables import number, steps, table
from separatrix.cli._terminal import Terminal
from separatrix.cli._workers import Computing
from separatrix.words import percent

if TYPE_CHECKING:
    from separatrix.runs._demo import DemoModel

_HEADS = (
    "model",
    "latent",
    "error train / unseen",
    "attractors",
    "reached one",
    "steps 50 / 95 %",
    "ρ of attractors",
    "outcome",
)

_TERMS = (
    "Error: mean squared error per pixel, of training and of unseen images. Reached one: starts that end at an attractor. Steps: "
    "median and 95th percentile, until it is known where an orbit ends. ρ: the factor per step by which distances to an attractor change "
    "in the long run; below 1 it attracts."
)


def demo(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder to write.", rich_help_panel=OUTPUT_PANEL)
    ] = Path("separatrix-demo"),
    seed: Seed = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="A fifth of the work, to see that everything runs; not to be read.")
    ] = False,
    overwrite: Overwrite = False,
    no_figures: NoFigures = False,
    *,
    compute: Computing,
) -> ExitCode:
    """Train three small autoencoders on handwritten digits and show what they remember.

    Finds their attractors from digits and from noise, compares them with the
    training images, and writes a report and a living page. The data come with the installation;
    it takes half a minute on one core.

    [bold]separatrix demo --out my-demo[/bold], then open my-demo/explorer.html.
    """
    terminal: Terminal = ctx.obj
    from separatrix.runs import demo as run_demo

    place = reserved(ctx, out, kind="separatrix demo", run=True, overwrite=overwrite)
    ctx.with_resource(compute.everything())
    found = run_demo(place, seed=seed, quick=quick, figures=not no_figures, progress=terminal.progress)
    ranges = [_radii(out / model.name) for model in found.models]
    terminal.show(
        table(_HEADS, [_row(m, r) for m, r in zip(found.models, ranges, strict=True)], words=(0, 7)),
        Text(_TERMS, style="dim"),
        Text(f"\n{found.verdict}\n", style="bold"),
    )
    terminal.show(Text(f"{found.report}: the report"), Text("and the living page, in which you can click anywhere:"))
    terminal.line(str(found.explorer))
    record: dict[str, Any] = found.to_dict()
    for model, (low, high) in zip(record["models"], ranges, strict=True):
        model["spectral_radius"] = {"lowest": low, "highest": high}
    terminal.document({**record, "exit_code": int(ExitCode.OK)})
    return ExitCode.OK


def _row(model: DemoModel, radii: tuple[float | None, float | None]) -> tuple[str, ...]:
    return (
        model.title,
        str(model.latent_dim),
        f"{model.train_error:.4f} / {model.unseen_error:.4f}",
        str(model.attractors),
        percent(model.fates.attractor / model.fates.starts),
        steps(model.steps_median, model.steps_p95),
        f"{number(radii[0], '.2f')} to {number(radii[1], '.2f')}",
        model.outcome,
    )


def _radii(folder: Path) -> tuple[float | None, float | None]:
    """Lowest and highest ρ of the attractors of the saved searches of a model; None if there are none."""
    from separatrix.limitsets import LimitSets
    from separatrix.storage import load_result

    radii: list[float] = []
    for name in ("from-digits", "from-noise"):
        limits = load_result(folder / name)
        assert isinstance(limits, LimitSets)
        radii += limits.attractors.spectral_radius.tolist()
    return (min(radii), max(radii)) if radii else (None, None)
