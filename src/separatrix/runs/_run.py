"""A run is a folder: what was asked for (its plan), what was computed (its stages), and pages, pictures and tables made of these.

Each stage is stored as soon as it is there, whole or not at all, and listed with its checksum in the manifest. Who opens the run again
with the same plan gets the stages that are stored and computes the others. So a run that was killed goes on where it stopped; one
that is finished costs nothing; and no result is ever used for another model, other data or other rules than it is of.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from separatrix.arguments import checked
from separatrix.errors import DamageWarning, FileError, warn
from separatrix.runs._plan import Plan, in_words
from separatrix.runs._status import Status
from separatrix.storage import (
    MANIFEST,
    ROOM,
    UNFINISHED,
    PathLike,
    Reservation,
    at_work_on,
    hold,
    load_result,
    save_result,
    url_of,
)
from separatrix.storage._manifest import ON_ITS_WAY, kind_of, manifest_of, write_whole_file, writer
from separatrix.work import watched_by

T = TypeVar("T")

RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
_RECORD, _PLAN_SHA256 = "result.json", "plan_sha256"
_REPLACING = "replaces an earlier run"
"""In the manifest of a run that took the place of another one and is not finished: the same command goes on with it."""


class OtherPlan(FileError):
    """Another run is in that place: of another model, of other data or by other rules."""


class Run:
    """One run, open for whoever computes it (:func:`opened`) or makes pages of it (:func:`reopened`).

    Attributes:
        place: where it is; None keeps nothing.
        record: its manifest.
        replaces: something is there that goes when the first stage of this run is stored.
    """

    @checked
    def __init__(self, place: Reservation | None, record: dict[str, Any], *, replaces: bool = False) -> None:
        self.place, self.record, self.replaces = place, record, replaces
        self.folder = None if place is None else place.target
        self._held: dict[str, Any] = {}

    @property
    def plan(self) -> Mapping[str, Any]:
        """Return what it is of."""
        plan: Mapping[str, Any] = self.record["plan"]
        return plan

    @property
    def finished(self) -> bool:
        """Everything of it is stored."""
        return bool(self.record["state"] == FINISHED)

    def stage(self, name: str, make: Callable[[], T]) -> T:
        """Return what ``make`` gives, from the folder if it is stored there, else computed and stored.

        It is always read back, so that who goes on after a break has the same to go on with as who never stopped.

        Raises:
            FileError: it cannot be written.

        Warns:
            DamageWarning: what is stored is damaged; it is computed again.
        """
        if name not in self._held:
            if name in self.record["stages"]:
                try:
                    return cast(T, self.load(name))
                except FileError as error:
                    warn(f"{error} It is computed again.", DamageWarning)
            self.renew(name, make())
        return cast(T, self.load(name))

    def file(self, name: str, make: Callable[[Path], Any]) -> Path | None:
        """A stage that is one file, such as the weights of a model: its path; ``make`` writes it. None without a folder."""
        if self.folder is None:
            return None
        if self.record["stages"].get(name) != _checksum(self.folder / name, missing=""):
            assert self.place is not None
            built = self.place.new / Path(name).name
            self.place.new.mkdir(parents=True, exist_ok=True)
            make(built)
            self._move(built, name, [name])
        return self.folder / name

    def renew(self, name: str, value: Any) -> None:
        """Store a stage anew, in the place of what is there."""
        if self.folder is None:
            self._held[name] = value
        else:
            self._store(name, value)

    def load(self, name: str) -> Any:
        """A stage that is there.

        Raises:
            FileError: it is not, or it is damaged.
        """
        if name not in self._held:
            if name not in self.record["stages"]:
                raise FileError(
                    f"The run in {self.folder} has no stage {name!r}; run the same command again, to the end."
                )
            assert self.folder is not None
            if _checksum(self.folder / name) != self.record["stages"][name]:
                raise FileError(
                    f"{self.folder / name} is not what was stored there; it is damaged or was edited, and the same command makes it anew."
                )
            self._held[name] = load_result(self.folder / name)
        return self._held[name]

    def has(self, name: str) -> bool:
        """Is there such a stage?"""
        return name in self._held or name in self.record["stages"]

    def unfinished(self, name: str) -> Path | None:
        """The folder for what a long stage keeps on its way; it is gone when the stage is stored.

        As long as an earlier run is in the place it lies in that one's folder, under a name that says of which plan it is.
        """
        if self.folder is None:
            return None
        if not self.replaces:
            return self.folder / UNFINISHED / name
        if not _is_a_run(manifest_of(self.folder)):  # something older, which lists no such folder as its own
            return None
        return self.folder / UNFINISHED / f"of-{_digest(self.record['plan'])[:16]}" / name

    def add(self, name: str, content: bytes) -> None:
        """Put a file into the folder, or replace one that is of this run; nothing without a folder."""
        if self.folder is not None:
            self._take_the_place()
            self._list(name)
            self._put(name, content)

    def add_file(self, name: str, make: Callable[[Path], Any]) -> None:
        """Put a file into the folder that ``make`` writes; it may be larger than the memory."""
        if self.folder is None:
            return
        assert self.place is not None
        built = self.place.new / Path(name).name
        try:
            self.place.new.mkdir(parents=True, exist_ok=True)
            built.unlink(missing_ok=True)
            make(built)
            self._take_the_place()
            self._list(name)
            os.replace(built, self.folder / name)
        except OSError as error:
            raise self._unwritten(self.folder / name, error) from error

    def finish(self) -> None:
        """Say that all is there."""
        self.record["state"] = FINISHED
        self.record.pop(_REPLACING, None)
        if self.folder is not None:
            self._take_the_place()
            self.tidy()  # before it is said: whoever is killed in between tidies when he comes here again
            self._write()

    def tidy(self) -> None:
        """Remove what long stages and workers kept on their way."""
        if self.folder is not None:
            shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)

    def begin(self) -> None:
        """Make the folder, which says from now on that a run is under way; not before its time where something is replaced."""
        if self.folder is not None and not self.replaces:
            self._write()

    def abandon(self) -> None:
        """Remove the folder if nothing of it would be missed."""
        if self.folder is None or self.replaces:
            return
        assert self.place is not None
        if _is_empty(self.folder, self.record):
            self.place.clear()

    def _store(self, name: str, value: Any) -> None:
        assert self.place is not None
        built = self.place.new / Path(name).name
        shutil.rmtree(built, ignore_errors=True)
        try:
            save_result(value, built, overwrite=True)
        except OSError as error:
            raise self._unwritten(built, error) from error
        self._move(built, name, [f"{name}/{file}" for file in sorted(os.listdir(built))])

    def _move(self, built: Path, name: str, files: list[str]) -> None:
        """Put a stage in its place. From here on a process that is killed has either all of it or will make it again."""
        assert self.folder is not None
        target = self.folder / name
        self._take_the_place()
        self.record["stages"].pop(name, None)
        self._held.pop(name, None)
        self._list(*files)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(built, target)
        except OSError as error:
            raise self._unwritten(target, error) from error
        self.record["stages"][name] = _checksum(target)
        self._write()
        shutil.rmtree(self.folder / UNFINISHED / name, ignore_errors=True)

    def _take_the_place(self) -> None:
        if self.replaces:
            assert self.place is not None
            self.place.clear()
            self.replaces = False
            self.record[_REPLACING] = True
            self._write()

    def _list(self, *names: str) -> None:
        self.record["files"] = sorted({*self.record["files"], *names})
        self._write()

    def _write(self) -> None:
        assert self.folder is not None
        assert self.place is not None
        self.record["stages"] = dict(sorted(self.record["stages"].items()))  # whichever was made first
        content = (json.dumps(self.record, indent=1) + "\n").encode()
        if self.folder.exists():
            self._put(MANIFEST, content)
            return
        built = self.place.new / self.folder.name  # the folder of a run is never without its manifest
        try:
            built.mkdir(parents=True, exist_ok=True)
            write_whole_file(built, MANIFEST, content)
            built.rename(self.folder)
        except OSError as error:
            raise self._unwritten(self.folder, error) from error

    def _put(self, name: str, content: bytes) -> None:
        assert self.folder is not None
        try:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole_file(self.folder, name, content)
        except OSError as error:
            raise self._unwritten(self.folder / name, error) from error

    @staticmethod
    def _unwritten(path: Path, error: OSError) -> FileError:
        return FileError(f"Writing {path} failed ({error.strerror or error}); free some space or choose another disk.")


@contextmanager
@checked
def opened(out: PathLike | None, plan: Plan, *, overwrite: bool = False) -> Iterator[Run]:
    """Open the run at ``out``, new or to go on with; nobody else can meanwhile.

    Args:
        out: its folder, or a reservation of it (`separatrix.storage.reserve`); None keeps nothing.
        plan: what it is of.
        overwrite: begin anew where an earlier run is. That one is removed when the first stage of the new one is stored; if the new
            one is killed later, the same command goes on with it.

    Raises:
        OtherPlan: the run there is of something else.
        FileError: there is something else, or nobody can write there.
    """
    if out is None:
        yield Run(None, _fresh(plan, ""))
        return
    with hold(out, kind=kind_named(plan.recipe), overwrite=overwrite, run=True, room=ROOM) as place:
        try:
            run = _begun(place, plan)
        except OtherPlan:
            if place.another is None:
                raise
            run = _begun(place.another(), plan)
        run.begin()
        try:
            with watched_by(Status(place)):
                yield run
        finally:
            run.abandon()


@contextmanager
def reopened(folder: PathLike) -> Iterator[Run]:
    """Open a run that is there, whatever it is of, to make its pages anew.

    Raises:
        FileError: no run is there, or another process is at work on it.
    """
    record = record_of_run(folder)
    with hold(folder, kind=record["kind"], overwrite=False, run=True, room=ROOM) as place:
        yield Run(place, record)


def record_of_run(folder: PathLike) -> dict[str, Any]:
    """The manifest of a run.

    Raises:
        FileError: no run is there.
    """
    if (url := url_of(folder)) is not None:
        raise FileError(
            f"{url} is in an object store; copy the run to this machine first: separatrix copy {url} FOLDER."
        )
    record = manifest_of(Path(folder))
    if "plan" in record:
        _require_as_written(record, str(Path(folder) / MANIFEST))
    elif not _is_a_run(record):
        kind = kind_of(Path(folder)) if Path(folder).is_dir() else None
        said = f"a {kind} without a plan, perhaps of an earlier version" if kind else "no run of separatrix"
        raise FileError(f"{folder} holds {said}; give the folder of a run.")
    return record


def _require_as_written(record: Mapping[str, Any], where: str) -> None:
    """Refuse a manifest that is not as it was written; its checksums tell of everything else in the folder.

    Raises:
        FileError: it was edited, or damaged.
    """
    from separatrix.storage._records import RunManifest, record_of

    remedy = "put the original back, or remove the folder and run the same command again"
    record_of(json.dumps(record), RunManifest, where, remedy)
    if _PLAN_SHA256 in record and record[_PLAN_SHA256] != _digest(record["plan"]):
        raise FileError(f"The plan in {where} is not what was written there; it is damaged or was edited; {remedy}.")


def _digest(plan: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def state_of(folder: PathLike, record: Mapping[str, Any]) -> str:
    """``finished``, ``running``, or ``stopped``: begun by a process that has ended."""
    if record["state"] == FINISHED:
        return FINISHED
    return RUNNING if at_work_on(folder) else STOPPED


def kind_named(recipe: str) -> str:
    """The kind of a run's folder, as in its manifest.

    >>> kind_named("attractors")
    'separatrix attractors'
    """
    return f"separatrix {recipe}"


def _begun(place: Reservation, plan: Plan) -> Run:
    """A run at this place: the one that is there if it has this plan, else a new one if it may replace what is there."""
    record = _fresh(plan, place.key)
    if not os.path.lexists(place.target):
        return Run(place, record)
    earlier = manifest_of(place.target)
    if not any(place.target.iterdir()) or (place.overwrite and _REPLACING not in earlier):
        return Run(place, record, replaces=True)
    if not _is_a_run(earlier):
        raise FileError(f"{place.asked} already exists; choose another folder, or remove it first.")
    _require_as_written(earlier, f"{place.asked}/{MANIFEST}")
    different = plan.differences(earlier["plan"])
    if different and place.overwrite:
        return Run(place, record, replaces=True)
    if different and _is_empty(place.target, earlier):
        return Run(place, record)
    if different:
        raise OtherPlan(
            f"{place.asked} holds a run of something else (it differs in {in_words(different)}); choose another folder, or "
            "remove it first."
        )
    kept = ("plan", _PLAN_SHA256, "state", "stages", "files", "figures", _REPLACING)
    return Run(place, {**record, **{key: earlier[key] for key in kept if key in earlier}})


def _fresh(plan: Plan, key: str) -> dict[str, Any]:
    values = plan.to_dict()
    return {
        "written_by": writer(),
        "kind": kind_named(plan.recipe),
        "state": RUNNING,
        "asked": key,
        "plan": values,
        _PLAN_SHA256: _digest(values),
        "stages": {},
        "files": [MANIFEST, ON_ITS_WAY],
        "figures": False,
    }


def _is_empty(folder: Path, record: Mapping[str, Any]) -> bool:
    """Has nothing been computed there?"""
    kept = folder / UNFINISHED
    under_way = kept.exists() and any(kept.iterdir())
    return not (record["stages"] or record["state"] == FINISHED or under_way)


def _is_a_run(record: Mapping[str, Any]) -> bool:
    shapes = {"kind": str, "state": str, "plan": dict, "stages": dict, "files": list, "figures": bool}
    return all(isinstance(record.get(key), kind) for key, kind in shapes.items())


def _checksum(stage: Path, missing: str | None = None) -> str:
    """SHA-256 of a file, or of the record of a result, which holds those of all that it consists of."""
    try:
        return hashlib.sha256((stage / _RECORD if stage.is_dir() else stage).read_bytes()).hexdigest()
    except OSError as error:
        if missing is not None:
            return missing
        raise FileError(f"{stage} cannot be read ({error.strerror}); it is damaged.") from error
