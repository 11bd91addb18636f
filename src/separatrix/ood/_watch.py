"""A stream of scores against the promised false-alarm rate, block by block, in one sitting or several."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import CalibrationWarning, FileError, InputError
from separatrix.numerics import conformal_p_values
from separatrix.ood._decisions import decided
from separatrix.ood._monitor import MonitorReport, StreamMonitor
from separatrix.ood._score_table import write_whole
from separatrix.storage import PathLike


class Reading(NamedTuple):
    """The monitor after a block: its last input's name, and what was seen up to there."""

    last: str
    report: MonitorReport


def watch(
    monitor: StreamMonitor, calibration: Tensor, scores: Iterable[tuple[str, float]], *, every: int = 1000
) -> Iterator[Reading]:
    """Decide on each score by itself, at the monitor's rate, and read the monitor every so many inputs.

    If the stream ends with an error, or with Ctrl-C, there is a reading of what came before it, and then that error.

    Args:
        monitor: is counted on.
        calibration: the detector's calibration scores.
        scores: names with scores, in the order in which the inputs came; NaN, or no number, is unscorable. Taken
            only as they are needed.
        every: inputs per reading; the last reading may be of fewer.

    >>> calibration = torch.arange(999.0)
    >>> stream = ((str(i), 998.5 if i % 2 else 0.0) for i in range(100))
    >>> readings = list(watch(StreamMonitor(0.01, 999), calibration, stream, every=50))
    >>> [(reading.last, reading.report.alarms, reading.report.drifted) for reading in readings]
    [('49', 25, True), ('99', 50, True)]
    """
    if every < 1:
        raise InputError(f"A reading is of at least 1 input, not of {every}.")
    if len(calibration) != monitor.calibration:
        raise InputError(
            f"The monitor was begun with {monitor.calibration} calibration scores, and the detector has {len(calibration)}; "
            "begin a new one."
        )
    source = iter(scores)
    stopped: BaseException | None = None
    while stopped is None:
        block: list[tuple[str, float]] = []
        try:
            for name, score in islice(source, every):
                block.append((name, _number(score)))
        except BaseException as error:  # also a Ctrl-C, which is how a stream ends: what came before it counts
            stopped = error
        if not block:
            break
        values = torch.tensor([score for _, score in block], dtype=torch.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)  # one for a stream, by whoever begins it
            decisions = decided(values, conformal_p_values(values, calibration), monitor.rate, len(calibration))
        yield Reading(block[-1][0], monitor.update(decisions))
    if stopped is not None:
        raise stopped


def _number(score: Any) -> float:
    """A score; NaN, which is unscorable, for what is none."""
    try:
        return float(score)
    except (TypeError, ValueError):
        return math.nan


def save_monitor(monitor: StreamMonitor, path: PathLike) -> None:
    """The counts, for the next sitting; all of the file or nothing.

    Raises:
        FileError: the place cannot be written.
    """
    write_whole(path, json.dumps(monitor.to_dict(), indent=1))


@checked
def load_monitor(path: Path, rate: float, calibration: int, delta: float) -> StreamMonitor:
    """Go on where :func:`save_monitor` stopped; a new monitor where there is no such file yet.

    Raises:
        FileError: the file is none of a monitor, or of one with another promise.
    """
    from separatrix.storage._records import MonitorState, read_record, values_of

    try:
        state = read_record(path, MonitorState, "give another name, or remove it")
    except FileNotFoundError:
        return StreamMonitor(rate, calibration, delta=delta)
    monitor = StreamMonitor.from_dict(values_of(state))
    if (monitor.rate, monitor.calibration, monitor.delta) != (rate, calibration, delta):
        raise FileError(
            f"{path} monitors a rate of {monitor.rate:g} with {monitor.calibration} calibration scores and delta "
            f"{monitor.delta:g}, not {rate:g}, {calibration} and {delta:g}; give another name for another promise."
        )
    return monitor
