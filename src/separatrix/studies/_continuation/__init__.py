"""Limit sets followed through a sequence of fields: checkpoints, epochs, values of a parameter.

Searching and matching are apart (the idea of Attractors.jl, Datseris & Wagemakers 2022): a stored continuation can be
matched again by another rule without evaluating the field once more.
"""

from separatrix.studies._continuation.events import EventKind, Events
from separatrix.studies._continuation.matching import By, Matching, match
from separatrix.studies._continuation.sequence import Continuation, continuation

__all__ = ["By", "Continuation", "EventKind", "Events", "Matching", "continuation", "match"]
