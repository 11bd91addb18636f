"""Two models compared through their dynamics: basins on shared starts, attractors after alignment."""

from separatrix.studies._comparison.compare import compare
from separatrix.studies._comparison.result import Comparison, View

__all__ = ["Comparison", "View", "compare"]
