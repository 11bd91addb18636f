"""separatrix: a trained autoencoder read as a dynamical system on its latent space.

>>> import separatrix as sx
>>> field = sx.LatentField.from_map(lambda z: z.mul(2).tanh(), latent_shape=(1,))
>>> sx.find_attractors(field, sx.starts.box(100, -1.0, 1.0, seed=0))
LimitSets(2 fixed points; 2 attract; all 100 starts reached an attractor)
"""

from separatrix import starts
from separatrix.cost import Cost
from separatrix.data import load_images
from separatrix.field import FieldCheck, LatentField, check
from separatrix.limitsets import (
    Basins,
    Kind,
    LimitSets,
    Motion,
    Sensitivity,
    Triviality,
    basin_entropy,
    basins,
    find_attractors,
    find_fixed_points,
    motion,
    sensitivity,
    triviality,
)
from separatrix.models import load
from separatrix.monitoring import DynamicsMonitor
from separatrix.ood import (
    AlarmBudget,
    Decision,
    Decisions,
    KNNDetector,
    MahalanobisDetector,
    ReconstructionDetector,
    ResidualDetector,
    SelfCheck,
    StreamMonitor,
    TrajectoryDetector,
    TypicalityDetector,
    self_check,
)
from separatrix.orbits import Orbits, Status, iterate
from separatrix.protocol import Protocol
from separatrix.storage import load_result, save_result
from separatrix.studies._comparison import Comparison, compare
from separatrix.studies._continuation import Continuation, EventKind, Events, Matching, continuation, match
from separatrix.studies._contraction import Contraction, contraction
from separatrix.studies._memorization import Memorization, MemorizationAudit, audit_memorization, memorization
from separatrix.studies._probing import Probe, probe
from separatrix.studies._rate_law import RateLaw, rate_law
from separatrix.studies._resemblance import Resemblance, resemblance
from separatrix.studies._training_film import TrainingFilm, training_film

__version__ = "0.1.0"

__all__ = [
    "AlarmBudget",
    "Basins",
    "Comparison",
    "Continuation",
    "Contraction",
    "Cost",
    "Decision",
    "Decisions",
    "DynamicsMonitor",
    "EventKind",
    "Events",
    "FieldCheck",
    "KNNDetector",
    "Kind",
    "LatentField",
    "LimitSets",
    "MahalanobisDetector",
    "Matching",
    "Memorization",
    "MemorizationAudit",
    "Motion",
    "Orbits",
    "Probe",
    "Protocol",
    "RateLaw",
    "ReconstructionDetector",
    "Resemblance",
    "ResidualDetector",
    "SelfCheck",
    "Sensitivity",
    "Status",
    "StreamMonitor",
    "TrainingFilm",
    "TrajectoryDetector",
    "Triviality",
    "TypicalityDetector",
    "audit_memorization",
    "basin_entropy",
    "basins",
    "check",
    "compare",
    "continuation",
    "contraction",
    "find_attractors",
    "find_fixed_points",
    "iterate",
    "load",
    "load_images",
    "load_result",
    "match",
    "memorization",
    "motion",
    "probe",
    "rate_law",
    "resemblance",
    "save_result",
    "self_check",
    "sensitivity",
    "starts",
    "training_film",
    "triviality",
]
