"""A path or a URL is turned into the place that it names; paths of this machine never import fsspec."""

from __future__ import annotations

from pathlib import Path

from separatrix.storage._folder import Folder
from separatrix.storage._place import PathLike, Place, url_of


def place_of(where: PathLike | Place, *, reading: bool = False) -> Place:
    """Return the place at a path or a URL; nothing is made or looked at.

    Who is only ``reading`` may name a URL of any kind that fsspec knows, not only of object stores.

    Raises:
        InputError: the URL is of a kind that is not known, names no bucket, or needs a package; the message says which.
    """
    if isinstance(where, Place):
        return where
    url = url_of(where)
    if url is None:
        return Folder(Path(where))
    from separatrix.storage._buckets import Bucket

    return Bucket.to_read(url) if reading else Bucket.at(url)
