"""The latent field f(z) = encode(decode(z)): its evaluation and derivatives, the contract it must keep, and the model as a guest."""

from separatrix.field._answers import alike, all_alike, answers
from separatrix.field._check import require_self_map, required_to_stay
from separatrix.field._contract import Examined, examined
from separatrix.field._field import LatentField, check
from separatrix.field._findings import FieldCheck, Finding
from separatrix.field._footprint import memory_per_orbit
from separatrix.field._raising import Raised, evaluated
from separatrix.field._recorded import Answers, RecordedField

__all__ = [
    "Answers",
    "Examined",
    "FieldCheck",
    "Finding",
    "LatentField",
    "Raised",
    "RecordedField",
    "alike",
    "all_alike",
    "answers",
    "check",
    "evaluated",
    "examined",
    "memory_per_orbit",
    "require_self_map",
    "required_to_stay",
]
