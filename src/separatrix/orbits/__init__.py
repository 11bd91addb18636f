"""Orbits z_{t+1} = f(z_t): iterate many at once, watch them, and learn how each one ended."""

from separatrix.orbits._fates import Fate, Fates
from separatrix.orbits._iterate import iterate
from separatrix.orbits._observers import FirstCrossings, MeanDistance, Observer, PathLength
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
    "Status",
    "iterate",
]
