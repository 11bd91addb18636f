"""Long work needs three things that know no model: a line of progress, the rows that go through at once, and the memory there is."""

from separatrix.work._batches import Batches, out_of_memory, usual_size
from separatrix.work._memory import available, require_room
from separatrix.work._progress import SILENT, Bar, Moment, Progress, Sink, words_of
from separatrix.work._stages import AtOnce, Stages

__all__ = [
    "SILENT",
    "AtOnce",
    "Bar",
    "Batches",
    "Moment",
    "Progress",
    "Sink",
    "Stages",
    "available",
    "out_of_memory",
    "require_room",
    "usual_size",
    "words_of",
]
