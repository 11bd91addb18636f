"""Limit sets: fixed points, cycles, closed curves and continua, which of them attract, and their basins."""

from separatrix.limitsets._basins import Basins, basin_entropy, basins
from separatrix.limitsets._find import find_attractors
from separatrix.limitsets._fixed_points import find_fixed_points
from separatrix.limitsets._motion import Motion, motion
from separatrix.limitsets._sensitivity import Sensitivity, sensitivity
from separatrix.limitsets._sets import Kind, LimitSets
from separatrix.limitsets._triviality import Triviality, triviality

__all__ = [
    "Basins",
    "Kind",
    "LimitSets",
    "Motion",
    "Sensitivity",
    "Triviality",
    "basin_entropy",
    "basins",
    "find_attractors",
    "find_fixed_points",
    "motion",
    "sensitivity",
    "triviality",
]
