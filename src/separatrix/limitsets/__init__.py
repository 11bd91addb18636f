"""Limit sets: fixed points, cycles, closed curves and continua, which of them attract, and their basins."""

from separatrix.limitsets.basins import Basins, basin_entropy, basins
from separatrix.limitsets.find import find_attractors
from separatrix.limitsets.fixed_points import find_fixed_points
from separatrix.limitsets.motion import Motion, motion
from separatrix.limitsets.sensitivity import Sensitivity, sensitivity
from separatrix.limitsets.sets import Kind, LimitSets
from separatrix.limitsets.triviality import Triviality, triviality

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
