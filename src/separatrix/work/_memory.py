"""This file tells how much memory is to be had, and the one rule for what may take it: nothing that was asked for takes more than half."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from separatrix.errors import InputError

SHARE = 0.5
"""Of the available memory, at most, for one thing: what is computed from it needs room too."""

LITTLE = 2**20
"""Bytes for which one of very many things need not ask: asking takes longer than decoding a small picture."""

_GROUPS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def available() -> int | None:
    """Bytes that this process can still get: what the system has, within the limit of a container; None if nobody says."""
    rooms = [room for room in (_of_system(), *_of_groups()) if room is not None]
    return min(rooms) if rooms else None


def resident() -> int:
    """Bytes of memory that this process takes now; where nobody says, the most that it ever took, and 0 where not even that is known."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def require_room(need: int, what: str, remedy: str) -> None:
    """Raise an InputError if ``need`` bytes are more than half of the memory that is available.

    >>> require_room(1000, "A picture", "give a smaller one")
    """
    room = available()
    if room is not None and need > SHARE * room:
        raise InputError(
            f"{what} would take {_size(need)} of memory, more than half of the {_size(room)} that are available; {remedy}."
        )


def _of_system() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:  # not on Linux: all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_groups() -> list[int | None]:
    rooms: list[int | None] = []
    for limit, used in _GROUPS:
        try:
            most, taken = (int(Path("/sys/fs/cgroup", name).read_text()) for name in (limit, used))
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
        rooms.append(max(most - taken, 0))
    return rooms


def _size(count: int) -> str:
    """Write a size, such as ``2.5 GB``.

    >>> _size(2_500_000_000), _size(10**30)
    ('2.5 GB', '1e+21 GB')
    """
    return f"{count / 1e9:.3g} GB"
