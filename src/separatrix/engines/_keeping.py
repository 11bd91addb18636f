"""This file tells what parts gave is kept in a place, so that whoever computes the same again finds what is done.

A file is named by the SHA-256 of all that the part was computed from and begins with that of its name and content: what is written and valid is
done, and a part that is damaged, or is of something else, is computed again. Nothing else needs to be known of a run that was killed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from separatrix.engines._engine import Engine
from separatrix.errors import CheckpointWarning, FileError, warn
from separatrix.storage import Place

_DIGEST = hashlib.sha256().digest_size


class Keeping:
    """Looks a part up before an engine computes it, and keeps what the engine gives.

    Args:
        engine: that computes.
        place: of the computation. Only parts of one model may lie there, because a model that is shared has no digest here.

    >>> from separatrix.engines import Here
    >>> from separatrix.storage import place_of
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for _ in range(2):
    ...         keeping = Keeping(Here(), place_of(folder))
    ...         sorted(keeping.map(bytes.upper, [b"a", b"b"])), keeping.found
    ([(0, b'A'), (1, b'B')], 0)
    ([(0, b'A'), (1, b'B')], 2)
    """

    def __init__(self, engine: Engine, place: Place) -> None:
        self.engine, self.place = engine, place
        self.found = 0
        self._writable = True

    def map(self, task: Callable[..., bytes], parts: Iterable[bytes], *shared: Any) -> Iterator[tuple[int, bytes]]:
        """Compute the parts as `Engine.map` does, of parts that are bytes and give bytes."""
        begun = hashlib.sha256(repr((getattr(task, "__module__", None), task.__qualname__)).encode())
        for value in shared:
            begun.update(hashlib.sha256(value).digest() if isinstance(value, bytes) else b"-")
        names: list[tuple[int, str]] = []
        known: list[tuple[int, bytes]] = []

        def missing() -> Iterator[bytes]:
            for number, part in enumerate(parts):
                digest = begun.copy()
                digest.update(part)
                content = self._kept(digest.hexdigest())
                if content is None:
                    names.append((number, digest.hexdigest()))
                    yield part
                else:
                    known.append((number, content))

        for place, content in self.engine.map(task, missing(), *shared):
            number, name = names[place]
            self._keep(name, content)
            yield number, content
            yield from self._taken(known)
        yield from self._taken(known)

    def forget(self) -> None:
        """Remove all that is kept: a later state of the computation is stored."""
        for name in self.place.list():
            self.place.remove(name)

    def _taken(self, known: list[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        while known:
            self.found += 1
            yield known.pop()

    def _kept(self, name: str) -> bytes | None:
        try:
            return unsealed(name, self.place.read(name))
        except (FileNotFoundError, FileError):
            return None

    def _keep(self, name: str, content: bytes) -> None:
        """Store a part. If that cannot be done there is one warning, and the computation goes on."""
        if not self._writable:
            return
        try:
            self.place.write(name, seal(name, content))
        except FileError as error:
            self._writable = False
            words = f"Parts of the computation could not be stored ({error}); it goes on without."
            warn(words, CheckpointWarning)


def seal(name: str, content: bytes) -> bytes:
    """Return what is stored of a part under its name.

    >>> unsealed("part", seal("part", b"content")), unsealed("other", seal("part", b"content"))
    (b'content', None)
    """
    return _digest(name, content) + content


def unsealed(name: str, stored: bytes) -> bytes | None:
    """Return the content of what is stored under this name; None if it is damaged, or of another part."""
    content = stored[_DIGEST:]
    return content if stored[:_DIGEST] == _digest(name, content) else None


def _digest(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + content).digest()
