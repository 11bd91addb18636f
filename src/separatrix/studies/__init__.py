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
    BudgetDecision,
    Drift,
    DriftRanking,
    Edit,
    EditBudget,
    Flicker,
    KeepLatent,
    LatentNoise,
    Linearisation,
    PasteBack,
    Patterns,
    Ranked,
    Remedies,
    Remedy,
    Rot,
    Rounding,
    SafeTrips,
    Shift,
    Steadiness,
    Tiles,
    drift,
    drift_patterns,
    drift_ranking,
    drift_remedies,
    flicker,
    linearised,
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
from separatrix.studies._score_check import ScoreCheck, Uphill, score_check
from separatrix.studies._training_film import TrainingFilm, training_film

__all__ = [
    "JPEG",
    "Appearance",
    "AuditDecision",
    "BudgetDecision",
    "Closeness",
    "Comparison",
    "Conclusion",
    "Continuation",
    "Contraction",
    "Decomposition",
    "Diagnosis",
    "Drift",
    "DriftRanking",
    "Edit",
    "EditBudget",
    "EventKind",
    "Events",
    "Flicker",
    "KeepLatent",
    "LatentNoise",
    "Law",
    "Linearisation",
    "Matching",
    "Memorization",
    "MemorizationAudit",
    "NoiseOnly",
    "Overlap",
    "PasteBack",
    "Patterns",
    "Probe",
    "Ranked",
    "RateLaw",
    "Remedies",
    "Remedy",
    "Resemblance",
    "Role",
    "Rot",
    "Rounding",
    "SafeTrips",
    "ScoreCheck",
    "Shift",
    "Steadiness",
    "Tiles",
    "TrainingFilm",
    "Uphill",
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
    "drift_patterns",
    "drift_ranking",
    "drift_remedies",
    "flicker",
    "linearised",
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
    "score_check",
    "spectrum_by_differences",
    "training_film",
]
