"""A result is read in four ways: as one line, as JSON, as a data frame, and as a small table in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from separatrix.errors import InputError

if TYPE_CHECKING:
    import pandas

_ROWS, _COLUMNS = 8, 12  # of a table in a notebook
_ITEMS, _LETTERS = 4, 60  # of one value in a line
_ARRAY = object()  # stands for what JSON does not hold


class Readable:
    """Mixin for results: a `repr` of one line, which a dataclass takes with ``repr=False``, and `to_dict`."""

    _facts: ClassVar[tuple[str, ...]] = ()  # properties that are facts beside the attributes

    @property
    def facts(self) -> dict[str, Any]:
        """The attributes and what is read off them, JSON-ready, without arrays."""
        names = (*_attributes(self), *self._facts, *(["statement"] if hasattr(type(self), "statement") else []))
        told = {name: jsonable(getattr(self, name)) for name in names}
        return {name: value for name, value in told.items() if value is not _ARRAY}

    def to_dict(self) -> dict[str, Any]:
        """Return the facts, JSON-ready: unknown numbers are None, members of enumerations are words, and arrays are left out.

        `save_result` keeps arrays.
        """
        return {"type": type(self).__name__, **self.facts}

    def __repr__(self) -> str:
        return one_line(self)

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


class Tabular(Readable):
    """Mixin for results that are a table too: `table`, with it `to_pandas`, the rows of `to_dict`, and a table in notebooks."""

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """The columns by name, all of one length, of numbers and words."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return the facts and the rows of `table`, JSON-ready: unknown numbers are None, and arrays are left out.

        Of a table inside (the orbits of limit sets) only the facts are told; its own `to_dict` has the rows.
        """
        return {**super().to_dict(), "rows": jsonable(rows_of(self.table))}

    def to_pandas(self) -> pandas.DataFrame:
        """Return `table` as a data frame.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError(
                "to_pandas needs pandas, which is not installed; pip install 'separatrix[pandas]', or use to_dict()."
            ) from error
        return pandas.DataFrame(dict(self.table))

    def _repr_html_(self) -> str:
        names = list(self.table)[:_COLUMNS]
        rows = rows_of({name: self.table[name][:_ROWS] for name in names})
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(f"<tr>{''.join(f'<td>{escape(_brief(v))}</td>' for v in row.values())}</tr>" for row in rows)
        further = {
            "rows": len(next(iter(self.table.values()), ())) - _ROWS,
            "columns": len(self.table) - _COLUMNS,
        }
        more = " and ".join(f"{count:,} more {what}" for what, count in further.items() if count > 0)
        return (
            f"{super()._repr_html_()}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"{f'<p>… {more}</p>' if more else ''}"
        )


def one_line(value: Any) -> str:
    """Write a record in one line: numbers and words as they are, of arrays the shape, of long lists the length.

    >>> from typing import NamedTuple
    >>> import torch
    >>> class Neighbours(NamedTuple):
    ...     index: torch.Tensor
    ...     rule: str
    ...     within: float
    >>> one_line(Neighbours(torch.zeros(3, 2), "nearest", 1 / 3))
    'Neighbours(index=3×2, rule=nearest, within=0.3333)'
    """
    parts = {name: _brief(getattr(value, name)) for name in _attributes(value)}
    return f"{type(value).__name__}({', '.join(f'{name}={words}' for name, words in parts.items() if words)})"


def rows_of(table: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Turn columns into rows.

    >>> rows_of({"kind": ["cycle", "continuum"], "hits": [3, 1]})
    [{'kind': 'cycle', 'hits': 3}, {'kind': 'continuum', 'hits': 1}]
    """
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def columns_of(kind: type[Any], rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Turn records, all of one dataclass, into columns.

    >>> from separatrix.cost import Cost
    >>> columns_of(Cost, [Cost(map=1), Cost(map=2, jvp=3)])
    {'map': [1, 2], 'vjp': [0, 0], 'jvp': [0, 3]}
    """
    return {field.name: [getattr(row, field.name) for row in rows] for field in fields(kind)}


def jsonable(value: Any) -> Any:
    """Turn a value into what JSON has: lists for tuples, words for enumerations, None for numbers that are not finite.

    Records become mappings. Arrays, and lists of them, are left out of mappings.

    >>> jsonable({"rate": float("nan"), "shape": (2, 3), "root": 1 + 2j})
    {'rate': None, 'shape': [2, 3], 'root': [1.0, 2.0]}
    """
    if isinstance(value, Enum):
        return str(value) if isinstance(value, str) else value.name.lower()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, complex):
        return [jsonable(value.real), jsonable(value.imag)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Readable):
        return value.facts
    if hasattr(value, "to_dict"):
        return jsonable(value.to_dict())
    names = _attributes(value)
    if names:
        value = {name: getattr(value, name) for name in names}
    if isinstance(value, Mapping):
        items = {
            key.name if isinstance(key, IntEnum) else str(jsonable(key)): jsonable(item) for key, item in value.items()
        }
        return {key: item for key, item in items.items() if item is not _ARRAY}
    if isinstance(value, (list, tuple)):
        parts = [jsonable(item) for item in value]
        return _ARRAY if any(part is _ARRAY for part in parts) else parts
    return _ARRAY


def _attributes(value: Any) -> tuple[str, ...]:
    """The fields of a dataclass or of a named tuple."""
    if is_dataclass(value):
        return tuple(field.name for field in fields(value))
    return tuple(getattr(value, "_fields", ()))


def _brief(value: Any) -> str:
    """One value in a few letters; nothing where there is nothing."""
    if value is None:
        return ""
    if isinstance(value, Enum):
        return str(jsonable(value))
    if isinstance(value, float):
        return f"{value:.4g}"
    if hasattr(value, "shape"):
        return "×".join(map(str, value.shape)) or _brief(value.item())
    if isinstance(value, (Mapping, list, tuple)) and not hasattr(value, "_fields"):
        if len(value) > _ITEMS or isinstance(value, Mapping) or any(hasattr(item, "shape") for item in value):
            return f"{len(value):,} items"
        return f"[{', '.join(map(_brief, value))}]" if value else ""
    if isinstance(value, Readable):
        return type(value).__name__
    words = " ".join(str(value).split())
    return words if len(words) <= _LETTERS else f"{words[: _LETTERS - 1]}…"
