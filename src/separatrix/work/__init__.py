"""Long work needs three things that know no model: a line of progress, the rows that go through at once, and the memory there is."""

from typing import TYPE_CHECKING

from separatrix.work._lazy import on_demand

if TYPE_CHECKING:
    from separatrix.work._batches import Batches, out_of_memory, usual_size
    from separatrix.work._memory import LITTLE, available, require_room, resident
    from separatrix.work._progress import SILENT, Bar, Lines, Moment, Progress, Sink, watched_by, words_of
    from separatrix.work._stages import AtOnce, Stages
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "_batches": ("Batches", "out_of_memory", "usual_size"),
            "_memory": ("LITTLE", "available", "require_room", "resident"),
            "_progress": ("SILENT", "Bar", "Lines", "Moment", "Progress", "Sink", "watched_by", "words_of"),
            "_stages": ("AtOnce", "Stages"),
        },
    )

__all__ = [
    "LITTLE",
    "SILENT",
    "AtOnce",
    "Bar",
    "Batches",
    "Lines",
    "Moment",
    "Progress",
    "Sink",
    "Stages",
    "available",
    "on_demand",
    "out_of_memory",
    "require_room",
    "resident",
    "usual_size",
    "watched_by",
    "words_of",
]
