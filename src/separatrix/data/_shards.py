"""Shards: tar files in the layout of WebDataset and Parquet files, read picture by picture; nothing is unpacked to the disk.

What is wrong with one picture, or with a whole shard, becomes its reason, and what can be read is read.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, BinaryIO, Self

from separatrix.data._picture_stream import Encoded
from separatrix.data._pictures import is_picture
from separatrix.data._sources import PARQUET, PictureFile, content_beside
from separatrix.errors import FileError, InputError, SeparatrixError, first_line
from separatrix.storage import url_of
from separatrix.work import LITTLE, require_room

_HEADER = 2**20  # bytes of a long name or of attributes, at most
_PADDING = 2**24  # zeros after the end of an archive, at most
_ROWS = 64  # of a Parquet file at a time
_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_DAMAGED = (tarfile.TarError, EOFError, ValueError, OverflowError, zlib.error, lzma.LZMAError)
_NAMES = ("image", "img", "picture", "jpg", "jpeg", "png", "webp")
_NAMES_OF_PATHS = ("path", "image_path", "file", "file_name", "filename", "filepath")


class Unread(Exception):
    """A shard could not be read to its end for now, which says nothing about what is in it."""


class _Damaged(Exception):
    """A shard cannot be read further, and why."""


def pictures_in(shard: PictureFile) -> Iterator[Encoded]:
    """The pictures of a shard in their order, one in memory at a time.

    Members of a tar file are named ``SHARD/MEMBER``, rows of a Parquet file ``SHARD/ROW``. Where a shard is damaged, or holds no pictures, it is itself
    the last name, with the reason.

    Raises:
        InputError: a Parquet file has no column of pictures, or several; or pyarrow is missing.
        Unread: the server of an object store does not answer.
    """
    count, trouble = 0, ""
    lost: Unread | None = None
    remote = url_of(shard.where) is not None
    try:
        with shard.opened() as file:
            stream = io.BufferedReader(_Remote(file), 2**16) if remote else file
            try:
                for picture in (
                    _rows(stream, shard) if shard.where.lower().endswith(PARQUET) else _members(stream, shard)
                ):
                    count += 1
                    yield picture
                trouble = "" if count else "holds no pictures"
            except _Damaged as error:
                trouble = f"is damaged ({error}); what stands before that was read"
            except Unread as error:
                lost = error
    except FileNotFoundError as error:
        trouble = f"is gone ({error.strerror})"
    except FileError as error:
        if remote:
            raise Unread(first_line(error)) from error
        trouble = f"cannot be opened ({first_line(error)})"
    if lost is not None:
        raise lost
    if trouble:
        yield Encoded(shard.name, shard.where, trouble=f"The shard {shard.where} {trouble}.")


# -- tar ---------------------------------------------------------------------------------------------------------------


class _Header(tarfile.TarInfo):
    """A header that ends an archive only where it may: tarfile takes a damaged one in the middle for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            raise _Damaged("it ends without the mark of an end, so it was cut off") from error
        except tarfile.HeaderError as error:
            raise _Damaged(first_line(error)) from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (not header.isreg() and header.size > _HEADER):
            raise _Damaged(f"a header of {header.size:,} bytes")
        return header


def _members(stream: Any, shard: PictureFile) -> Iterator[Encoded]:
    seen: dict[str, int] = {}
    try:
        plain = _decompressed(stream)
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_Header) as archive:
            while (entry := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # or all of them would stay in memory
                parts = [part for part in entry.name.split("/") if part not in ("", ".")]
                if not entry.isdir() and parts and is_picture(parts[-1]) and not any(map(_hidden, parts)):
                    name = "/".join(parts)
                    seen[name] = seen.get(name, 0) + 1
                    if seen[name] > 1:  # an archive may hold one name twice
                        name = f"{name}#{seen[name]}"
                    yield _member(archive, entry, f"{shard.name}/{name}", f"{shard.where}/{name}")
                _skip(archive)
            _require_end(archive.fileobj)
    except _DAMAGED as error:
        raise _Damaged(first_line(error)) from error
    except OSError as error:  # of the decompressors, and of a disk
        raise _Damaged(error.strerror or first_line(error)) from error


def _member(archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str, where: str) -> Encoded:
    if not entry.isreg():
        return Encoded(name, where, trouble=f"{where} is no file but a link or a device, which is not followed.")
    try:
        if entry.size > LITTLE:
            require_room(entry.size, where, "take it out of the shard")
    except InputError as error:
        return Encoded(name, where, trouble=str(error))
    content = archive.extractfile(entry)
    assert content is not None
    return Encoded(name, where, content.read())


def _skip(archive: Any) -> None:
    """Go to the next header. tarfile would do so for as long as a header says, also where the file has ended."""
    while (missing := archive.offset - archive.fileobj.tell()) > 0:
        if not archive.fileobj.read(min(missing, 2**16)):
            raise _Damaged("it ends within a member, so it was cut off")


def _hidden(part: str) -> bool:
    return part.startswith(".") and part != ".."


def _decompressed(stream: Any) -> Any:
    """The archive itself; the checksums of whatever it is compressed with are verified on the way."""
    wrapper = _COMPRESSED.get(stream.peek(2)[:2])
    return stream if wrapper is None else wrapper(stream)


def _require_end(stream: Any) -> None:
    """Nothing but some zeros may stand behind the end; what stands there would be left out in silence."""
    count = 0
    while block := stream.read(2**16):
        count += len(block)
        if block.count(0) < len(block) or count > _PADDING:
            raise _Damaged("something stands behind its end, perhaps a second archive: unpack it and pack it again")


class _Remote(io.RawIOBase):
    """A stream over a network, whose troubles are not the shard's."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = 0) -> int:
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._stream.read(len(buffer))
        except Exception as error:  # every store has errors of its own
            raise Unread(first_line(error)) from error
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._stream.close()
        super().close()


# -- Parquet -----------------------------------------------------------------------------------------------------------


def _rows(stream: Any, shard: PictureFile) -> Iterator[Encoded]:
    if find_spec("pyarrow") is None:
        raise InputError('Parquet files need pyarrow; install it with pip install "separatrix[arrow]".')
    import pyarrow
    from pyarrow import parquet

    broken = (pyarrow.ArrowException, OSError, ValueError)
    try:
        file = parquet.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True)
    except broken as error:
        raise _Damaged(first_line(error)) from error
    column = _column(file.schema_arrow, shard)
    first = 0
    for group in range(file.num_row_groups):
        count, done = file.metadata.row_group(group).num_rows, 0
        try:
            for batch in file.iter_batches(_ROWS, row_groups=[group], columns=[column]):
                for value in batch.column(0):
                    row, done = first + done, done + 1
                    yield _row(value.as_py(), f"{shard.name}/{row}", f"{shard.where}/{row}", shard)
        except broken as error:
            trouble = f"Row {first + done} to {first + count - 1} of the shard {shard.where} cannot be read ({first_line(error)})."
            yield Encoded(f"{shard.name}/{first + done}", shard.where, trouble=trouble)
        first += count


def _row(value: Any, name: str, where: str, shard: PictureFile) -> Encoded:
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
        value = path if content is None else content
    if isinstance(value, bytes):
        return Encoded(name, where, value)
    if not value:
        return Encoded(name, where, trouble=f"{where} is empty.")
    try:
        return Encoded(name, where, content_beside(shard.where, str(value)))
    except SeparatrixError as error:
        return Encoded(name, where, trouble=f"{where}: {error}")


def _column(schema: Any, shard: PictureFile) -> str:
    """The name of the column of pictures: the one that was asked for, or the only one that there can be.

    Raises:
        InputError: there is none, or it is not clear which.
    """
    import pyarrow.types as kinds

    columns = {field.name: field.type for field in schema}
    if shard.column:
        if shard.column not in columns:
            raise InputError(f"{shard.where} has no column {shard.column!r}; it has {', '.join(map(repr, columns))}.")
        return shard.column
    texts = [name for name, kind in columns.items() if kinds.is_string(kind) or kinds.is_large_string(kind)]
    pictures = [name for name, kind in columns.items() if _is_bytes(kind)]
    for among in (pictures, texts):
        for name in _NAMES:
            if name in among:
                return name
    paths = [name for name in texts if name in _NAMES_OF_PATHS]
    for among in (pictures, paths):
        if len(among) == 1:
            return among[0]
    raise InputError(
        f"It is not clear which column of {shard.where} holds the pictures ({', '.join(map(repr, columns))}); give "
        f"{shard.where}#COLUMN."
    )


def _is_bytes(kind: Any) -> bool:
    """Binary, or a structure of bytes and path as the datasets library writes it."""
    import pyarrow.types as kinds

    if kinds.is_struct(kind):
        return any(field.name == "bytes" and _is_bytes(field.type) for field in kind)
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_binary_view(kind))
