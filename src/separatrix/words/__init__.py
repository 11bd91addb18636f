"""What people read: statements with a code and a tone, and numbers as they are written in sentences, tables and figures."""

from separatrix.words._numbers import counted, percent
from separatrix.words._statement import Statement, Tone

__all__ = ["Statement", "Tone", "counted", "percent"]
