"""Engines: who computes the parts of long work, here, in other processes, or on other machines."""

from separatrix.engines._beats import Watch
from separatrix.engines._current import current, using
from separatrix.engines._engine import Engine, Here
from separatrix.engines._keeping import Keeping
from separatrix.engines._processes import Processes
from separatrix.engines._ray import Ray
from separatrix.engines._shared_folder import COORDINATOR, Bench, SharedFolder, task_name
from separatrix.engines._worker import versions

__all__ = [
    "COORDINATOR",
    "Bench",
    "Engine",
    "Here",
    "Keeping",
    "Processes",
    "Ray",
    "SharedFolder",
    "Watch",
    "current",
    "task_name",
    "using",
    "versions",
]
