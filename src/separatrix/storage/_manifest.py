"""This file tells what in a folder was written by separatrix: the only things there that are ever replaced or removed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
"""In every folder that `new_folder` makes: who wrote it, of which kind it is, and the files in it."""

RESULT, DETECTOR, CHECKPOINT = "separatrix result", "separatrix detector", "separatrix checkpoint"
"""Kinds of folders; those of runs are named where the runs are."""

_WRITER = "separatrix"
ON_ITS_WAY, UNFINISHED = ".on-its-way", ".unfinished"
"""In the folder of a run: a file that is being added, and what a long stage keeps on its way."""

_NAMED = 3  # entries that a message names

# Folders from before there were manifests: what they are by, and the only names that may be in one.
_RESULT_FILES = r"result\.json|tensors\.safetensors"
_FIGURES = "film|field|nulls|attractors|basins|shares|steps|spectrum|contact_sheet|curves|atoms|reconstructions"
_SEARCHES = "limits|orbits|held_out|noise|from-digits|from-noise|grid"
_IN_A_RUN = rf"summary\.json|report\.html|model_card\.md|(?:{_FIGURES})\.png|(?:{_SEARCHES})/(?:{_RESULT_FILES})"
_EARLIER = {
    RESULT: _RESULT_FILES,
    DETECTOR: r"detector\.json|detector\.safetensors",
    "separatrix demo": rf"(?:k2|k16|k16-ten-digits)/(?:model\.safetensors|{_IN_A_RUN})|{_IN_A_RUN}",
}


@cache
def writer() -> str:
    """Return who writes: this package, with its version."""
    return f"{_WRITER} {metadata.version('separatrix')}"


def write_manifest(folder: Path, kind: str) -> None:
    """List all that is in a folder that was just made."""
    record = {"written_by": writer(), "kind": kind, "files": sorted([*_entries(folder), MANIFEST])}
    (folder / MANIFEST).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def write_whole_file(folder: Path, name: str, content: bytes) -> None:
    """Put a file into a folder, or replace one: whole or not at all.

    Raises:
        OSError: it cannot be written; the folder is as it was.
    """
    try:
        with (folder / ON_ITS_WAY).open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(folder / ON_ITS_WAY, folder / name)
    finally:
        (folder / ON_ITS_WAY).unlink(missing_ok=True)


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a folder; empty if there is none that can be read."""
    return _read(folder / MANIFEST)


def kind_of(folder: Path) -> str | None:
    """Return what a folder of ours is; None for any other."""
    return _ours(folder)[0]


def foreign_entries(folder: Path) -> list[str]:
    """Return what is in a folder that separatrix did not write: files, links and empty folders, by their paths in it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = (Path(place) / "mine.txt").write_text("mine")
    ...     foreign_entries(Path(place))
    ['mine.txt']
    """
    _, mine = _ours(folder)
    return [name for name in _entries(folder) if not mine.fullmatch(name)]


def in_words(entries: list[str]) -> str:
    """Some entries by name, the others by number, as text that can be printed."""
    named = [os.fsencode(name).decode("utf-8", "replace") for name in entries[:_NAMED]]
    more = len(entries) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


_MARKS = ("summary.json", "result.json", "detector.json")
_NOTHING = re.compile(r"(?!)")


def _ours(folder: Path) -> tuple[str | None, re.Pattern[str]]:
    """The kind of a folder, and a pattern of the paths in it that are ours."""
    manifest = _read(folder / MANIFEST)
    kind, files = manifest.get("kind"), manifest.get("files")
    if (
        str(manifest.get("written_by")).startswith(_WRITER)
        and isinstance(kind, str)
        and isinstance(files, list)
        and all(isinstance(file, str) for file in files)
    ):
        own = [*map(re.escape, files), rf"{re.escape(UNFINISHED)}/.*"] if "plan" in manifest else map(re.escape, files)
        return kind, re.compile("|".join(own) or _NOTHING.pattern)
    summary, result, detector = (_read(folder / name) for name in _MARKS)
    kind = summary.get("kind")
    if isinstance(kind, str) and kind.startswith(_WRITER):
        return kind, re.compile(_EARLIER.get(kind, _IN_A_RUN))
    if {"format", "type", "content"} <= result.keys():
        return RESULT, re.compile(_EARLIER[RESULT])
    if {"format", "kind", "tensors_sha256"} <= detector.keys():
        return DETECTOR, re.compile(_EARLIER[DETECTOR])
    return None, _NOTHING


def _read(path: Path) -> dict[str, Any]:
    from separatrix.storage._records import json_if_any

    found = json_if_any(path)
    return found if isinstance(found, dict) else {}


def _entries(folder: Path, prefix: str = "") -> Iterator[str]:
    """Files and links below a folder, and empty folders, which end in a slash; links are never followed."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    if prefix and not entries:
        yield prefix
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(folder / entry.name, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name
