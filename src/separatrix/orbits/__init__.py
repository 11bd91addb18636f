"""Orbits z_{t+1} = f(z_t): iterate many at once, watch them, and learn how each one ended."""

from separatrix.orbits.fates import Fate, Fates
from separatrix.orbits.iterate import iterate
from separatrix.orbits.observers import FirstCrossings, MeanDistance, Observer, PathLength
from separatrix.orbits.result import Orbits
from separatrix.orbits.status import Status

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
