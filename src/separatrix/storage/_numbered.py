"""Places of runs to which nobody gave a name: the first free number, or the run that the same command began and did not finish."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

from separatrix.errors import FileError
from separatrix.storage._manifest import manifest_of
from separatrix.storage._place import PathLike
from separatrix.storage._reservation import Busy, Reservation, reserve


@contextmanager
def reserve_numbered(
    stem: PathLike, *, kind: str, key: str = "", reads: Iterable[PathLike | None] = (), room: int = 0
) -> Iterator[Reservation]:
    """Hold the first place ``STEM-N`` where nothing is, or a run that the same command (``key``) began and did not finish, and no other
    run is at work."""
    first, reads = Path(stem), tuple(reads)
    with ExitStack() as stack:

        def free(after: int, going_on: bool) -> Reservation:
            for number in count(after):
                path = first.with_name(f"{first.name}-{number}")
                if os.path.lexists(path) and not (going_on and _begun_by(path, kind, key)):
                    continue
                try:
                    place = stack.enter_context(reserve(path, kind=kind, run=True, reads=reads, room=room))
                except FileError as error:
                    if isinstance(error, Busy) or os.path.lexists(
                        path
                    ):  # the latter: a killed run's, just put in place
                        continue
                    raise
                place.key, place.another = key, partial(free, number + 1, going_on=False)
                return place
            raise AssertionError("numbers do not end")

        yield free(1, going_on=True)


def _begun_by(path: Path, kind: str, key: str) -> bool:
    """Did the same command begin the run there, and was it stopped?"""
    record = manifest_of(path)
    return bool(key) and (record.get("kind"), record.get("asked"), record.get("state")) == (kind, key, "running")
