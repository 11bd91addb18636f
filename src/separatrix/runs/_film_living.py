"""The living page of a film: the checkpoints that the run holds, or those of the folder that it was made from."""

from __future__ import annotations

from pathlib import Path

from separatrix.errors import FileError, InputError
from separatrix.explorer import Moment
from separatrix.field import LatentField
from separatrix.models import load, load_model
from separatrix.runs._film import Footage, file_sha256, film_moments, holds_its_checkpoints
from separatrix.runs._run import Run
from separatrix.storage import PathLike
from separatrix.work import Progress


def moments_again(
    run: Run, checkpoints: PathLike | None, *, allow_code: bool, model: bool, live: bool, progress: Progress
) -> list[Moment]:
    """Read a finished film and its models, for a living page of them.

    Raises:
        FileError: a checkpoint is gone, or is another one.
        InputError: the run does not hold them, and no folder is named.
    """
    footage: Footage = run.load("footage")
    fields = _stored(run, footage) if holds_its_checkpoints(run) else _given(run, footage, checkpoints, allow_code)
    return film_moments(run, fields, model=model, live=live, progress=progress)


def _stored(run: Run, footage: Footage) -> list[LatentField]:
    def gone(path: Path) -> None:
        raise FileError(f"The checkpoint {path.name} of this run is gone or was edited; run separatrix film again.")

    fields = []
    for epoch in map(int, footage.parameters):
        path = run.file(f"checkpoints/epoch-{epoch:04d}.safetensors", gone)
        assert path is not None
        fields.append(load_model(path).eval().field(f"epoch {epoch}"))
    return fields


def _given(run: Run, footage: Footage, checkpoints: PathLike | None, allow_code: bool) -> list[LatentField]:
    if checkpoints is None:
        raise InputError(
            "The run does not hold its checkpoints; name their folder (checkpoints=…, in the command line --of FOLDER)."
        )
    factory = run.plan["model"]["factory"]
    fields = []
    for name, checksum in run.plan["model"]["sha256"].items():
        if name in footage.left_out:
            continue
        path = Path(checkpoints) / name
        if not path.is_file() or file_sha256(path) != checksum:
            raise FileError(f"{path} is not the checkpoint that the film shows; give the folder that it was made from.")
        fields.append(load(factory or path, weights=None if factory is None else path, allow_code=allow_code))
    return fields
