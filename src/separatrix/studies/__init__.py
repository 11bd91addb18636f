"""This room tells what a field shows: each study is one function and one type of result, with its null.

A saved result names its kind alone, and studies announce theirs where they are defined. So `load_result` is handed on from here, where
all are known.
"""

from separatrix.limitsets import LimitSets  # noqa: F401  announces itself, and its orbits
from separatrix.storage import load_result, save_result
from separatrix.studies._closeness import Closeness, closeness
from separatrix.studies._comparison import Comparison, View, compare
from separatrix.studies._continuation import Continuation, EventKind, Events, Matching, continuation, match
from separatrix.studies._contraction import Contraction, contraction
from separatrix.studies._diagnosis import Diagnosis, diagnose
from separatrix.studies._drift import (
    JPEG,
    Drift,
    Edit,
    KeepLatent,
    LatentNoise,
    PasteBack,
    Rot,
    Rounding,
    SafeTrips,
    Shift,
    Tiles,
    drift,
    safe_trips,
)
from separatrix.studies._local_spectra import spectrum_by_differences
from separatrix.studies._memorization import (
    AuditDecision,
    Decomposition,
    Memorization,
    MemorizationAudit,
    NoiseOnly,
    audit_memorization,
    memorization,
)
from separatrix.studies._overlap import Overlap, overlap
from separatrix.studies._probing import (
    Appearance,
    Conclusion,
    Probe,
    Role,
    appearance,
    data_free_dictionaries,
    pooled,
    probe,
)
from separatrix.studies._rate_law import Law, RateLaw, rate_law
from separatrix.studies._resemblance import Resemblance, resemblance
from separatrix.studies._training_film import TrainingFilm, training_film

__all__ = [
    "JPEG",
    "Appearance",
    "AuditDecision",
    "Closeness",
    "Comparison",
    "Conclusion",
    "Continuation",
    "Contraction",
    "Decomposition",
    "Diagnosis",
    "Drift",
    "Edit",
    "EventKind",
    "Events",
    "KeepLatent",
    "LatentNoise",
    "Law",
    "Matching",
    "Memorization",
    "MemorizationAudit",
    "NoiseOnly",
    "Overlap",
    "PasteBack",
    "Probe",
    "RateLaw",
    "Resemblance",
    "Role",
    "Rot",
    "Rounding",
    "SafeTrips",
    "Shift",
    "Tiles",
    "TrainingFilm",
    "View",
    "appearance",
    "audit_memorization",
    "closeness",
    "compare",
    "continuation",
    "contraction",
    "data_free_dictionaries",
    "diagnose",
    "drift",
    "load_result",
    "match",
    "memorization",
    "overlap",
    "pooled",
    "probe",
    "rate_law",
    "resemblance",
    "safe_trips",
    "save_result",
    "spectrum_by_differences",
    "training_film",
]
