"""The latent field f(z) = encode(decode(z)): its evaluation and derivatives, the contract it must keep, and the model as a guest."""

from separatrix.field._check import require_self_map
from separatrix.field._contract import Examined, examined
from separatrix.field._field import LatentField, check
from separatrix.field._findings import FieldCheck, Finding

__all__ = ["Examined", "FieldCheck", "Finding", "LatentField", "check", "examined", "require_self_map"]
