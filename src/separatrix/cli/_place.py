"""A place to write to is held from before the model is loaded, so that no result is without a place in the end."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import typer

from separatrix.cli._options import NoExplorer, NoFigures, Overwrite, RunFolder
from separatrix.cli._workers import OF_THE_ENGINE

if TYPE_CHECKING:
    from separatrix.storage import Reservation

RUNS = Path("runs")
_FILES = (".py", ".safetensors", ".pt", ".pth", ".pt2", ".onnx")  # other dots stand between the names of packages
_OF_THE_OUTPUT = (
    frozenset({"out", "overwrite", "no_figures", "no_explorer", "_json", "_quiet", "_traceback", "batch_size"})
    | OF_THE_ENGINE
)


def reserved(
    ctx: typer.Context,
    path: Path,
    *,
    kind: str | None,
    overwrite: bool,
    run: bool = False,
    reads: Iterable[str | None] = (),
) -> Reservation:
    """Hold a place until the command ends (see `separatrix.storage.reserve`)."""
    from separatrix.storage import ROOM, reserve

    return ctx.with_resource(reserve(path, kind=kind, overwrite=overwrite, run=run, reads=reads, room=ROOM))


@dataclass(frozen=True)
class RunOutput:
    """It tells where a command writes its run, and whether with figures.

    Attributes:
        place: what ``--out`` says.
        overwrite: ``--overwrite``.
        figures: not ``--no-figures``.
    """

    _ctx: typer.Context
    place: Path | None
    overwrite: bool
    figures: bool

    @classmethod
    def of(
        cls, ctx: typer.Context, out: RunFolder = None, overwrite: Overwrite = False, no_figures: NoFigures = False
    ) -> Self:
        """The bundle of these options, in the order of ``--help``."""
        return cls(ctx, out, overwrite, not no_figures)

    def reserved(self, name: str, *, recipe: str, reads: Iterable[str | None] = ()) -> Reservation:
        """The folder of a run: ``--out``, or the first ``runs/NAME-N`` that nothing has and no other run is writing to.

        A run that the same command began there and did not finish is gone on with, wherever nobody says otherwise.
        """
        from separatrix.storage import ROOM, reserve_numbered

        kind = f"separatrix {recipe}"
        if self.place is not None:
            return reserved(self._ctx, self.place, kind=kind, overwrite=self.overwrite, run=True, reads=reads)
        key = _key(self._ctx)
        return self._ctx.with_resource(reserve_numbered(RUNS / name, kind=kind, key=key, reads=reads, room=ROOM))


@dataclass(frozen=True)
class ExploredOutput(RunOutput):
    """The same for runs whose report can hold a living page.

    Attributes:
        explorer: not ``--no-explorer``.
    """

    explorer: bool

    @classmethod
    def of(
        cls,
        ctx: typer.Context,
        out: RunFolder = None,
        overwrite: Overwrite = False,
        no_figures: NoFigures = False,
        no_explorer: NoExplorer = False,
    ) -> Self:
        """The bundle of these options, in the order of ``--help``."""
        return cls(ctx, out, overwrite, not no_figures, not no_explorer)


def _key(ctx: typer.Context) -> str:
    """Return a digest of what was asked for: of the command and of all options that its numbers may depend on."""
    asked = {name: str(value) for name, value in sorted(ctx.params.items()) if name not in _OF_THE_OUTPUT}
    return hashlib.sha256(json.dumps([ctx.command_path, asked]).encode()).hexdigest()[:16]


def name_of_run(spec: str) -> str:
    """The file or module of a model, and its factory.

    >>> name_of_run("models/my_vae.py:load"), name_of_run("hf:stabilityai/sd-vae-ft-mse"), name_of_run("vaes/small.onnx")
    ('my_vae-load', 'hf-stabilityai-sd-vae-ft-mse', 'small')
    """
    place, _, factory = spec.rpartition(":") if ":" in spec else (spec, "", "")
    stem = Path(place).stem if Path(place).suffix in _FILES else place.rpartition(".")[2]
    return re.sub(r"[^\w-]+", "-", f"{stem}-{factory}" if factory else stem).strip("-") or "model"
