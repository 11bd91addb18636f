"""Generation loss: what becomes of a picture that passes through an autoencoder again and again."""

from separatrix.studies._drift.edits import JPEG, Edit, KeepLatent, LatentNoise, PasteBack, Rounding, Shift, Tiles
from separatrix.studies._drift.headline import Rot
from separatrix.studies._drift.measure import drift
from separatrix.studies._drift.result import Drift
from separatrix.studies._drift.safe import SafeTrips, safe_trips

__all__ = [
    "JPEG",
    "Drift",
    "Edit",
    "KeepLatent",
    "LatentNoise",
    "PasteBack",
    "Rot",
    "Rounding",
    "SafeTrips",
    "Shift",
    "Tiles",
    "drift",
    "safe_trips",
]
