"""This file tells whose a reservation is, and whether that process still lives."""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from separatrix.errors import FileError

_ENDED = "ZX"  # states of a process in /proc that no longer does anything


@dataclass(frozen=True)
class Owner:
    """A process, so described that another one with the same number is not mistaken for it.

    Attributes:
        host: the machine's name.
        boot: changes whenever the machine starts; empty where the system does not say.
        namespace: process numbers mean something within one of these (a container has its own).
        pid: its number.
        started: when, in the units of the system; empty where it does not say.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        return cls(platform.node(), _boot(), _namespace(), os.getpid(), _started(os.getpid()) or "")

    @classmethod
    def read(cls, path: Path) -> Owner | None:
        """Return what :meth:`write` wrote; None if there is nothing of that kind."""
        from separatrix.storage._records import ProcessRecord, read_record, values_of

        try:
            return cls(**values_of(read_record(path, ProcessRecord)))
        except (FileNotFoundError, FileError):
            return None

    def write(self, path: Path) -> None:
        """A small file, safe from a power failure."""
        with path.open("w", encoding="utf-8") as stream:
            json.dump(asdict(self), stream)
            stream.flush()
            os.fsync(stream.fileno())

    @property
    def alive(self) -> bool:
        """False only where it is certain that the process has ended; of another machine nobody can tell."""
        here = Owner.here()
        if self.host != here.host:
            return True
        if self.boot != here.boot:
            return False
        return self.namespace != here.namespace or _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def _started(pid: int) -> str | None:
    """Tell when the process began, or None if there is no such process or it has ended."""
    try:
        state, *others = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in _ENDED else others[18]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (OSError, IndexError, ValueError):
        pass
    try:
        os.kill(pid, 0)  # signal 0 is none: it only asks
    except (ProcessLookupError, OverflowError):
        return None
    except OSError:  # there is one, of another user
        pass
    return ""


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _namespace() -> str:
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""
