"""Engines: who computes the parts of long work, here, in other processes, or on other machines."""

from separatrix.engines._current import current, using
from separatrix.engines._engine import Engine, Here
from separatrix.engines._keeping import Keeping
from separatrix.engines._processes import Processes
from separatrix.engines._ray import Ray

__all__ = ["Engine", "Here", "Keeping", "Processes", "Ray", "current", "using"]
