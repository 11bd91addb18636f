"""What a run took: clock, processor time, peak memory, and how much of it was spent inside the network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separatrix.field import LatentField
from separatrix.field import _derivatives as derivatives

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Spent:
    """Of one stretch of work. ``processor`` is that of all threads: it does not grow when the machine has other work."""

    wall: float = 0.0
    processor: float = 0.0
    memory_mib: float = math.nan  # peak of the resident memory above what was resident before; NaN where unknown
    peak_mib: float = math.nan  # the same with what was resident before

    def scaled(self, factor: float) -> Spent:
        """The same work ``factor`` times."""
        return Spent(self.wall * factor, self.processor * factor, self.memory_mib, self.peak_mib)


@contextmanager
def spent() -> Iterator[Spent]:
    """Filled in when the block ends."""
    result = Spent()
    before = _start_peak()
    wall, processor = time.perf_counter(), time.process_time()
    try:
        yield result
    finally:
        result.wall, result.processor = time.perf_counter() - wall, time.process_time() - processor
        result.peak_mib = _resident("VmHWM") / 1024
        result.memory_mib = result.peak_mib - before / 1024


def _start_peak() -> float:
    """Make Linux forget the peak of the resident memory; kB resident now, NaN on other systems."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return math.nan
    return _resident("VmRSS")


def _resident(entry: str) -> float:
    if not _STATUS.exists():
        return math.nan
    lines = [line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(entry + ":")]
    return float(lines[0].split()[1]) if lines else math.nan


@dataclass
class Network:
    """Processor seconds inside the network: forward passes, and derivatives with their forward and backward passes."""

    forward: float = 0.0
    derivative: float = 0.0
    passes: int = 0
    _depth: int = 0

    @property
    def seconds(self) -> float:
        """Both."""
        return self.forward + self.derivative


@contextmanager
def network_time() -> Iterator[Network]:
    """Time every evaluation of every `LatentField` in the block. Costs about a microsecond per network pass."""
    meter = Network()

    def timed(function: Callable[..., Any], entry: str) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if meter._depth:  # a forward pass inside a derivative belongs to it
                return function(*args, **kwargs)
            meter._depth += 1
            begin = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                setattr(meter, entry, getattr(meter, entry) + time.process_time() - begin)
                meter.passes += 1
                meter._depth -= 1

        return wrapper

    places = [(LatentField, "bare", "forward")] + [
        (derivatives, name, "derivative") for name in ("jacobian", "jvp", "vjp")
    ]
    originals = [(place, name, getattr(place, name)) for place, name, _ in places]
    try:
        for place, name, entry in places:
            setattr(place, name, timed(getattr(place, name), entry))
        yield meter
    finally:
        for place, name, original in originals:
            setattr(place, name, original)
