"""Where everything that is written goes: a place is reserved before the work begins, and appears whole or not at all."""

from separatrix.output.manifest import DETECTOR, MANIFEST, RESULT, add_file, foreign_entries
from separatrix.output.owner import Owner
from separatrix.output.reservation import (
    ROOM,
    Busy,
    PathLike,
    Reservation,
    hold,
    new_file,
    new_folder,
    reserve,
    reserve_numbered,
)

__all__ = [
    "DETECTOR",
    "MANIFEST",
    "RESULT",
    "ROOM",
    "Busy",
    "Owner",
    "PathLike",
    "Reservation",
    "add_file",
    "foreign_entries",
    "hold",
    "new_file",
    "new_folder",
    "reserve",
    "reserve_numbered",
]
