"""Orbits z_{t+1} = f(z_t): iterate many at once, watch them, and learn how each one ended."""

from separatrix.orbits._fates import Fate, Fates, fate_of_each
from separatrix.orbits._iterate import iterate, run_orbits
from separatrix.orbits._observers import FirstCrossings, MeanDistance, Observer, PathLength, Snapshots
from separatrix.orbits._result import Orbits
from separatrix.orbits._status import Status

__all__ = [
    "Fate",
    "Fates",
    "FirstCrossings",
    "MeanDistance",
    "Observer",
    "Orbits",
    "PathLength",
    "Snapshots",
    "Status",
    "fate_of_each",
    "iterate",
    "run_orbits",
]
