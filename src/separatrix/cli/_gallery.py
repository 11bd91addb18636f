"""``separatrix gallery``."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import OUTPUT_PANEL, STARTS_PANEL, AllowCode, Data, NoFigures, Overwrite, Scale, Seed, Size
from separatrix.cli._parsing import parsed_size
from separatrix.cli._place import name_of_run
from separatrix.cli._tables import table
from separatrix.cli._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from separatrix.field import LatentField

    Loader = Callable[[], LatentField]

_STARTS = 200  # a gallery is looked at; who counts gives more
_LONGEST = 50  # characters of a name, and of the folder before it
_SIDES = (32, 16)  # points a side of the field and of the basins in each picture


def gallery(
    ctx: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", show_default=False,
                       help="A folder of checkpoints, or models as other commands take them, one after another."),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", rich_help_panel="The models",
                     help="path/to/file.py:factory of the module, if the files of a folder hold weights only."),
    ] = None,
    allow_code: AllowCode = False,
    data: Data = None,
    size: Size = None,
    scale: Scale = None,
    starts: Annotated[
        int,
        typer.Option("--starts", min=1, metavar="N", rich_help_panel=STARTS_PANEL,
                     help="So many of the data, or draws from N(0, 1), for each model."),
    ] = _STARTS,
    max_steps: Annotated[
        int | None,
        typer.Option("--max-steps", min=1, metavar="N", help="Budget per orbit; a few hundred where nothing settles."),
    ] = None,
    seed: Seed = 0,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write.", rich_help_panel=OUTPUT_PANEL)
    ] = Path("gallery"),
    overwrite: Overwrite = False,
    no_figures: NoFigures = False,
) -> ExitCode:  # fmt: skip
    """Show many models on one page: a picture of each field, what was found, and its living page.

    [bold]separatrix gallery checkpoints/ --model my_model.py:build --data images/[/bold]
    [bold]separatrix gallery taef2 vaelight --data photos/ --size 64,64 --max-steps 60[/bold]

    Then open gallery/index.html; it needs no network. Every model gets a run of
    its own, as of separatrix attractors, with its report. Stopped, the same
    command goes on where it was; with one more model it computes that one alone.
    A model that cannot be used has a card that says why.
    """
    terminal: Terminal = ctx.obj
    pixels = parsed_size(ctx, size)

    from separatrix import starts as starting
    from separatrix.data import load_images
    from separatrix.protocol import Protocol
    from separatrix.runs import Exhibit
    from separatrix.runs import gallery as made

    images = None if data is None else load_images(data, limit=starts, size=pixels, scale=scale)
    source = starting.gaussian(starts, seed=seed) if images is None else starting.encoded(images)
    rules = Protocol() if max_steps is None else replace(Protocol(), max_steps=max_steps)
    exhibits = [
        Exhibit(name=name, load=load, starts=lambda: source, protocol=rules, examples=images, origin=origin,
                field_side=_SIDES[0], basin_side=_SIDES[1])
        for name, origin, load in _named_apart(each for spec in models for each in _models(spec, model, allow_code))
    ]  # fmt: skip
    found = made(exhibits, out=out, overwrite=overwrite, figures=not no_figures, progress=terminal.progress)
    shown = [record for record in found.records if "failed" not in record]
    rows = [(str(record["name"]), f"{record['latent_dim']:,}", str(record["headline"])) for record in shown]
    terminal.show(table(("model", "latent", "found"), rows, words=(0, 2)), Text(""))
    for name, why in found.failed.items():
        terminal.show(Text(f"{name} has no page: {why}", style="yellow"))
    code = ExitCode.OK if shown else ExitCode.BAD_INPUT
    terminal.line(str(found.index))
    terminal.document({"index": str(found.index), "models": list(found.records), "exit_code": int(code)})
    return code


def _named_apart(found: Iterable[tuple[str, str, str, Loader]]) -> Iterator[tuple[str, str, Loader]]:
    """Give each model a name that a folder can have; of two that are called alike the second has its own folder before it, or a number."""
    taken = {"index.html", "gallery.json", "manifest.json"}
    for folder, name, origin, load in found:
        plain, place = (re.sub(r"[^\w.-]+", "-", text).strip("-.")[:_LONGEST] for text in (name, folder))
        plain = plain or "model"
        numbered = (f"{plain}-{number}" for number in count(2))
        own = next(
            each
            for each in chain([plain, f"{place}-{plain}" if place else plain], numbered)
            if each.casefold() not in taken
        )
        taken.add(own.casefold())
        yield own, origin, load


def _models(spec: str, model: str | None, allow_code: bool) -> Iterator[tuple[str, str, str, Loader]]:
    """Folders, names, origins and loaders: of the files of a folder of checkpoints, or of the one model that the spec names.

    A module with weights from elsewhere has no origin: its page would show how the untrained one is loaded.
    """
    from separatrix.models import load
    from separatrix.runs._checkpoints import checkpoints_of

    if Path(spec).is_dir() and (model is not None or not (Path(spec) / "config.json").is_file()):
        for file in checkpoints_of(spec):
            if model is None:
                yield Path(spec).name, file.stem, str(file), partial(load, file, allow_code=allow_code)
            else:
                yield Path(spec).name, file.stem, "", partial(load, model, weights=file, allow_code=allow_code)
    else:
        yield (
            Path(spec.partition(":")[0]).parent.name,
            name_of_run(spec),
            spec,
            partial(load, spec, allow_code=allow_code),
        )
