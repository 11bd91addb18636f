"""A process that is killed at its n-th step on the disk, simulated: from there on nothing it tries has an effect."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

STEPS = ("rename", "replace", "mkdir", "rmdir", "unlink", "link", "fsync")
"""Functions of `os` that change what is on the disk; opening a file to write is a step too."""


class Killed(BaseException):
    """The process is gone: what catches exceptions does not catch this, and clean-up is as powerless as the rest."""


@contextmanager
def stepping(before: Callable[[], None]) -> Iterator[None]:
    """Call ``before`` before each step that is taken here."""

    def preceded(function: Callable[..., Any], is_step: Callable[..., bool]) -> Callable[..., Any]:
        def taken(*arguments: Any, **options: Any) -> Any:
            if is_step(*arguments, **options):
                before()
            return function(*arguments, **options)

        return taken

    def writes(_file: Any, mode: str = "r", *_: Any, **__: Any) -> bool:
        return bool(set(mode) & set("wax+"))

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, preceded(getattr(os, name), lambda *_, **__: True))
        patch.setattr(io, "open", preceded(io.open, writes))
        yield


def killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Run ``work`` up to its step-th step (from 0); was it killed, or did it end before?"""
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1
        if taken > step:
            raise Killed

    with stepping(count):
        try:
            work()
        except Killed:
            return True
    return False


def left_by_kills(work: Callable[[], Any], folder: Path, to: Path, every: int = 1) -> list[Path]:
    """What processes leave in a folder that are killed at the first, second, third … step: copies, made while ``work`` is done once."""
    copies: list[Path] = []
    taken, busy = 0, False

    def keep() -> None:
        nonlocal taken, busy
        if busy:  # copying takes steps too
            return
        if taken % every == 0:
            busy = True
            copies.append(Path(shutil.copytree(folder, to / f"step {taken}", symlinks=True)))
            busy = False
        taken += 1

    with stepping(keep):
        work()
    return copies
