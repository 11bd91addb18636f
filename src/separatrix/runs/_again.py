"""The pages of runs that are there, made again from what is stored, and a list of such runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separatrix.arguments import checked
from separatrix.errors import FileError
from separatrix.runs._attractors import attractors_view
from separatrix.runs._audit import audit_view
from separatrix.runs._data_free import data_free_view
from separatrix.runs._demo import demo_view
from separatrix.runs._diff import diff_view
from separatrix.runs._drift import drift_view
from separatrix.runs._film import film_view
from separatrix.runs._fit import fit_view
from separatrix.runs._probe import probe_view
from separatrix.runs._run import record_of_run, reopened, state_of
from separatrix.runs._score import score_view
from separatrix.runs._views import View, Viewer, recorded, write_views
from separatrix.storage import MANIFEST, PathLike
from separatrix.work import Progress

VIEWERS: dict[str, Viewer[Any]] = {
    "attractors": attractors_view,
    "audit": audit_view,
    "audit without data": data_free_view,
    "demo": demo_view,
    "diff": diff_view,
    "drift": drift_view,
    "film": film_view,
    "ood": score_view,
    "ood fit": fit_view,
    "probe": probe_view,
}
"""What makes the views of a run, by its recipe. A new recipe is entered here."""


@checked
def report(folder: PathLike, *, figures: bool = True, explorer: bool = True, progress: bool | Progress = False) -> View:
    """Make page, pictures and tables of a run again, from what is stored there; the model is not needed.

    Args:
        folder: of a finished run.
        figures: draw them again, as far as the run had them.
        explorer: put the living page, with the model inside, under the portrait of a field, where the run has it.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        FileError: no run is there, it is not finished, or something that it stored is damaged.

    Warns:
        FigureWarning: a picture needs what the model was not asked when the run was made.

    Cost: no map evaluations.
    """
    with reopened(folder) as run:
        if not run.finished:
            raise FileError(f"The run in {folder} was stopped; run the same command again, it goes on where it was.")
        viewer = VIEWERS.get(run.plan["recipe"])
        if viewer is None:
            raise FileError(
                f"{folder} holds a run of {run.plan['recipe']!r}, which this version does not know; upgrade separatrix."
            )
        view: View = write_views(
            run, viewer, recorded(run), figures=figures, explorer=explorer, anew=True, progress=progress
        )
        return view


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """One run of a list.

    Attributes:
        folder: where it is.
        recipe: what kind of run it is.
        model: names of the models that it is of.
        state: ``finished``, ``running`` or ``stopped``.
        stages: how many are stored.
        age: seconds since something was last stored.
    """

    folder: Path
    recipe: str
    model: str
    state: str
    stages: int
    age: float


def listed(place: PathLike) -> Iterator[RunEntry]:
    """The runs in a folder, and the folder itself if it is one, newest first."""
    folders = [Path(place), *(path for path in Path(place).iterdir() if path.is_dir())] if Path(place).is_dir() else []
    found = []
    for folder in folders:
        with suppress(FileError):
            record = record_of_run(folder)
            model = record["plan"]["model"]
            models = [model] if "name" in model else [each for each in model.values() if isinstance(each, dict)]
            names = [each.get("name") for each in models]
            found.append(
                RunEntry(
                    folder=folder,
                    recipe=str(record["plan"]["recipe"]),
                    model=" and ".join(map(str, names)),
                    state=state_of(folder, record),
                    stages=len(record["stages"]),
                    age=time.time() - (folder / MANIFEST).stat().st_mtime,
                )
            )
    yield from sorted(found, key=lambda entry: entry.age)
