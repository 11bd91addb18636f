"""A place that somebody asks to write to is refused before anything is computed, if what is there must not be replaced."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from separatrix.errors import FileError
from separatrix.storage._manifest import foreign_entries, in_words, kind_of
from separatrix.storage._place import PathLike


def part_of(target: Path) -> Path:
    """Return the hidden folder beside it, in which it is made."""
    place = Path(os.path.abspath(target))
    if not place.name:
        raise FileError(f"{target} is no name for what is written; choose a path that ends in one.")
    return place.with_name(f".{place.name}.part")


def followed(asked: Path) -> Path:
    """Return where a link leads, else the path itself."""
    if not asked.is_symlink():
        return asked
    target = Path(os.path.realpath(asked))
    if not target.exists():
        raise FileError(
            f"{asked} is a link to {target}, which does not exist; remove the link, or make what it leads to."
        )
    return target


def refuse_source(asked: Path, target: Path, reads: Iterable[PathLike | None]) -> None:
    """Refuse to replace what is read, or a folder that holds it."""
    real = Path(os.path.realpath(target))
    for source in reads:
        if source is None:
            continue
        text = os.fspath(source)
        for name in (text, text.rpartition("#")[0], text.rpartition(":")[0]):  # an array of a file, a function of one
            place = Path(os.path.realpath(os.path.expanduser(name))) if name else None
            if place is not None and place.exists() and real in (place, *place.parents):
                what = "is" if place == real else f"holds {name}, which is"
                raise FileError(f"{asked} {what} read here; choose another place to write to.")


def refuse_what_is_there(asked: Path, target: Path, kind: str | None, overwrite: bool) -> None:
    """Refuse to replace anything but an earlier result of the same kind, with leave.

    Raises:
        FileError: the message says what is there.
    """
    if not os.path.lexists(target):
        return
    if kind is None:
        if target.is_dir():
            raise FileError(f"{asked} is a folder; choose a name for a file.")
        if not overwrite:
            raise FileError(f"{asked} already exists; choose another name, or pass overwrite=True.")
        return
    if not overwrite:
        raise FileError(f"{asked} already exists; choose another folder, or remove it first.")
    if not target.is_dir():
        raise FileError(f"{asked} is a file; choose another folder.")
    foreign, found = foreign_entries(target), kind_of(target)
    if foreign:
        raise FileError(
            f"{asked} is not an earlier run and nothing else (it holds {in_words(foreign)}), so it is not replaced; choose "
            "another folder."
        )
    if found not in (None, kind):
        raise FileError(
            f"{asked} is not an earlier run of this kind ({found}), so it is not replaced; choose another folder."
        )
