"""Plain values for JSON, and the text of the files that people read too."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import IntEnum
from typing import Any


def jsonable(value: Any) -> Any:
    """Return the same with lists for tuples and None for numbers that are not finite, which JSON does not have.

    >>> jsonable({"rate": float("nan"), "shape": (2, 3)})
    {'rate': None, 'shape': [2, 3]}
    """
    if isinstance(value, Mapping):
        return {key.name if isinstance(key, IntEnum) else str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def as_json(record: Mapping[str, Any]) -> bytes:
    """Return the text of a JSON file, indented."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
