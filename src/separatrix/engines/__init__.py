"""Engines: who computes the parts of long work."""

from separatrix.engines._engine import Engine, Here
from separatrix.engines._keeping import Keeping
from separatrix.engines._processes import Processes

__all__ = ["Engine", "Here", "Keeping", "Processes"]
