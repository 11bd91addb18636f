"""Generation loss: what becomes of a picture that passes through an autoencoder again and again."""

from separatrix.studies._drift.budget import BudgetDecision, EditBudget
from separatrix.studies._drift.edits import JPEG, Edit, KeepLatent, LatentNoise, PasteBack, Rounding, Shift, Tiles
from separatrix.studies._drift.headline import Rot
from separatrix.studies._drift.linearised import Linearisation, linearised
from separatrix.studies._drift.measure import drift
from separatrix.studies._drift.patterns import Patterns, drift_patterns
from separatrix.studies._drift.ranking import DriftRanking, Ranked, drift_ranking
from separatrix.studies._drift.remedies import WAYS, Remedies, Remedy, drift_remedies
from separatrix.studies._drift.result import Drift
from separatrix.studies._drift.safe import SafeTrips, safe_trips
from separatrix.studies._drift.video import Flicker, Steadiness, flicker

__all__ = [
    "JPEG",
    "WAYS",
    "BudgetDecision",
    "Drift",
    "DriftRanking",
    "Edit",
    "EditBudget",
    "Flicker",
    "KeepLatent",
    "LatentNoise",
    "Linearisation",
    "PasteBack",
    "Patterns",
    "Ranked",
    "Remedies",
    "Remedy",
    "Rot",
    "Rounding",
    "SafeTrips",
    "Shift",
    "Steadiness",
    "Tiles",
    "drift",
    "drift_patterns",
    "drift_ranking",
    "drift_remedies",
    "flicker",
    "linearised",
    "safe_trips",
]
