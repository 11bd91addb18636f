"""Figures from results. Every function returns a matplotlib `Figure` of its own and leaves pyplot alone."""

from separatrix.plots._basin_map import basin_map
from separatrix.plots._basin_overlap import basin_overlap
from separatrix.plots._basin_shares import basin_shares
from separatrix.plots._contact_sheet import contact_sheet
from separatrix.plots._contraction_map import contraction_map
from separatrix.plots._detector_check import detector_check
from separatrix.plots._drift import drift_curves, drift_parts, drift_pattern_pictures, drift_pictures, drift_ways
from separatrix.plots._film import orbit_film
from separatrix.plots._gallery import attractor_gallery
from separatrix.plots._null_levels import null_levels
from separatrix.plots._plane import Plane
from separatrix.plots._portrait import field_portrait
from separatrix.plots._probe_curves import probe_curves
from separatrix.plots._probe_grid import probe_grid, probe_overview
from separatrix.plots._probe_sheets import probe_atoms, probe_reconstructions
from separatrix.plots._score_histograms import score_histograms
from separatrix.plots._spectrum import spectrum
from separatrix.plots._steps import steps_histogram
from separatrix.plots._style import INKS
from separatrix.plots._training_frames import training_frames

__all__ = [
    "INKS",
    "Plane",
    "attractor_gallery",
    "basin_map",
    "basin_overlap",
    "basin_shares",
    "contact_sheet",
    "contraction_map",
    "detector_check",
    "drift_curves",
    "drift_parts",
    "drift_pattern_pictures",
    "drift_pictures",
    "drift_ways",
    "field_portrait",
    "null_levels",
    "orbit_film",
    "probe_atoms",
    "probe_curves",
    "probe_grid",
    "probe_overview",
    "probe_reconstructions",
    "score_histograms",
    "spectrum",
    "steps_histogram",
    "training_frames",
]
