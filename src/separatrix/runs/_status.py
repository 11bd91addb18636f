"""The state of a run while it is under way: how far it is, how fast, how long still, and who works on it.

It lies beside the run, where its reservation is, and is gone when the process ends; no result depends on it.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress

from separatrix.engines import current
from separatrix.storage import Reservation, held_by
from separatrix.storage._manifest import write_whole_file
from separatrix.work import Moment

STATUS = "status.json"
_EVERY = 2.0  # seconds


class Status:
    """A sink of progress that puts the last moment down, now and then.

    Args:
        place: of the run.
    """

    def __init__(self, place: Reservation) -> None:
        self._folder = held_by(place.asked)[1]
        self._began = self._put_down = time.monotonic()
        self._stage: tuple[str, ...] = ()
        self._since, self._done_then = self._began, 0.0
        self._fraction_then: float | None = None

    def show(self, moment: Moment) -> None:
        """Put it down, if the last was some seconds ago."""
        now = time.monotonic()
        if self._fraction_then is None:  # what was done by an earlier process says nothing about the pace of this one
            self._fraction_then = moment.fraction
        if moment.stages != self._stage:
            self._stage, self._since, self._done_then = moment.stages, now, moment.done
        if now - self._put_down < _EVERY:
            return
        self._put_down = now
        made = moment.fraction - self._fraction_then
        record = {
            "stages": list(moment.stages),
            "done": moment.done,
            "total": moment.total,
            "per_second": (moment.done - self._done_then) / max(now - self._since, 1e-3),
            "fraction": moment.fraction,
            "seconds": now - self._began,
            "seconds_left": (now - self._began) * (1 - moment.fraction) / made if made > 0 else None,
            "engine": repr(current() or "this process"),
        }
        with suppress(OSError):  # a full disk is found out where results are written
            write_whole_file(self._folder, STATUS, json.dumps(record).encode())

    def close(self) -> None:
        """It goes with the reservation."""
