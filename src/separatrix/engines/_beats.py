"""A worker of a shared folder that has died is recognised without comparing the clocks of two machines.

Whoever works rewrites a small file with a number that grows. Others look at it now and then: a number that has not grown for so long, by the
looker's own clock, is that of a process that has ended or stands still. On one machine the system is asked, which knows at once.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Self
from uuid import uuid4

from separatrix.errors import FileError
from separatrix.storage import Owner, Place

BEAT = 2.0
"""Seconds between two beats."""
LEASE = 60.0
"""Seconds without a beat after which a worker counts as dead. If it lives, its part is computed twice, and nothing else happens."""
_FOLDER = "workers"


class Beating:
    """A process says that it lives, while the block lasts.

    Args:
        place: of the computation.
        name: of this worker, for people.
        facts: are told with every beat.
    """

    def __init__(self, place: Place, name: str, **facts: Any) -> None:
        self.place, self.name, self.facts = place, name, facts
        self.key = uuid4().hex[:16]
        self.parts = 0
        self._beats = 0
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._over.clear()
        self._beat()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        with suppress(FileError):
            self.place.remove(f"{_FOLDER}/{self.key}")

    def _beat(self) -> None:
        self._beats += 1
        owner = asdict(Owner.here())
        record = {"owner": owner, "name": self.name, "beat": self._beats, "parts": self.parts, **self.facts}
        self.place.write(f"{_FOLDER}/{self.key}", json.dumps(record).encode())

    def _go_on(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(FileError):  # a full disk is found out where results are written
                self._beat()


class Watch:
    """Looks who lives.

    Args:
        place: of the computation.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._seen: dict[str, tuple[bytes, float]] = {}

    def dead(self, key: str) -> bool:
        """Is it certain, or long enough without a beat, that this worker has ended?"""
        found = self._read(key)
        if found is None:
            return True
        now = time.monotonic()
        before, since = self._seen.setdefault(key, (found, now))
        if before != found:
            self._seen[key] = found, now
            since = now
        return now - since > LEASE or not _owner_lives(found)

    def living(self) -> list[dict[str, Any]]:
        """Return what those who live say of themselves."""
        keys = [name.rpartition("/")[2] for name in self.place.list(_FOLDER)]
        told = [(key, self._read(key)) for key in keys]
        return [record_of(found) for key, found in told if found is not None and not self.dead(key)]

    def _read(self, key: str) -> bytes | None:
        try:
            return self.place.read(f"{_FOLDER}/{key}")
        except (FileNotFoundError, FileError):
            return None


def record_of(content: bytes) -> dict[str, Any]:
    """Return what a beat says; nothing where it cannot be read."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _owner_lives(content: bytes) -> bool:
    try:
        return Owner(**record_of(content)["owner"]).alive
    except (KeyError, TypeError):
        return True
