"""Checkpoints: the state of a long computation, stored while it runs, so that one that was killed goes on where it was.

A checkpoint is one folder, ``state.safetensors`` and ``checkpoint.json``, which is built beside its place and renamed; only the newest is
kept. It knows what it belongs to, and is used for nothing else. When it is written follows from what writing costs and not from the
work, so that no result may depend on it: whoever stores a state must go on from it exactly as it would have gone on without.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from separatrix.errors import CheckpointWarning, FileError, InputError, warn
from separatrix.storage._manifest import CHECKPOINT
from separatrix.storage._place import PathLike
from separatrix.storage._reservation import Reservation, new_folder, reserve
from separatrix.storage._snapshot import from_tensors, to_tensors
from separatrix.storage._store import checksums, write_tensors

_TENSORS, _JSON = "state.safetensors", "checkpoint.json"
_TIMES = (
    20  # as long as it takes to store a state passes before the next one is stored: at most 5 % of the time goes there
)
_SHOWN = 60  # characters of a value in a message
_NO_ANSWERS = torch.zeros(0)


class Checkpoint:
    """It tells where a computation stores its state, and what is stored there; without a place nothing is.

    >>> Checkpoint().begin({}, ()), Checkpoint().due
    (None, False)
    """

    def __init__(self, place: Reservation | None = None, belongs_to: Any = None, answers: Tensor = _NO_ANSWERS) -> None:
        self._place, self._record, self._answers = place, {"belongs_to": belongs_to}, answers
        self._found: dict[str, Tensor] | None = None
        self._anchors: Mapping[str, Any] = {}
        self._kinds: Collection[type] = ()
        self._stored, self._took = -math.inf, 0.0

    @classmethod
    @contextmanager
    def at(cls, path: PathLike, belongs_to: Mapping[str, Any], answers: Tensor) -> Iterator[Self]:
        """Hold the folder ``path`` for one computation.

        Args:
            path: of the folder. What is there already must be a checkpoint of this computation.
            belongs_to: all that the computation depends on, by name, JSON-ready.
            answers: what its model makes of a few inputs, which must be the same but for rounding: a name is not behaviour.

        Raises:
            InputError: there is a checkpoint of another computation.
            FileError: there is something else, another computation is at work there, or nothing can be written.

        Warns:
            CheckpointWarning: what is there is damaged; it is replaced.
        """
        with reserve(path, kind=CHECKPOINT, overwrite=True) as place:
            checkpoint = cls(place, json.loads(json.dumps(belongs_to)), answers.cpu().contiguous())
            checkpoint._found = checkpoint._read(place.target)
            yield checkpoint

    def begin(self, anchors: Mapping[str, Any], kinds: Collection[type]) -> Any:
        """Return the state to go on from; None if there is none. ``anchors`` and ``kinds`` are those of `separatrix.storage._snapshot`."""
        self._anchors, self._kinds = anchors, kinds
        found, self._found = self._found, None
        if self._place is None or found is None:
            return None
        try:
            return from_tensors(found, anchors, kinds)
        except ValueError as error:
            _warn_of_damage(self._place.asked, error)
            return None

    @property
    def due(self) -> bool:
        """Is it time to store the state? It is at first, and then whenever 20 times as long has passed as storing it took."""
        return self._place is not None and time.monotonic() - self._stored >= _TIMES * self._took

    def keep(self, state: Any) -> None:
        """Store this state in place of the one before. If that cannot be done there is a warning, and the computation goes on."""
        if self._place is None:
            return
        begun = time.monotonic()
        tensors = to_tensors(state, self._anchors, self._kinds)
        tensors["answers"] = self._answers
        try:
            with new_folder(self._place, kind=CHECKPOINT) as folder:
                write_tensors(tensors, folder / _TENSORS)
                record = {**self._record, "sha256": checksums(self._record, folder / _TENSORS)}
                (folder / _JSON).write_text(json.dumps(record, indent=1), encoding="utf-8")
        except (FileError, SafetensorError) as error:
            words = f"The state of the computation could not be stored ({error}); it goes on without."
            warn(words, CheckpointWarning)
        self._stored = time.monotonic()
        self._took = self._stored - begun

    def _read(self, folder: Path) -> dict[str, Tensor] | None:
        """Return what is stored there for this computation; None if there is nothing, or it is damaged."""
        from separatrix.storage._records import foreign_json, read_bounded

        if not folder.is_dir() or not any(folder.iterdir()):
            return None
        try:
            record = foreign_json(read_bounded(folder / _JSON), _JSON)
            if not isinstance(record, dict) or record.get("sha256") != checksums(record, folder / _TENSORS):
                raise FileError("it does not match its checksum")
            found: dict[str, Tensor] = load_file(folder / _TENSORS)
        except (OSError, ValueError, RecursionError, FileError, SafetensorError) as error:
            _warn_of_damage(folder, error)
            return None
        for name, wanted in self._record["belongs_to"].items():
            if record["belongs_to"].get(name) != wanted:
                raise _another(folder, name, _difference(record["belongs_to"].get(name), wanted))
        if not _alike(found.pop("answers"), self._answers):
            raise _another(folder, "field", "it maps the first starts elsewhere")
        return found

    def end(self) -> None:
        """The computation is done: remove what was stored."""
        if self._place is not None:
            self._place.remove()


NO_CHECKPOINT = Checkpoint()
"""For computations that store nothing."""


def _warn_of_damage(folder: Path, reason: Exception) -> None:
    words = " ".join(str(reason).split()).rstrip(".")
    warn(
        f"The checkpoint in {folder} is damaged ({words}), so it is not used; the search begins anew.",
        CheckpointWarning,
    )


def _another(folder: Path, name: str, difference: str) -> InputError:
    return InputError(
        f"The checkpoint in {folder} belongs to another {name} ({difference}); give another folder, or remove this one to begin anew."
    )


def _alike(stored: Tensor, given: Tensor) -> bool:
    """Are the answers that both have the same, but for what another batch or another device may change?"""
    if stored.dtype != given.dtype or stored.shape[1:] != given.shape[1:]:
        return False
    allowed = math.sqrt(torch.finfo(given.dtype).eps)
    stored, given = (answers[: min(len(stored), len(given))].to(torch.float64) for answers in (stored, given))
    return torch.allclose(
        stored, given, rtol=allowed, atol=allowed * float(given.abs().nan_to_num().max()), equal_nan=True
    )


def _difference(stored: Any, wanted: Any) -> str:
    """Return where two values differ first.

    >>> _difference({"seed": 0, "count": 8}, {"seed": 1, "count": 8})
    'seed: 0 there, 1 here'
    """
    if isinstance(stored, dict) and isinstance(wanted, dict):
        name = next(name for name in {**stored, **wanted} if stored.get(name) != wanted.get(name))
        return f"{name}: {_difference(stored.get(name), wanted.get(name))}"
    old, new = (text if len(text := str(value)) <= _SHOWN else text[:_SHOWN] + "…" for value in (stored, wanted))
    return f"{old} there, {new} here"
