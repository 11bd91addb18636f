"""One row per start: how its orbit went and where it ended, as a table that pandas, polars, DuckDB and Spark read.

| column | type | unit | |
|---|---|---|---|
| start | int64 | | the number of the start, from 0 |
| label | int64 | | the limit set on which it ended, in the numbering of the search; −1 for none (of limit sets only) |
| status | string | | how the orbit ended, a `Status` in small letters |
| steps | int64 | map evaluations | from the start to its end point |
| residual | float64 | of the latent space | ‖f(z) − z‖ at the end point; for a periodic orbit ‖f^p(z) − z‖ |
| rate | float64 | | ratio of successive steps, NaN if too few |
| error | float64 | of the latent space | estimated distance of the end point to its limit, infinite if not contracting |
| period | int64 | map evaluations | 1 unless periodic; 0 where nothing repeats |
| captured | bool | | followed only until it was seen where it goes: ``steps`` are not those to the end |

The end points are tensors, ``points.safetensors`` beside the table; in a run they are a part of the stage, whose file the metadata name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import FileError
from separatrix.limitsets import LimitSets
from separatrix.orbits import Orbits, Status
from separatrix.runs._run import Run, reopened
from separatrix.storage import PathLike, new_folder, place_of, publish, url_of, write_tensors
from separatrix.storage._parquet import Column, parquet_of_arrow, read_columns, write_columns

TABLE, POINTS = "orbits.parquet", "points.safetensors"
KIND = "separatrix table of starts"
_LATENT = "of the latent space"
_STEPS = "map evaluations"
_STAGE = "limits"


@checked
def write_starts(result: LimitSets | Orbits, folder: PathLike, *, overwrite: bool = False) -> Path:
    """Write one row per start to ``folder/orbits.parquet``, and the end points to ``folder/points.safetensors``.

    Args:
        result: of a search, or of iterating.
        folder: of this machine, or in an object store (``s3://bucket/folder``).
        overwrite: an earlier table that is there may be replaced.

    Raises:
        InputError: pyarrow is not installed.
        FileError: something else is there, or it cannot be written.

    Cost: no map evaluations; memory for one row group (131,072 rows) beyond the result.
    """
    parquet_of_arrow()
    if (url := url_of(folder)) is not None:
        place = place_of(url)
        with TemporaryDirectory(ignore_cleanup_errors=True) as near:
            publish(write_starts(result, Path(near, "table")), place, overwrite=overwrite)
        return Path(folder)
    with new_folder(folder, kind=KIND, overwrite=overwrite) as building:
        orbits = result if isinstance(result, Orbits) else result.orbits
        write_tensors({"points": orbits.points.detach().cpu().contiguous()}, building / POINTS)
        write_columns(building / TABLE, starts_columns(result), {"points": f"{POINTS}#points"})
    return Path(folder)


def read_starts(folder: PathLike, columns: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Read columns of such a table, or of a run's, as the tensors that they were; a status is the number of its `Status`.

    Of a table in an object store only the columns that are asked for are fetched.

    Raises:
        InputError: pyarrow is not installed, or there is no such column.
        FileError: there is no such table, or it is damaged.
    """
    place = place_of(folder)
    try:
        with place.opened(TABLE) as stream:
            return read_columns(stream, f"{place}/{TABLE}", columns)[0]
    except FileNotFoundError as error:
        raise FileError(
            f"There is no {TABLE} in {place}; write it with write_starts, or for a run with separatrix report RUN --format parquet."
        ) from error


def add_starts(folder: PathLike) -> Path:
    """Add ``orbits.parquet`` to a finished run that has one search, such as one of the recipe ``attractors``; its path.

    The metadata hold the SHA-256 of the run's plan and of the stage that it was made of.

    Raises:
        InputError: pyarrow is not installed.
        FileError: no finished run is there, or none with a search of its own.
    """
    parquet_of_arrow()
    with reopened(folder) as run:
        if not run.finished:
            raise FileError(f"The run in {folder} was stopped; run the same command again, it goes on where it was.")
        if not run.has(_STAGE):
            raise FileError(
                f"The run in {folder} has no stage {_STAGE!r}; write the searches that it has with separatrix.runs.write_starts."
            )
        columns, facts = starts_columns(run.load(_STAGE)), _facts(run)
        run.add_file(TABLE, lambda path: write_columns(path, columns, facts))
        assert run.folder is not None
        return run.folder / TABLE


def starts_columns(result: LimitSets | Orbits) -> list[Column]:
    """Return the columns of the table."""
    orbits = result if isinstance(result, Orbits) else result.orbits
    captured = torch.tensor([int(Status.CAPTURED), int(Status.SAMPLED)], device=orbits.status.device)
    names = [status.name.lower() for status in sorted(Status)]  # numbered from 0 without gaps
    columns = [
        Column(name="start", values=torch.arange(len(orbits)), meaning="number of the start"),
        Column(name="status", values=orbits.status, meaning="how the orbit ended", words=names),
        Column(name="steps", values=orbits.steps, meaning="from the start to its end point", unit=_STEPS),
        Column(name="residual", values=orbits.residual, meaning="|f(z) - z| at the end point", unit=_LATENT),
        Column(name="rate", values=orbits.rate, meaning="ratio of successive steps, NaN if too few"),
        Column(
            name="error", values=orbits.error, meaning="estimated distance of the end point to its limit", unit=_LATENT
        ),
        Column(name="period", values=orbits.period, meaning="0 where nothing repeats", unit=_STEPS),
        Column(
            name="captured",
            values=torch.isin(orbits.status, captured),
            meaning="followed until it was seen where it goes",
        ),
    ]
    if isinstance(result, LimitSets):
        columns.insert(
            1, Column(name="label", values=result.labels, meaning="limit set on which it ended, -1 for none")
        )
    return columns


def _facts(run: Run) -> Mapping[str, Any]:
    plan = json.dumps(run.plan, sort_keys=True).encode()
    return {
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        "stage_sha256": run.record["stages"][_STAGE],
        "points": f"{_STAGE}/tensors.safetensors#orbits.points",
    }
