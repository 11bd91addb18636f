"""A result takes the place of an earlier one by renames that a process may be killed between: the next one finishes or undoes them.

In the hidden folder beside the place ``ready`` is complete and on its way, and ``old`` is what it replaces (`separatrix.storage._reservation`).
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path
from uuid import uuid4

from separatrix.storage._manifest import foreign_entries


def settle(part: Path) -> None:
    """Finish what has begun to be put in place, and remove the rest. What cannot be finished stays for the next run."""
    with suppress(OSError):
        if (part / "ready").exists():
            put_in_place(part, overwrite=True)
        drop_replaced(part)
        drop(part, part)  # one step: a half-removed folder would have no owner


def drop_replaced(part: Path) -> None:
    """Remove what a result has replaced."""
    for old in listed(part / "old"):
        if foreign_entries(old):  # what somebody put there at the last moment
            _aside(old, part.with_name(old.name))
        else:
            drop(old, part)


def drop(folder: Path, part: Path) -> None:
    """Remove a folder, which is gone in one step for whoever looks for it."""
    gone = part.with_name(f"{part.name}-{uuid4().hex[:8]}")
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def put_in_place(part: Path, overwrite: bool) -> list[Path]:
    """Move what is ready to beside ``part``; returns where those are whose place may not be replaced."""
    elsewhere = []
    for entry in listed(part / "ready"):
        place = part.with_name(entry.name)
        replaceable = overwrite and not (place.is_dir() and foreign_entries(place))
        if os.path.lexists(place) and not replaceable:
            elsewhere.append(_aside(entry, place))
            continue
        if place.is_dir():
            (part / "old").mkdir(exist_ok=True)
            place.rename(part / "old" / place.name)
        entry.rename(place)
    (part / "ready").rmdir()
    return elsewhere


def _aside(entry: Path, place: Path) -> Path:
    """Move it to the first free name beside the place."""
    free = next(
        path
        for number in count(2)
        if not os.path.lexists(path := place.with_name(f"{place.stem}-{number}{place.suffix}"))
    )
    entry.rename(free)
    return free


def listed(folder: Path) -> list[Path]:
    """Return what is in a folder, in order; nothing if there is none."""
    try:
        return sorted(folder / name for name in os.listdir(folder))
    except FileNotFoundError:
        return []
