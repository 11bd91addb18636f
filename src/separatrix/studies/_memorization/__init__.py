"""Has the model memorized its training data, and where does it generalize? Answers from attractors, with nulls."""

from separatrix.studies._memorization.audit import AuditDecision, MemorizationAudit, audit_memorization
from separatrix.studies._memorization.decomposition import Decomposition, decomposition
from separatrix.studies._memorization.noise_only import NoiseOnly
from separatrix.studies._memorization.study import Memorization, memorization

__all__ = [
    "AuditDecision",
    "Decomposition",
    "Memorization",
    "MemorizationAudit",
    "NoiseOnly",
    "audit_memorization",
    "decomposition",
    "memorization",
]
