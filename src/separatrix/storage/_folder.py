"""Places in the file system of this machine, or in one that several machines share."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from separatrix.errors import FileError
from separatrix.storage._manifest import ON_ITS_WAY
from separatrix.storage._place import Content, Place, checked, unwritten

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class Folder(Place):
    """A place in the file system.

    Attributes:
        path: of the folder, which is made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.path / checked(name))

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Place({str(self.path)!r})"

    def read(self, name: str) -> bytes:
        with self._reading(name) as path:
            return path.read_bytes()

    def get(self, name: str, path: Path) -> None:
        with self._reading(name) as source:
            shutil.copyfile(source, path)

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        with self._reading(name) as path, path.open("rb") as stream:
            yield stream

    def stamps(self, name: str = "") -> Iterator[tuple[str, int, int]]:
        for each in [name] if name else self.list():
            try:
                found = (self.path / checked(each)).stat()
            except OSError as error:
                raise FileError(f"{self.path / each} cannot be read ({error.strerror}); check the path.") from error
            yield each, found.st_size, found.st_mtime_ns

    def write(self, name: str, content: Content) -> None:
        with self._written(name, content) as (built, path):
            os.replace(built, path)

    def put(self, name: str, path: Path) -> None:
        with self._written(name, path) as (built, target):
            os.replace(built, target)

    def create_exclusive(self, name: str, content: Content) -> bool:
        if os.path.lexists(self.path / checked(name)):
            return False
        with self._written(name, content) as (built, path):
            try:
                os.link(built, path)
            except FileExistsError:
                return built.stat().st_nlink > 1  # NFS: it was we, whose first answer got lost
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                raise FileError(
                    f"The file system of {self.path} has no hard links, without which two processes could take the same file; choose a "
                    "folder on another one."
                ) from error
        return True

    def exists(self, name: str) -> bool:
        return (self.path / checked(name)).is_file()

    def list(self, folder: str = "") -> list[str]:
        top = self.path / checked(folder) if folder else self.path
        found = []
        for place, _, files in os.walk(top, onerror=self._unlistable):
            inside = Path(place).relative_to(self.path)
            found += [(inside / file).as_posix() for file in files if not file.startswith(ON_ITS_WAY)]
        return sorted(found)

    def remove(self, name: str) -> None:
        try:
            (self.path / checked(name)).unlink(missing_ok=True)
        except NotADirectoryError:  # a file where the name has a folder
            return
        except OSError as error:
            raise unwritten(self, error) from error

    def sweep(self) -> None:
        for place, _, files in os.walk(self.path):
            for file in files:
                if file.startswith(ON_ITS_WAY):
                    with suppress(OSError):
                        Path(place, file).unlink()

    @contextmanager
    def _reading(self, name: str) -> Iterator[Path]:
        path = self.path / checked(name)
        try:
            yield path
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
        except OSError as error:
            raise FileError(
                f"{path} cannot be read ({error.strerror or error}); check the disk and who may read it."
            ) from error

    @contextmanager
    def _written(self, name: str, content: Content | Path) -> Iterator[tuple[Path, Path]]:
        """A file beside its place, with the content of it, on the disk; gone when the block ends, unless it was renamed."""
        path = self.path / checked(name)
        built = path.with_name(f"{ON_ITS_WAY}-{uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with built.open("xb") as stream:
                    if isinstance(content, Path):
                        with content.open("rb") as source:
                            shutil.copyfileobj(source, stream)
                    else:
                        stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                yield built, path
            finally:
                built.unlink(missing_ok=True)
        except OSError as error:
            raise unwritten(path, error) from error

    @staticmethod
    def _unlistable(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise FileError(
                f"{error.filename} cannot be listed ({error.strerror or error}); check the disk and who may read it."
            ) from error
