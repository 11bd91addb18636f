"""A place for what will be written: nobody else gets it meanwhile, and what is built for it appears whole or not at all.

Beside ``NAME`` a hidden folder ``.NAME.part`` holds ``owner.json`` (who is at work), ``new`` (what is being built), for the
moment of the change ``ready`` (complete, on its way to its place) and ``old`` (what it replaces). What a process that has ended
left there is settled by whoever wants the place next: what was ready is put in place, and the rest is removed.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from separatrix.errors import FileError
from separatrix.storage._asked_place import followed, part_of, refuse_source, refuse_what_is_there
from separatrix.storage._manifest import foreign_entries, kind_of, write_manifest
from separatrix.storage._owner import Owner
from separatrix.storage._place import PathLike, url_of
from separatrix.storage._swap import drop, drop_replaced, listed, put_in_place, settle

ROOM = 2**20
"""Bytes that must be free before a long computation begins; a small report takes as many."""

_OWNER = "owner.json"
_TRIES = 100  # to be faster than another process that wants the same place
_held: set[Path] = set()  # where this process is at work; what a failure has left is not among them
_one_thread = threading.Lock()


class Busy(FileError):
    """Another run is writing to that place."""


class Reservation(os.PathLike[str]):
    """A reserved place. Whatever writes takes it in the stead of its path.

    Attributes:
        asked: the path that was asked for.
        target: what is written: where that path leads, if it is a link.
        new: a folder on the same disk; :meth:`commit` moves what is in it to beside ``target``.
        overwrite: may what is there be replaced?
        key: of the command that asked for it, in short; empty if there was none.
        another: gives the next place instead, where the number of a run was left to us.
    """

    def __init__(self, asked: Path, target: Path, overwrite: bool) -> None:
        self.asked, self.target, self.overwrite = asked, target, overwrite
        self.key, self.another = "", None
        self._part = part_of(target)
        self.new = self._part / "new"

    key: str
    another: Callable[[], Reservation] | None

    def __fspath__(self) -> str:
        return str(self.asked)

    __str__ = __fspath__

    def commit(self) -> None:
        """Put what was built in its place. A process that is killed on the way loses nothing: the next one goes on.

        Raises:
            FileError: something foreign has appeared there meanwhile; the message says where the result is instead.
            OSError: it cannot be moved; what was there before is there again.
        """
        for place, _, files in os.walk(self.new):
            for file in files:
                _to_disk(Path(place) / file)
        ready = self._part / "ready"
        self.new.rename(ready)
        entries = len(listed(ready))
        try:
            elsewhere = put_in_place(self._part, self.overwrite)
        except BaseException:  # also Ctrl-C: between two renames there is nothing at ``target``
            self._give_back()
            if len(listed(ready)) == entries:  # else what has begun is finished, now or by the next run
                ready.rename(self.new)
            raise
        if elsewhere:
            raise FileError(
                f"Something appeared at {self.asked} while this was computed, so the result is in {elsewhere[0]}; move it to "
                "where you want it."
            )
        with suppress(OSError):  # what stays is removed with the reservation
            drop_replaced(self._part)

    def remove(self) -> None:
        """Remove the folder that is there, unless something foreign is in it; in one step, as it came."""
        if self.target.is_dir() and not foreign_entries(self.target):
            drop(self.target, self._part)

    def clear(self) -> None:
        """Take away what is there; it is gone when the reservation ends."""
        if os.path.lexists(self.target):
            (self._part / "old").mkdir(exist_ok=True)
            self.target.rename(self._part / "old" / self.target.name)

    def _give_back(self) -> None:
        for old in listed(self._part / "old"):
            place = self._part.with_name(old.name)
            if not os.path.lexists(place):
                try:
                    old.rename(place)
                except OSError as error:
                    raise FileError(
                        f"Writing {self.asked} failed ({error.strerror or error}) after the old result had been moved to "
                        f"{old}; rename it back."
                    ) from error


@contextmanager
def reserve(
    path: PathLike,
    *,
    kind: str | None,
    overwrite: bool = False,
    run: bool = False,
    reads: Iterable[PathLike | None] = (),
    room: int = 0,
) -> Iterator[Reservation]:
    """Hold a place until the block ends; whatever would keep a result from being written there is found out now.

    Args:
        path: of the folder or file to be. If it is a link, it stays one, and what it leads to is written.
        kind: what the folder is, as in its manifest; None for a file.
        overwrite: a folder of that kind may be replaced if nothing in it is foreign, and a file may.
        run: a folder of that kind may be there, to go on with (`separatrix.runs`).
        reads: data and models that the work reads (None is none): what is replaced may not hold them.
        room: bytes that must be free.

    Raises:
        FileError: what is there is not to be replaced, or another run writes there (`Busy`), or nobody can.
    """
    if (url := url_of(path)) is not None:
        raise FileError(
            f"{url} is in an object store, which has no locks and no renames, so nothing is made there; give a folder of this machine, and "
            f"copy it when it is finished: separatrix copy FOLDER {url}."
        )
    asked = Path(path)
    target = followed(asked)
    part = part_of(target)
    created = [parent for parent in part.parents if not parent.exists()]
    refuse_source(asked, target, reads)
    with _one_thread:
        if part in _held:
            raise _busy(part, Owner.here())
        _held.add(part)
    taken = False
    try:
        try:
            _take(part)
            taken = True
            _require_room(part, room)
            if overwrite or not run or kind_of(target) != kind:
                refuse_what_is_there(asked, target, kind, overwrite)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _failed(asked, error) from error
            raise FileError(
                f"Cannot write to {target.parent} ({error.strerror}); choose a folder you may write to."
            ) from error
        yield Reservation(asked, target, overwrite)
    finally:
        try:
            if taken:
                settle(part)
        finally:
            _held.discard(part)
        for parent in created:  # innermost first; one that somebody else uses by now is not empty and stays
            with suppress(OSError):
                parent.rmdir()


@contextmanager
def new_folder(path: PathLike, *, kind: str, overwrite: bool = False, room: int = 0) -> Iterator[Path]:
    """A folder that becomes ``path`` if the block succeeds, with a manifest of what is in it, and vanishes if it does not.

    Args:
        path: as for :func:`reserve`, or a reservation.
        kind, overwrite, room: as for :func:`reserve`, unless it is one.

    Raises:
        FileError: as :func:`reserve`; or the disk is full.
    """
    with hold(path, kind=kind, overwrite=overwrite, room=room) as place, _built(place) as building:
        building.mkdir()
        yield building
        write_manifest(building, kind)
        place.commit()


@contextmanager
def new_file(path: PathLike, *, overwrite: bool = True, room: int = 0) -> Iterator[Path]:
    """A path that becomes the file ``path`` if the block succeeds, and vanishes if it does not.

    Files that the block writes beside it go with it.

    Raises:
        FileError: as :func:`reserve`; or the disk is full.
    """
    with hold(path, kind=None, overwrite=overwrite, room=room) as place, _built(place) as building:
        yield building
        place.commit()


def hold(path: PathLike, *, kind: str | None, overwrite: bool, **options: Any) -> AbstractContextManager[Reservation]:
    """The reservation itself, if the path is one, else a new one (see :func:`reserve`)."""
    if isinstance(path, Reservation):
        return nullcontext(path)
    return reserve(path, kind=kind, overwrite=overwrite, **options)


def at_work_on(path: PathLike) -> bool:
    """Is a process that lives writing to that place?"""
    part = part_of(followed(Path(path)))
    return part in _held or _at_work(Owner.read(part / _OWNER))


def held_by(path: PathLike) -> tuple[Owner | None, Path]:
    """Return who holds that place, a process that lives, and the folder beside it in which it may put down how far it is."""
    part = part_of(followed(Path(path)))
    owner = Owner.read(part / _OWNER)
    return (owner if owner is not None and owner.alive else None), part


@contextmanager
def _built(place: Reservation) -> Iterator[Path]:
    """Return where the content of a place is built."""
    try:
        shutil.rmtree(place.new, ignore_errors=True)  # of an attempt that failed
        place.new.mkdir()
        yield place.new / place.target.name
    except OSError as error:
        raise _failed(place.asked, error) from error


# -- taking a place, and leaving it ------------------------------------------------------------------------------------


def _take(part: Path) -> None:
    """Make the folder ``part``, with its owner in it from the first moment on: nothing is renamed onto a full folder."""
    for attempt in range(_TRIES):
        part.parent.mkdir(parents=True, exist_ok=True)
        mine = None
        try:
            mine = Path(tempfile.mkdtemp(prefix=f"{part.name}-", dir=part.parent))
            Owner.here().write(mine / _OWNER)
            with _alone(part.parent):
                _clear(part, but=mine)
                mine.rename(part)
            return
        except OSError as error:
            # Somebody was faster; or took ours, not yet signed, for a dead one's, or the parent for an empty folder.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT) or attempt == _TRIES - 1:
                raise
        finally:
            if mine is not None:
                shutil.rmtree(mine, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time decides who is dead, where the file system has locks."""
    try:
        import fcntl
    except ImportError:  # Windows has none
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _clear(part: Path, but: Path) -> None:
    """Settle what processes that have ended left for this place; refuse if one is at work."""
    for name in os.listdir(part.parent):
        left = part.with_name(name)
        if name.startswith(f"{part.name}-") and left != but and not _at_work(Owner.read(left / _OWNER)):
            shutil.rmtree(left, ignore_errors=True)
    if not os.path.lexists(part):
        return
    owner = Owner.read(part / _OWNER)
    if owner is None:
        raise FileError(f"{part} is in the way and was not made by a run; move it away, or choose another name.")
    if _at_work(owner):
        raise _busy(part, owner)
    settle(part)


def _at_work(owner: Owner | None) -> bool:
    """Is it another process that lives? What this one finds of itself is what a failure has left."""
    return owner is not None and owner != Owner.here() and owner.alive


def _busy(part: Path, owner: Owner) -> Busy:
    place = part.with_name(part.name.removeprefix(".").removesuffix(".part"))
    return Busy(
        f"Another run is writing to {place} ({owner}); wait for it or choose another name (if that is no run of separatrix, "
        f"remove {part})."
    )


def _require_room(part: Path, room: int) -> None:
    """Write as much, and remove it."""
    if room:
        ballast = part / "room"
        with ballast.open("wb") as stream:
            stream.write(bytes(room))
            stream.flush()
            os.fsync(stream.fileno())
        ballast.unlink()


def _to_disk(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _failed(path: Path, error: OSError) -> FileError:
    return FileError(f"Writing {path} failed ({error.strerror or error}); free some space or choose another disk.")
