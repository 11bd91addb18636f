"""Whole runs: a folder that holds what was asked for, what was computed, each stage once, and what is made of it to be read."""

from separatrix.runs._again import RunEntry, listed, report
from separatrix.runs._attractors import AttractorsRun, attractors
from separatrix.runs._audit import AuditRun, audit
from separatrix.runs._copy import copy
from separatrix.runs._data_free import DataFreeRun, audit_without_data
from separatrix.runs._demo import DemoResult, demo
from separatrix.runs._diff import DiffRun, diff
from separatrix.runs._drift import DriftRun, drift
from separatrix.runs._explore import Explored, Living, explore, explore_run, living, living_run
from separatrix.runs._film import FilmRun, film
from separatrix.runs._fit import FitRun, fit
from separatrix.runs._gallery import Exhibit, Gallery, gallery
from separatrix.runs._plan import Plan
from separatrix.runs._probe import ProbeRun, probe
from separatrix.runs._run import OtherPlan, Run, opened, record_of_run, reopened, state_of
from separatrix.runs._score import ScoredRun, score
from separatrix.runs._shown import Shown, shown
from separatrix.runs._starts_table import add_starts, read_starts, write_starts
from separatrix.runs._work import place_of_work, work

__all__ = [
    "AttractorsRun",
    "AuditRun",
    "DataFreeRun",
    "DemoResult",
    "DiffRun",
    "DriftRun",
    "Exhibit",
    "Explored",
    "FilmRun",
    "FitRun",
    "Gallery",
    "Living",
    "OtherPlan",
    "Plan",
    "ProbeRun",
    "Run",
    "RunEntry",
    "ScoredRun",
    "Shown",
    "add_starts",
    "attractors",
    "audit",
    "audit_without_data",
    "copy",
    "demo",
    "diff",
    "drift",
    "explore",
    "explore_run",
    "film",
    "fit",
    "gallery",
    "listed",
    "living",
    "living_run",
    "opened",
    "place_of_work",
    "probe",
    "read_starts",
    "record_of_run",
    "reopened",
    "report",
    "score",
    "shown",
    "state_of",
    "work",
    "write_starts",
]
