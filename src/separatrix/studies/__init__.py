"""What a field shows: each study is one function and one type of result, with its null.

A saved result names its kind alone, and studies announce theirs where they are defined. So `load_result` is handed on from here, where
all are known.
"""

from separatrix.limitsets import LimitSets  # noqa: F401  announces itself, and its orbits
from separatrix.storage import load_result, save_result
from separatrix.studies._comparison.compare import compare
from separatrix.studies._comparison.result import Comparison
from separatrix.studies._continuation import Continuation, EventKind, Events, Matching, continuation, match
from separatrix.studies._contraction import Contraction, contraction
from separatrix.studies._memorization import Memorization, MemorizationAudit, audit_memorization, memorization
from separatrix.studies._probing import Probe, probe
from separatrix.studies._rate_law import RateLaw, rate_law
from separatrix.studies._resemblance import Resemblance, resemblance
from separatrix.studies._training_film import TrainingFilm, training_film

__all__ = [
    "Comparison",
    "Continuation",
    "Contraction",
    "EventKind",
    "Events",
    "Matching",
    "Memorization",
    "MemorizationAudit",
    "Probe",
    "RateLaw",
    "Resemblance",
    "TrainingFilm",
    "audit_memorization",
    "compare",
    "continuation",
    "contraction",
    "load_result",
    "match",
    "memorization",
    "probe",
    "rate_law",
    "resemblance",
    "save_result",
    "training_film",
]
