"""The plan of a run: everything that its numbers depend on, so that what is stored is used again for the same plan and for no other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata
from typing import Any

from separatrix.data import ImageSet
from separatrix.field import LatentField, alike, answers

_NAMED = 4  # differences that a message names
_TOLD = "options.words"  # for readers: the same starts may be called otherwise, by another path


@cache
def _versions() -> Mapping[str, str]:
    return {library: metadata.version(library) for library in ("separatrix", "torch")}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """It tells what is to be computed, from what, and by which rules.

    Attributes:
        recipe: the kind of the run.
        model: its identity, the fingerprint of its weights and its answers at six points; of several models by their roles.
        data: by its role, the SHA-256 of its content and how many there are.
        options: protocol, starts, seed and whatever else a number depends on; JSON-ready.
        versions: of this package and of torch.
    """

    recipe: str
    model: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=lambda: _versions())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, and what JSON gives back is equal to it."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Name what is not as in a stored plan, such as ``model.fingerprint`` or ``options.seed``."""
        return list(differences(self.to_dict(), stored))


def in_words(differences: list[str]) -> str:
    """Name a few of the differences.

    >>> in_words(["options.seed"]), in_words(["a", "b", "c", "d", "e"])
    ('options.seed', 'a, b, c, d and 1 more')
    """
    more = len(differences) - _NAMED
    return ", ".join(differences[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def model_record(field: LatentField) -> dict[str, Any]:
    """The identity of a model for a plan, and its behaviour: f and D at six points, because other code may run with the same weights.

    Cost: 6 map evaluations and 6 decodings.
    """
    return {**field.describe(), "answers": answers(field)}


def data_record(**images: ImageSet | None) -> dict[str, Any]:
    """The content of sets of images for a plan, by their roles; those that are None are left out."""
    return {
        role: {"images": len(given), "sha256": given.fingerprint} for role, given in images.items() if given is not None
    }


def differences(mine: Any, theirs: Any, prefix: str = "") -> Iterator[str]:
    if prefix == _TOLD:
        return
    if prefix.rpartition(".")[0].endswith("answers"):
        if not alike(mine, theirs):
            yield prefix
    elif isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for key in dict.fromkeys([*mine, *theirs]):
            yield from differences(mine.get(key), theirs.get(key), f"{prefix}.{key}" if prefix else str(key))
    elif mine != theirs:
        yield prefix
