"""The protocol: every choice on which "the number of attractors" depends."""

from separatrix.protocol._protocol import DEFAULT, DENSE_LIMIT, GROUPS, MergeRule, Precision, Protocol, StopRule
from separatrix.protocol._rules import (
    Auditing,
    Capturing,
    Curves,
    Deflation,
    Loops,
    Polishing,
    Rounds,
    Rules,
    Spectra,
    Statistics,
    Stopping,
)

__all__ = [
    "DEFAULT",
    "DENSE_LIMIT",
    "GROUPS",
    "Auditing",
    "Capturing",
    "Curves",
    "Deflation",
    "Loops",
    "MergeRule",
    "Polishing",
    "Precision",
    "Protocol",
    "Rounds",
    "Rules",
    "Spectra",
    "Statistics",
    "StopRule",
    "Stopping",
]
