"""NumPy files: .npy mapped, .npz streamed, so that only the wanted rows are read; pickles never."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from separatrix.data._images import shape_words
from separatrix.data._layout import Raw, refuse_one_image
from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.work import require_room


class Header(NamedTuple):
    """It tells what an .npy header says."""

    shape: tuple[int, ...]
    column_major: bool
    dtype: np.dtype[Any]


def read_npy(path: Path, limit: int | None) -> Raw:
    """The first ``limit`` rows of an .npy file; the others are never read."""
    with path.open("rb") as stream:
        header = _header(stream, str(path))
        start = stream.tell()
    _refuse_unreadable(header, str(path))
    refuse_one_image(header.shape, str(path))
    if 0 in header.shape:
        values: NDArray[Any] = np.empty(header.shape, header.dtype)
    else:
        with whole(path):
            order: Literal["F", "C"] = "F" if header.column_major else "C"
            values = np.memmap(path, header.dtype, "r", start, header.shape, order)
    return Raw(values=values[:limit], origin={"format": "npy", **described(header.shape, header.dtype)})


def read_npz(path: Path, key: str | None, limit: int | None) -> Raw:
    """The first ``limit`` rows of one array of an .npz file, with the labels and names stored beside it."""
    with whole(path), zipfile.ZipFile(path) as archive:
        headers = _headers(archive, path)
        chosen = choose_key({name: (h.shape, h.dtype) for name, h in headers.items()}, key, str(path))
        header = headers[chosen]
        refuse_one_image(header.shape, f"{path}#{chosen}")
        parallel = {name: h.dtype.kind for name, h in headers.items() if h.shape == header.shape[:1]}
        labels = _labels_of(chosen, {name for name, kind in parallel.items() if kind in "biuf"})
        named = parallel.get("names") == "U"
        return Raw(
            values=_member(archive, chosen, limit, path),
            names=tuple(_member(archive, "names", limit, path).tolist()) if named else None,
            targets=None if labels is None else _member(archive, labels, limit, path),
            origin={"format": "npz", "key": chosen, **described(header.shape, header.dtype)},
        )


def choose_key(arrays: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]], key: str | None, where: str) -> str:
    """``key`` if it is there, or the only array that looks like images (or, failing those, like vectors).

    >>> choose_key({"x": ((9, 8, 8), np.dtype("uint8")), "y": ((9,), np.dtype("uint8"))}, None, "digits.npz")
    'x'
    """
    listing = ", ".join(f"{name} ({shape_words(shape) or 'one number'})" for name, (shape, _) in arrays.items())
    if key is not None:
        if key not in arrays:
            raise InputError(f"{where} has no array {key!r}; it has {listing}.")
        return key
    numeric = {name: len(shape) for name, (shape, dtype) in arrays.items() if dtype.kind in "bufi"}
    for axes in ((3, 4), (2,)):
        candidates = [name for name, count in numeric.items() if count in axes]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            break
    else:
        raise InputError(f"{where} holds no array of images or vectors; it has {listing}.")
    raise InputError(f"{where} holds several arrays, {listing}; choose one, as by {where}#{candidates[0]}.")


def read_rows(
    stream: BufferedIOBase, shape: tuple[int, ...], dtype: np.dtype[Any], limit: int | None, where: str
) -> NDArray[Any]:
    """The first ``limit`` rows of a row-major array from a stream, decompressing no more than those."""
    count = shape[0] if limit is None else min(limit, shape[0])
    words = f"{where}, which says that it holds {shape_words(shape)} values,"
    require_room(
        count * math.prod(shape[1:]) * dtype.itemsize, words, "pass limit=, or download it again if it is smaller"
    )
    values: NDArray[Any] = np.empty((count, *shape[1:]), dtype)
    room = memoryview(values.reshape(-1).view(np.uint8).data)
    filled = 0
    while filled < len(room):
        got = stream.readinto(room[filled:])
        if not got:
            raise FileError(
                f"{where} is truncated: {shape_words(values.shape)} values need {len(room):,} bytes and only "
                f"{filled:,} are there; download it again or pass a smaller limit=."
            )
        filled += got
    return values


def described(shape: tuple[int, ...], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Shape and type of the source, for the provenance."""
    return {"shape": list(shape), "dtype": dtype.name}


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Around the reading of a file: whatever a stranger's bytes make a reader raise means that it is damaged.

    Raises:
        SeparatrixError: what was raised on purpose, as it is; a FileError for all else.
    """
    try:
        yield
    except SeparatrixError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FileError(f"{path} is truncated or damaged ({reason}); download or write it again.") from error


def _header(stream: BufferedIOBase, where: str) -> Header:
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        header = Header(*read(stream))
    except Exception as error:  # the header is parsed as Python source, which can fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileError(f"{where} has no readable .npy header ({reason}); write it again with numpy.save.") from error
    if min(header.shape, default=0) < 0:
        raise FileError(
            f"{where} says that its shape is {header.shape}, which is none; write it again with numpy.save."
        )
    return header


def _headers(archive: zipfile.ZipFile, path: Path) -> dict[str, Header]:
    names = [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]
    if not names:
        raise FileError(_no_arrays(path, archive.namelist()))
    headers = {}
    for name in names:
        with archive.open(f"{name}.npy") as stream:
            headers[name] = _header(cast(BufferedIOBase, stream), f"{path}#{name}")
    return headers


def _member(archive: zipfile.ZipFile, name: str, limit: int | None, path: Path) -> NDArray[Any]:
    where = f"{path}#{name}"
    with archive.open(f"{name}.npy") as opened:
        stream = cast(BufferedIOBase, opened)
        header = _header(stream, where)
        _refuse_unreadable(header, where)
        if header.column_major:  # a row is scattered over the whole stream
            return read_rows(stream, header.shape[::-1], header.dtype, None, where).transpose()[:limit]
        return read_rows(stream, header.shape, header.dtype, limit, where)


def _refuse_unreadable(header: Header, where: str) -> None:
    if header.dtype.hasobject:
        raise FileError(
            f"{where} holds pickled Python objects, which can run code and are never loaded "
            "(allow_pickle stays False); save the images as numbers: np.save(path, np.stack(images))."
        )
    if not header.shape:
        raise InputError(f"{where} holds a single number; give an array of images.")


def _labels_of(images: str, candidates: set[str]) -> str | None:
    """The array that belongs to ``images`` as y_train does to x_train, or labels to images."""
    names = (images.replace("x", "y", 1), images.replace("images", "labels", 1))
    return next((name for name in names if name != images and name in candidates), None)


def _no_arrays(path: Path, members: list[str]) -> str:
    if any(name.endswith("data.pkl") for name in members):
        return f"{path} is a PyTorch file, a pickle, which can run code; save the images with numpy.save."
    return f"{path} is a zip archive without .npy arrays; unpack it and give the folder or file of images."
