"""A run is looked at while it is under way, without disturbing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from separatrix.engines import Watch
from separatrix.errors import FileError
from separatrix.runs._run import record_of_run, state_of
from separatrix.runs._status import STATUS
from separatrix.runs._work import place_of_work
from separatrix.storage import PathLike, held_by
from separatrix.storage._records import json_if_any


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One run, as it is at this moment.

    Attributes:
        recipe: the kind of run it is.
        state: ``finished``, ``running`` or ``stopped``.
        stages: that are stored.
        owner: the process that is at work on it, in words; None if none is.
        moment: how far it is: ``stages``, ``done``, ``total``, ``per_second``, ``fraction``, ``seconds``, ``seconds_left``, ``engine``; empty where it is not
            known, as in the first seconds.
        workers: who else works on it: ``name``, ``owner``, ``parts`` of each.
    """

    recipe: str
    state: str
    stages: tuple[str, ...]
    owner: str | None
    moment: Mapping[str, Any] = field(default_factory=dict)
    workers: tuple[Mapping[str, Any], ...] = ()


def shown(folder: PathLike) -> Shown:
    """Look at a run.

    Raises:
        FileError: no run is there.
    """
    record = record_of_run(folder)
    owner, beside = held_by(folder)
    told = json_if_any(beside / STATUS) if owner is not None else None
    try:
        living = Watch(place_of_work(folder)).living()
    except FileError:  # it is being tidied up
        living = []
    return Shown(
        recipe=str(record["plan"]["recipe"]),
        state=state_of(folder, record),
        stages=tuple(record["stages"]),
        owner=None if owner is None else str(owner),
        moment=told if isinstance(told, dict) else {},
        workers=tuple(sorted((each for each in living if each.get("name")), key=lambda each: str(each["name"]))),
    )
