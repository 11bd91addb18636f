"""A run that others help with: workers that see its folder take parts of it, each with a model that it loaded itself.

No worker loads, or runs, anything that the folder says. The model is the one on the worker's own command line, and is compared with that of the plan;
tasks are those of this list. So whoever can write to the folder can give wrong numbers, and nothing else.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from separatrix.arguments import checked
from separatrix.engines import COORDINATOR, Bench, task_name, versions
from separatrix.errors import EngineError, FileError, InputError
from separatrix.field import LatentField
from separatrix.limitsets import TASKS, Fields
from separatrix.runs._plan import differences, in_words, model_record
from separatrix.runs._run import FINISHED, record_of_run
from separatrix.storage import UNFINISHED, PathLike, Place, place_of

_WORK = "work"
_PAUSES = (0.1, 2.0)  # seconds between two looks, the first and the longest
_BESIDE = ("name", "device")  # of a model: the same one may be called otherwise, by another path


def place_of_work(folder: PathLike) -> Place:
    """The place in the folder of a run where parts are given and taken."""
    return place_of(Path(folder) / UNFINISHED / _WORK)


@checked
def work(folder: PathLike, field: LatentField, *, part: int = 0, wait: float = 300.0) -> int:
    """Help with a run until it is finished, and return how many parts were computed.

    Args:
        folder: of the run, which may not be there yet.
        field: the model of the run, loaded by whoever helps.
        part: number of this worker, by which it is called in lists.
        wait: seconds without a sign of whoever gives the parts, after which nobody is expected any more.

    Raises:
        FileError: no run is there, or its results cannot be written.
        InputError: the model is another one than the run's.
        EngineError: this worker has other versions, or nobody has given parts for so long.

    Cost: 6 map evaluations to recognise the model, and those of the parts.
    """
    folder, place, known = Path(folder), place_of_work(folder), _Models(field)
    signs = _Signs(folder, place, wait)
    for _ in signs.until(lambda: _plan_of(folder) is not None):
        pass
    require_model(field, folder)
    tasks = {task_name(task): task for task in TASKS}
    with Bench(place, f"worker {part}", tasks, known.like) as bench:
        for _ in signs.until(lambda: _finished(folder)):
            _require_fitting(place)
            while bench.one():
                signs.seen()
        done = bench.beating.parts
    if _finished(folder):  # what was written after the coordinator had tidied up
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    return done


def require_model(field: LatentField, folder: PathLike) -> None:
    """Refuse a model that is none of the run's.

    Raises:
        InputError: it differs; the message says in what.
    """
    plan = record_of_run(folder)["plan"]
    theirs = [plan["model"]] if "answers" in plan["model"] else list(plan["model"].values())
    mine = json.loads(json.dumps(model_record(field)))
    different = [
        [name for name in differences(mine, each) if name not in _BESIDE and not name.startswith("details")]
        for each in theirs
    ]
    if all(different):
        raise InputError(
            f"This model is not that of the run in {folder} (it differs in {in_words(min(different, key=len))}); give MODEL and its options as they "
            "were given when the run was begun."
        )


class _Models:
    """The fields of a search, made of the one model that is here."""

    def __init__(self, field: LatentField) -> None:
        self._field = field
        self._made: tuple[Any, Fields | None] = (None, None)

    def like(self, identity: Any) -> Fields | None:
        """The same as somebody else has, if it is of this model."""
        if self._made[0] != identity:
            self._made = identity, Fields.like(identity, self._field)
        return self._made[1]


class _Signs:
    """Signs of life of whoever gives the parts: something changed in the folder."""

    def __init__(self, folder: Path, place: Place, wait: float) -> None:
        self._folder, self._place, self._wait = folder, place, wait
        self._last: Any = None
        self.seen()

    def seen(self) -> None:
        """There is one."""
        self._since, self._pause = time.monotonic(), _PAUSES[0]

    def until(self, over: Any) -> Iterator[None]:
        """Come back again and again until it is over.

        Raises:
            EngineError: there was no sign for too long.
        """
        while not over():
            yield
            found = (_read(self._place, "status"), self._place.list("heads"), _plan_of(self._folder))
            if found != self._last:
                self._last = found
                self.seen()
            elif time.monotonic() - self._since > self._wait:
                raise EngineError(
                    f"Nobody has given parts of the run in {self._folder} for {self._wait:g} seconds; give the command that began it again, with "
                    "--engine folder."
                )
            time.sleep(self._pause)
            self._pause = min(2 * self._pause, _PAUSES[1])


def _require_fitting(place: Place) -> None:
    """Compute as whoever gives the parts does.

    Raises:
        EngineError: with these versions that is not possible.
    """
    told = _read(place, COORDINATOR)
    if not told:
        return
    try:
        said = json.loads(told)
        theirs, threads = dict(said["versions"]), int(said["threads"])
    except (ValueError, KeyError, TypeError):
        raise FileError(f"{place} holds a damaged file, {COORDINATOR}; give the command of the run again.") from None
    for name, mine in versions().items():
        if theirs.get(name) != mine:
            raise EngineError(
                f"This worker has {name} {mine}, and the run is computed with {theirs.get(name)}; install the same versions everywhere."
            )
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)


def _plan_of(folder: Path) -> Any:
    try:
        return record_of_run(folder)["plan"]
    except FileError:
        return None


def _finished(folder: Path) -> bool:
    try:
        return bool(record_of_run(folder)["state"] == FINISHED)
    except FileError:
        return False


def _read(place: Place, name: str) -> bytes:
    try:
        return place.read(name)
    except (FileNotFoundError, FileError):
        return b""
