"""The idx format of MNIST: two zeros, type code, number of axes, big-endian axis lengths, then the values."""

from __future__ import annotations

import gzip
import struct
from io import BufferedIOBase
from pathlib import Path
from typing import cast

import numpy as np

from separatrix.data._arrays import described, read_rows, whole
from separatrix.data._layout import Raw
from separatrix.errors import FileError

GZIP_MAGIC = b"\x1f\x8b"
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(start: bytes) -> bool:
    """Do the first bytes of a file make an idx header?

    >>> is_idx(b"\\x00\\x00\\x08\\x03"), is_idx(b"\\x89PNG")
    (True, False)
    """
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in _TYPES and start[3] > 0


def read_idx(path: Path, limit: int | None) -> Raw:
    """The first ``limit`` items of an idx file; a gzipped one is decompressed only that far."""
    with whole(path), path.open("rb") as file:
        compressed = file.peek(2)[:2] == GZIP_MAGIC
        stream = cast(BufferedIOBase, gzip.GzipFile(fileobj=file) if compressed else file)
        start = stream.read(4)
        if not is_idx(start):
            raise FileError(f"{path} is gzipped but does not hold an idx file as MNIST's are; unpack it first.")
        axes = start[3]
        lengths = stream.read(4 * axes)
        if len(lengths) < 4 * axes:
            raise FileError(f"{path} is truncated inside its header; download it again.")
        shape = struct.unpack(f">{axes}I", lengths)
        dtype = np.dtype(_TYPES[start[2]])
        if axes == 1:
            raise FileError(f"{path} holds one number per item, that is labels; give the file of images (idx3).")
        values = read_rows(stream, shape, dtype, limit, str(path))
    return Raw(values=values, origin={"format": "idx.gz" if compressed else "idx", **described(shape, dtype)})
