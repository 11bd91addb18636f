"""Records that hold many items as columns: tensors whose first axis is the item."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.words import Tabular

if TYPE_CHECKING:
    import xarray

_WIDEST = 16  # numbers of one item, of which each becomes a column of the table


class Columnar(Tabular):
    """Mixin for frozen dataclasses whose columns (named in ``_columns``) share their first axis.

    Gives `len`, slicing by anything that indexes a tensor, and ``.to()``; all other attributes are carried along. Also
    ``to_dict()``, ``to_pandas()``, ``to_xarray()`` and a table in notebooks, see :class:`~separatrix.words.Tabular`.
    """

    _columns: ClassVar[tuple[str, ...]]
    _read_off: ClassVar[
        tuple[str, ...]
    ] = ()  # properties with one value per item, which the table shows beside the columns
    _members: ClassVar[Mapping[str, type[IntEnum]]] = {}  # columns that hold members of an enumeration

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per item. Of points, images and the like up to 16 numbers are columns of their own, and more are left out."""
        shown: dict[str, Sequence[Any]] = {}
        for name in (*self._columns, *self._read_off):
            column = getattr(self, name)
            if name in self._members:
                shown[name] = [self._members[name](value).name.lower() for value in column.tolist()]
            elif not isinstance(column, Tensor):
                shown |= {} if column is None else {name: column}
            elif column.ndim == 1:
                shown[name] = column.tolist()
            elif (width := math.prod(column.shape[1:])) <= _WIDEST:
                flat = column.reshape(len(column), width)
                shown |= {f"{name}_{i}": flat[:, i].tolist() for i in range(width)}
        return shown

    def to_xarray(self) -> xarray.Dataset:
        """Return the columns as a dataset: all share the dimension ``item``, and points keep their own shape.

        Raises:
            InputError: xarray is not installed.
        """
        try:
            import xarray
        except ImportError as error:
            raise InputError(
                "to_xarray needs xarray, which is not installed; pip install 'separatrix[xarray]', or use to_pandas()."
            ) from error
        variables: dict[str, tuple[tuple[str, ...], Any]] = {}
        for name in (*self._columns, *self._read_off):
            if (column := getattr(self, name)) is not None:
                values = _as_numpy(column) if isinstance(column, Tensor) else np.asarray(column)
                own = tuple(f"{name}_{axis}" for axis in range(1, values.ndim))
                variables[name] = (("item", *own), values)
        return xarray.Dataset(variables, attrs={"type": type(self).__name__})

    def __len__(self) -> int:
        return len(getattr(self, self._columns[0]))

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> Self:
        """The chosen items, always as the same type; an integer gives a record of one item."""
        chosen = rows_chosen(index, len(self))
        return self._with({name: None if (c := getattr(self, name)) is None else c[chosen] for name in self._columns})

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Every tensor moved or converted as by `torch.Tensor.to` (a dtype applies to floating columns only)."""
        changed = {}
        for field in fields(cast(Any, self)):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                moved = value.to(*args, **kwargs)
                keep_type = moved.dtype != value.dtype and not value.is_floating_point()
                changed[field.name] = moved.to(value.dtype) if keep_type else moved
        return self._with(changed)

    def _with(self, changed: dict[str, Any]) -> Self:
        return cast(Self, replace(cast(Any, self), **changed))


def rows_chosen(index: Any, count: int) -> slice | Tensor:
    """Turn what chooses items into what a tensor understands, so that the items keep their axis.

    One number is that item, wherever it comes from (``argmax`` gives a tensor without axes); truth values say which items stay.

    Raises:
        IndexError: there is no such item, or not one truth value for each.

    >>> rows_chosen(torch.tensor(2), 4), rows_chosen([True, False], 2)
    (slice(2, 3, None), tensor([ True, False]))
    """
    if isinstance(index, slice):
        return index
    chosen = torch.as_tensor(index)
    if chosen.dtype == torch.bool and chosen.shape != (count,):
        raise IndexError(f"truth values {tuple(chosen.shape)} do not choose from {count} items; give one for each")
    if chosen.is_floating_point() and chosen.numel():
        raise IndexError(f"items are chosen by whole numbers or truth values, not by {chosen.dtype}")
    if chosen.ndim:
        return chosen if chosen.numel() else chosen.to(torch.bool if chosen.dtype == torch.bool else torch.int64)
    number = int(chosen)
    if not -count <= number < count:
        raise IndexError(f"index {number} is out of range for {count} items")
    return slice(number, number + 1 or None)


def _as_numpy(column: Tensor) -> Any:
    """The same numbers; NumPy knows no bfloat16."""
    column = column.detach().cpu()
    return (column.float() if column.dtype == torch.bfloat16 else column).numpy()
