"""A process that is killed at its n-th step on the disk, simulated: from there on nothing it tries has an effect."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

import pytest

STEPS = ("rename", "replace", "mkdir", "rmdir", "unlink", "link", "fsync")
"""Functions of `os` that change what is on the disk; opening a file to write is a step too."""


class Killed(BaseException):
    """The process is gone: what catches exceptions does not catch this, and clean-up is as powerless as the rest."""


def killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Run ``work`` up to its step-th step (from 0); was it killed, or did it end before?"""
    taken = 0

    def counted(function: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **options: Any) -> Any:
            nonlocal taken
            if counts(*arguments, **options):
                taken += 1
                if taken > step:
                    raise Killed
            return function(*arguments, **options)

        return stepping

    def writes(_file: Any, mode: str = "r", *_: Any, **__: Any) -> bool:
        return bool(set(mode) & set("wax+"))

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, counted(getattr(os, name), lambda *_, **__: True))
        patch.setattr(io, "open", counted(io.open, writes))
        try:
            work()
        except Killed:
            return True
    return False
