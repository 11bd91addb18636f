"""A place to write to is held from before the model is loaded, so that no result is without a place in the end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from separatrix.cli._chosen_model import ChosenModel

if TYPE_CHECKING:
    from separatrix.storage import Reservation

RUNS = Path("runs")


def reserved(
    ctx: typer.Context, path: Path, *, kind: str | None, overwrite: bool, reads: Iterable[str | None] = ()
) -> Reservation:
    """Hold a place until the command ends (see `separatrix.storage.reserve`)."""
    from separatrix.storage import ROOM, reserve

    return ctx.with_resource(reserve(path, kind=kind, overwrite=overwrite, reads=reads, room=ROOM))


def reserved_run(
    ctx: typer.Context,
    out: Path | None,
    model: ChosenModel,
    *,
    kind: str,
    overwrite: bool,
    reads: Iterable[str | None] = (),
    prefix: str = "",
) -> Reservation:
    """The folder of a run: ``out``, or the first ``runs/NAME-N`` that nothing has and no other run is writing to."""
    from separatrix.storage import ROOM, reserve_numbered

    reads = (model.spec, *model.given.values(), *reads)
    if out is not None:
        return reserved(ctx, out, kind=kind, overwrite=overwrite, reads=reads)
    return ctx.with_resource(
        reserve_numbered(RUNS / f"{prefix}{name_of_run(model.spec)}", kind=kind, reads=reads, room=ROOM)
    )


def name_of_run(spec: str) -> str:
    """The file or module of a model, and its factory.

    >>> name_of_run("models/my_vae.py:load"), name_of_run("hf:stabilityai/sd-vae-ft-mse")
    ('my_vae-load', 'hf-stabilityai-sd-vae-ft-mse')
    """
    place, _, factory = spec.rpartition(":") if ":" in spec else (spec, "", "")
    stem = Path(place).stem if Path(place).suffix in (".py", ".safetensors") else place.rpartition(".")[2]
    return re.sub(r"[^\w-]+", "-", f"{stem}-{factory}" if factory else stem).strip("-") or "model"
