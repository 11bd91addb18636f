"""Tasks for workers, which import them from here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from separatrix.errors import FieldError


def doubled(part: bytes, *shared: object) -> bytes:
    return part * 2


def in_words(part: int, shared: dict[str, int]) -> str:
    return f"{part}/{len(shared)}"


def whose(part: int) -> int:
    """The process that computes."""
    time.sleep(0.05)
    return os.getpid()


def killed_at_first(part: int, folder: str) -> int:
    """Part 1 takes its worker along, the first time."""
    if part == 1 and _first(folder, "killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    return part


def always_killed(part: int) -> int:
    if part == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


def failing(part: int, folder: str) -> int:
    """Part 1 fails twice, part 3 always."""
    tries = len(list(Path(folder).glob(f"{part}-*")))
    Path(folder, f"{part}-{tries}").touch()
    if (part == 1 and tries < 2) or part == 3:
        raise ZeroDivisionError(f"part {part}")
    return part


def refusing(part: int) -> int:
    raise FieldError("The model changes; load it again.")


def slow_at_first(part: int, folder: str) -> int:
    """Part 0 never ends for whoever gets it first."""
    if part == 0 and _first(folder, "slow"):
        time.sleep(3600)
    return part


def endless_there(part: int, node: str) -> int:
    """No part ends on this node of a Ray cluster."""
    import ray

    if ray.get_runtime_context().get_node_id() == node:
        time.sleep(3600)
    return part


def _first(folder: str, name: str) -> bool:
    try:
        Path(folder, name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def of_two(part: bytes, first: bytes, second: bytes) -> bytes:
    return part + first + second


def failing_bytes(part: bytes, folder: bytes) -> bytes:
    return str(failing(int(part), folder.decode())).encode()
