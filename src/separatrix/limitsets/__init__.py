"""Limit sets: fixed points, cycles, closed curves and continua, which of them attract, and their basins."""

from separatrix.limitsets._basins import Basins, basin_entropy, basins
from separatrix.limitsets._capture_audit import CaptureAudit, StatisticalCaptures
from separatrix.limitsets._find import find_attractors
from separatrix.limitsets._fixed_points import find_fixed_points
from separatrix.limitsets._forecast import Estimate, Forecast, forecast
from separatrix.limitsets._grid_search import GridSearch, grid_search
from separatrix.limitsets._join import join_searches
from separatrix.limitsets._motion import Motion, motion
from separatrix.limitsets._parts import TASKS, Fields
from separatrix.limitsets._same_sets import same_sets
from separatrix.limitsets._sensitivity import Sensitivity, SensitivityRow, sensitivity
from separatrix.limitsets._sets import Kind, LimitSets
from separatrix.limitsets._spectrum import Spectrum, spectrum_matrix_free, spectrum_of
from separatrix.limitsets._triviality import Triviality, triviality

__all__ = [
    "TASKS",
    "Basins",
    "CaptureAudit",
    "Estimate",
    "Fields",
    "Forecast",
    "GridSearch",
    "Kind",
    "LimitSets",
    "Motion",
    "Sensitivity",
    "SensitivityRow",
    "Spectrum",
    "StatisticalCaptures",
    "Triviality",
    "basin_entropy",
    "basins",
    "find_attractors",
    "find_fixed_points",
    "forecast",
    "grid_search",
    "join_searches",
    "motion",
    "same_sets",
    "sensitivity",
    "spectrum_matrix_free",
    "spectrum_of",
    "triviality",
]
