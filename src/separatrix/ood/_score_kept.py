"""Scores are kept before the table is complete: beside it lies a folder with a file per part, whole or not at all, named by the SHA-256 of its content.

What is there and matches its name is done; everything else is scored again. Nothing else needs to be known of a run that was killed.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from separatrix.errors import FileError
from separatrix.ood._score_task import FileScores
from separatrix.storage import place_of

_DIGEST = re.compile("[0-9a-f]{64}")

Known = dict[tuple[str, int, int], tuple[FileScores, dict[str, str]]]
"""By name, size and time stamp of a file its rows, and by row why it has no score."""


class KeptScores:
    """The scores of parts, in a folder that goes when the table is complete.

    Args:
        folder: of one table, one detector and one source.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._place = place_of(folder)

    def keep(self, files: tuple[FileScores, ...], broken: dict[str, str]) -> None:
        """Store the scores of a part.

        Raises:
            FileError: the place cannot be written.
        """
        rows = [[*file[:4], [None if math.isnan(score) else score for score in file.scores]] for file in files]
        content = json.dumps({"files": rows, "broken": broken}).encode()
        self._place.write(hashlib.sha256(content).hexdigest(), content)

    def read(self) -> Known:
        """All files whose rows are kept. Where there are rows of the same file twice, those count of which more have a score."""
        found: Known = {}
        for name in self._names():
            try:
                content = self._place.read(name)
            except (FileNotFoundError, FileError):
                continue
            if hashlib.sha256(content).hexdigest() == name:
                part = json.loads(content)
                for file in map(_file_scores, part["files"]):
                    known = found.get(file[:3])
                    if known is None or scored(file) > scored(known[0]):
                        broken = {row: part["broken"][row] for row in file.names if row in part["broken"]}
                        found[file[:3]] = file, broken
        return found

    def remove(self) -> None:
        """Take all of it away."""
        for name in self._names():
            self._place.remove(name)
        self._place.sweep()
        with suppress(OSError):  # it is not there, or holds something foreign
            self.folder.rmdir()

    def _names(self) -> list[str]:
        return [name for name in self._place.list() if _DIGEST.fullmatch(name)]


def scored(file: FileScores) -> int:
    """Count the rows of a file that have a score."""
    return sum(not math.isnan(score) for score in file.scores)


def _file_scores(found: list[Any]) -> FileScores:
    name, size, mtime_ns, names, scores = found
    values = tuple(math.nan if score is None else score for score in scores)
    return FileScores(name, size, mtime_ns, tuple(names), values)
