"""A place is a folder of files, on this machine or in an object store, that several processes write to at the same time.

All files are whole: whoever reads one sees nothing or everything that was written, whatever was killed meanwhile. What holds where:

* **A folder of this machine or a shared one** (NFS, Lustre): a file is written beside its place, brought to the disk and renamed. It is created
  exclusively by a hard link, which one process gets and nobody sees before the content is there.
* **An object store** (``s3://``, ``gs://``, ``az://``, through fsspec; see `_buckets`): a file is one put, which is atomic and at once seen by everybody.
  It is created exclusively by a put on the condition that nothing is there (``If-None-Match: *`` on S3).
"""

from __future__ import annotations

import errno
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from separatrix.errors import FileError, InputError
from separatrix.storage._manifest import ON_ITS_WAY

PathLike = str | os.PathLike[str]
Content = bytes | bytearray | memoryview

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}
"""Of object stores, by how their URLs begin: their puts are atomic, can be made on the condition that nothing is there, and are seen at once."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/{1,2})")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class Place(ABC):
    """A folder of files, wherever it is.

    The names of files are relative and may have folders in them: ``parts/0007.safetensors``. Folders come and go with what is in them. A place
    may be sent to other processes.

    >>> import tempfile
    >>> from separatrix.storage import place_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = place_of(folder) / "round-1"
    ...     place.write("part", b"done")
    ...     place.create_exclusive("claim", b"worker 1"), place.create_exclusive("claim", b"worker 2"), place.list()
    (True, False, ['claim', 'part'])
    """

    @abstractmethod
    def __truediv__(self, name: str) -> Place:
        """A folder in this one."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: there is no such file; what that means, the caller knows.
            FileError: it cannot be read.
        """

    @abstractmethod
    def write(self, name: str, content: Content) -> None:
        """Write a file, or replace one: whole or not at all, and on the disk when this returns.

        Raises:
            FileError: it cannot be written; what was there before still is.
        """

    @abstractmethod
    def create_exclusive(self, name: str, content: Content) -> bool:
        """Write a file if there is none of this name; of several processes that try, at most one is told True.

        Where the answer of an object store is lost and the put is sent again, nobody may be told True, although the file is there. So a content
        should say whose it is: who is told False reads it, and may find that it is its own.

        Raises:
            FileError: it cannot be written, or the place cannot promise this.
        """

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Is there such a file?"""

    @abstractmethod
    def list(self, folder: str = "") -> list[str]:
        """Return the names of all files here, or of those in a folder, in order; none where there is no such folder."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if there is none."""

    @abstractmethod
    def stamps(self, name: str = "") -> Iterator[tuple[str, int, int]]:
        """Name, size in bytes and time stamp in nanoseconds (−1 where the store has none) of all files here, or of one, in any order.

        Raises:
            FileError: the place cannot be listed, or there is no such file.
        """

    @abstractmethod
    def put(self, name: str, path: Path) -> None:
        """Write a file with the content of the one at ``path``, which may be larger than the memory; as :meth:`write` otherwise."""

    @abstractmethod
    def get(self, name: str, path: Path) -> None:
        """Write the content of a file, which may be larger than the memory, to ``path``; raises as :meth:`read`."""

    @abstractmethod
    def opened(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a file to read parts of it; raises as :meth:`read`."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove what processes that were killed left on its way; for whoever knows that nobody is writing here."""


def url_of(where: PathLike) -> str | None:
    """The URL that a path is; None for a path of this machine. Of a URL that went through `pathlib` one slash is left.

    >>> url_of("s3://bucket/run"), url_of(Path("s3://bucket/run")), url_of("runs/7"), url_of("C:/runs")
    ('s3://bucket/run', 's3://bucket/run', None, None)
    """
    text = os.fspath(where)
    found = _URL.match(text)
    if found is None or (found[2] == "/" and (found[1] not in PACKAGES or os.path.lexists(f"{found[1]}:"))):
        return None
    return f"{found[1].lower()}://{text[found.end() :]}"


def checked(name: str) -> str:
    """The name of a file in a place.

    Raises:
        InputError: it is empty, leads out of the place, or is kept for files on their way.
    """
    parts = name.split("/")
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") or part.startswith(ON_ITS_WAY) for part in parts):
        raise InputError(f"{name!r} is no name of a file in a place; give a relative one, such as 'parts/0007'.")
    return name


def unwritten(where: object, error: OSError) -> FileError:
    """Why nothing can be written there, and what to do."""
    reason = error.strerror or error
    if error.errno in _NO_SPACE:
        return FileError(f"Writing {where} failed ({reason}); free some space or choose another disk.")
    return FileError(f"Writing {where} failed ({reason}); choose a folder you may write to.")
