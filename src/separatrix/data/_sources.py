"""Sources of many pictures are folders, shards that hold many each, and lists of both, here or in an object store.

A *shard* is a tar file as WebDataset writes them, or a Parquet file with a column of pictures. Files are found one after the other and
opened by whoever reads them, which may be another process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from separatrix.data._pictures import is_picture, pictures_under
from separatrix.errors import FileError, InputError
from separatrix.storage import PathLike, Place, place_of, url_of

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
PARQUET = ".parquet"
_COLUMN = "#"  # between a Parquet file, or a folder of them, and the name of the column


class PictureFile(NamedTuple):
    """A picture or a shard.

    Attributes:
        name: in tables; relative to what all files of a source lie in, with forward slashes.
        where: its path or URL.
        size: bytes.
        mtime_ns: its time stamp; −1 where nobody says.
        column: of a Parquet file, if one was named.
    """

    name: str
    where: str
    size: int
    mtime_ns: int
    column: str = ""

    @property
    def is_shard(self) -> bool:
        """Does it hold many pictures?"""
        return is_shard(self.where)

    @property
    def stamped(self) -> tuple[str, int, int]:
        """Its name, its size and its time stamp."""
        return self.name, self.size, self.mtime_ns

    def opened(self) -> AbstractContextManager[BinaryIO]:
        """Its bytes, as a stream; raises as `Place.opened`."""
        place, name = _beside(self.where)
        return place.opened(name)


def is_shard(name: str) -> bool:
    """Is this the name of a file that holds many pictures?

    >>> is_shard("train-0001.tar"), is_shard("b.parquet"), is_shard("a.png")
    (True, True, False)
    """
    return name.lower().endswith((*TARS, PARQUET))


def is_stream(source: PathLike) -> bool:
    """Is this a folder, a shard, or a URL, rather than one array or one picture?"""
    text, _ = _without_column(os.fspath(source))
    return url_of(text) is not None or os.path.isdir(text) or is_shard(text)


def canonical(sources: Sequence[PathLike]) -> str | list[str]:
    """Return what is the same for the same sources, however they were given; one stands for itself."""
    known = sorted({_canonical(os.fspath(source)) for source in sources})
    return known[0] if len(known) == 1 else known


def files_of(sources: Sequence[PathLike]) -> Iterator[PictureFile]:
    """All pictures under some folders, and all shards, in the order of their names; each once.

    A folder stands for the pictures in it (recursively, hidden files are skipped), or, if there is none, for its shards.

    Raises:
        FileError: a folder cannot be read or holds nothing, or a file is missing.
        InputError: one of several sources is something else, or a URL needs a package.
    """
    roots = sorted({os.fspath(source) for source in sources}, key=lambda text: _canonical(text).split("/"))
    if len(roots) > 1:
        for text in roots:
            if not is_stream(text) and not (is_picture(text) and os.path.isfile(text)):
                raise InputError(f"Of several sources each is a folder of pictures or a shard, which {text} is not.")
    base = _in_common(roots)
    seen: set[str] = set()
    for text in roots:
        for file in _files_of(text):
            name = file.name if base is None else _relative(file.where, base)
            if len(roots) == 1 or name not in seen:
                seen.update((name,) if len(roots) > 1 else ())
                yield file._replace(name=name)


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of a file; two impossible numbers where there is none, as at the end of a dangling link."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def content_beside(shard: str, path: str) -> bytes:
    """The bytes of a file that a shard names, which must lie in the folder of the shard.

    Raises:
        FileError: it lies elsewhere, or cannot be read.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or url_of(path) is not None:
        raise FileError(f"{path!r} leads out of the folder of {shard}; name pictures relative to it.")
    if url_of(shard) is None:
        try:
            return (Path(shard).parent / path).read_bytes()
        except (OSError, ValueError) as error:
            raise FileError(f"{path!r} cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    try:
        return _beside(shard)[0].read("/".join(parts))
    except FileNotFoundError as error:
        raise FileError(f"{path!r} cannot be read ({error.strerror}).") from error


def content_at(where: str) -> bytes:
    """The bytes of a file at a URL; raises as `Place.read`."""
    place, name = _beside(where)
    return place.read(name)


def _files_of(text: str) -> Iterator[PictureFile]:
    source, column = _without_column(text)
    found = _here(Path(source)) if url_of(source) is None else _there(str(url_of(source)).rstrip("/"))
    first = next(found, None)
    if first is None:
        raise FileError(f"{source} contains no pictures; check the path.")
    yield from (file._replace(column=column) for file in chain((first,), found))


def _here(source: Path) -> Iterator[PictureFile]:
    if not source.is_dir() and (is_shard(source.name) or is_picture(source.name)):
        if not source.exists():
            raise FileError(f"There is no file or folder {source} (seen from {Path.cwd()}); check the path.")
        yield PictureFile(source.name, str(source), *stamp_of(source))
        return
    for wanted in (is_picture, is_shard):
        path = None
        for path in pictures_under(source, (), wanted):
            yield PictureFile(path.relative_to(source).as_posix(), str(path), *stamp_of(path))
        if path is not None:
            return


def _there(url: str) -> Iterator[PictureFile]:
    folder, last = _beside(url)
    alone = is_shard(last) or is_picture(last)
    place = folder if alone else place_of(url, reading=True)
    found = [
        (name, size, mtime_ns)
        for name, size, mtime_ns in place.stamps(last if alone else "")
        if not any(part.startswith(".") for part in name.split("/"))
    ]
    found.sort(key=lambda one: one[0].split("/"))
    for wanted in (is_picture, is_shard):
        files = [PictureFile(name, f"{place}/{name}", size, mtime_ns) for name, size, mtime_ns in found if wanted(name)]
        yield from files
        if files:
            return


def _beside(where: str) -> tuple[Place, str]:
    """The place in which a file lies, and its name there."""
    folder, _, name = (url_of(where) or os.path.abspath(where)).rpartition("/")
    return place_of(folder or "/", reading=True), name


def _without_column(text: str) -> tuple[str, str]:
    if _COLUMN in text and not os.path.lexists(text):
        source, _, column = text.rpartition(_COLUMN)
        if is_shard(source) or os.path.isdir(source) or url_of(source) is not None:
            return source, column
    return text, ""


def _canonical(text: str) -> str:
    source, column = _without_column(text)
    whole = os.path.realpath(source) if url_of(source) is None else str(url_of(source)).rstrip("/")
    return f"{whole}{_COLUMN}{column}" if column else whole


def _in_common(roots: Iterable[str]) -> str | None:
    """The folder in which several sources lie; None for a single one, whose files are named by what they are in it."""
    texts = [_without_column(text)[0] for text in roots]
    if len(texts) == 1:
        return None
    urls = [url_of(text) for text in texts]
    if any(url is None for url in urls) != all(url is None for url in urls):
        return ""
    whole = [os.path.abspath(text) if url is None else url.rstrip("/") for text, url in zip(texts, urls, strict=True)]
    folders = [text.rpartition("/")[0] if is_shard(text) or is_picture(text) else text for text in whole]
    return os.path.commonpath(folders) if urls[0] is None else _common_url(folders)


def _common_url(folders: Sequence[str]) -> str:
    kinds = {folder.partition("://")[0] for folder in folders}
    common = os.path.commonpath([folder.partition("://")[2] for folder in folders])
    return f"{kinds.pop()}://{common}" if len(kinds) == 1 and common else ""


def _relative(where: str, base: str) -> str:
    whole = os.path.abspath(where) if url_of(where) is None else where
    return whole.removeprefix(base).lstrip("/") if base else whole
