"""This room tells what is written and read: results as tensors and JSON, places that are reserved and appear whole, and manifests of what is ours."""

from separatrix.storage._checkpoint import NO_CHECKPOINT, Checkpoint
from separatrix.storage._columnar import Columnar, rows_chosen
from separatrix.storage._manifest import CHECKPOINT, DETECTOR, MANIFEST, RESULT, UNFINISHED, foreign_entries
from separatrix.storage._numbered import reserve_numbered
from separatrix.storage._owner import Owner
from separatrix.storage._place import PathLike, Place, url_of
from separatrix.storage._places import place_of
from separatrix.storage._publish import fetch, publish
from separatrix.storage._reservation import (
    ROOM,
    Busy,
    Reservation,
    at_work_on,
    held_by,
    hold,
    new_file,
    new_folder,
    reserve,
)
from separatrix.storage._snapshot import from_bytes, to_bytes
from separatrix.storage._store import Result, load_result, save_result, storable, storable_part, write_tensors

__all__ = [
    "CHECKPOINT",
    "DETECTOR",
    "MANIFEST",
    "NO_CHECKPOINT",
    "RESULT",
    "ROOM",
    "UNFINISHED",
    "Busy",
    "Checkpoint",
    "Columnar",
    "Owner",
    "PathLike",
    "Place",
    "Reservation",
    "Result",
    "at_work_on",
    "fetch",
    "foreign_entries",
    "from_bytes",
    "held_by",
    "hold",
    "load_result",
    "new_file",
    "new_folder",
    "place_of",
    "publish",
    "reserve",
    "reserve_numbered",
    "rows_chosen",
    "save_result",
    "storable",
    "storable_part",
    "to_bytes",
    "url_of",
    "write_tensors",
]
