"""A path or a URL is turned into the place that it names; paths of this machine never import fsspec."""

from __future__ import annotations

import os
import re
from pathlib import Path

from separatrix.storage._folder import Folder
from separatrix.storage._place import PACKAGES, Place
from separatrix.storage._reservation import PathLike

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/{1,2})")


def place_of(where: PathLike | Place) -> Place:
    """Return the place at a path or a URL; nothing is made or looked at.

    Raises:
        InputError: the URL is of a kind that is not known, names no bucket, or needs a package; the message says which.
    """
    if isinstance(where, Place):
        return where
    url = url_of(where)
    if url is None:
        return Folder(Path(where))
    from separatrix.storage._buckets import Bucket

    return Bucket.at(url)


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
