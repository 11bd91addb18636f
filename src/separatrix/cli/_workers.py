"""The options that say who computes, once for all commands that compute for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Self

import typer

from separatrix.cli._parsing import usage_error

if TYPE_CHECKING:
    from separatrix.engines import Engine
    from separatrix.storage import Reservation

_PANEL = "Who computes"


class EngineName(StrEnum):
    """The engines, as in `separatrix.engines`."""

    HERE = "here"
    PROCESSES = "processes"
    RAY = "ray"
    FOLDER = "folder"


Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", show_default="1", rich_help_panel=_PANEL,
                 help="Compute in so many processes, each with a copy of the model and one thread; 1 is this process. With --engine ray so "
                      "many actors, or as many as the cluster has room for."),
]  # fmt: skip
Name = Annotated[
    EngineName | None,
    typer.Option("--engine", rich_help_panel=_PANEL,
                 help="Who computes: this process, processes of this machine, a Ray cluster, or all who give the command runs work with the folder of "
                      "this run. No number depends on it."),
]  # fmt: skip
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="ADDRESS", rich_help_panel=_PANEL,
                 help="Of the Ray cluster; auto is the one that this machine belongs to. Without it one is started here."),
]  # fmt: skip
Gpus = Annotated[
    float | None,
    typer.Option("--gpus", min=0, metavar="N", rich_help_panel=_PANEL,
                 help="That each of Ray's actors gets; with --device cuda."),
]  # fmt: skip

OF_THE_ENGINE = frozenset({"workers", "engine", "address", "gpus"})
"""Options on which no number depends."""


@dataclass(frozen=True)
class Computing:
    """The command line says who computes.

    Attributes:
        workers: ``--workers``.
        name: ``--engine``, or what follows from the others.
        address: ``--address``.
        gpus: ``--gpus``.
    """

    workers: int | None
    name: EngineName
    address: str | None
    gpus: float | None

    @classmethod
    def of(
        cls,
        ctx: typer.Context,
        workers: Workers = None,
        engine: Name = None,
        address: Address = None,
        gpus: Gpus = None,
    ) -> Self:
        """The bundle of these options, in the order of ``--help``."""
        name = engine or (EngineName.HERE if (workers or 1) == 1 else EngineName.PROCESSES)
        for option, value in (("--address", address), ("--gpus", gpus)):
            if value is not None and name is not EngineName.RAY:
                raise usage_error(ctx, option, "it is for Ray; give --engine ray too.")
        if name is EngineName.HERE and (workers or 1) > 1:
            raise usage_error(ctx, "--workers", "--engine here is this process alone; give one of them.")
        if name is EngineName.FOLDER and workers is not None:
            raise usage_error(ctx, "--workers", "whoever gives the command runs work is one; leave it out.")
        return cls(workers, name, address, gpus)

    @contextmanager
    def everything(self, run: Reservation | None = None) -> Iterator[None]:
        """Let everything in the block be computed so, and be a part of this run."""
        engine = self._engine(run)
        if engine is None:
            yield
            return
        from separatrix.engines import using

        with using(engine):
            yield

    def _engine(self, run: Reservation | None) -> Engine | None:
        if self.name is EngineName.HERE:
            return None
        from separatrix.engines import Processes, Ray, SharedFolder
        from separatrix.errors import InputError
        from separatrix.runs import place_of_work

        if self.name is EngineName.FOLDER:
            if run is None:
                raise InputError("This command cannot be shared by a folder; choose another --engine.")
            if run.overwrite and run.target.exists():
                raise InputError(
                    f"Workers could take the earlier run in {run} for this one; remove it first, instead of --overwrite."
                )
            return SharedFolder(place_of_work(run.target))
        if self.name is EngineName.RAY:
            return Ray(self.address, self.workers, gpus=self.gpus or 0)
        return Processes(self.workers or 2)
