"""Looks: how often rows that have ended leave the batch, and to which rows a rule is applied meanwhile.

To ask a tensor something (does this hold anywhere? for which rows?) is to wait until all that was computed before is there. On a CPU
that costs nothing: every step is a look, and a rule is applied only to rows for which something can come of it. An accelerator
stands still while it is asked, so there 16 steps are made between looks: a row that ends meanwhile stays where it ended, and a rule is
applied to all rows and merged by its mask. The rules are the same functions, so nothing but the cost depends on it: evaluations
of rows that had ended are counted, as evaluations and not as steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

ON_CPU = 1
ON_ACCELERATORS = 16


def steps_between(device: torch.device) -> int:
    """Return how many steps are made from one look to the next; 1: rows may be asked about at any time."""
    return ON_CPU if device.type == "cpu" else ON_ACCELERATORS


def worth(mask: Tensor) -> bool:
    """Return whether to apply a rule that changes nothing where ``mask`` is False: always, or where asking is cheap if it holds anywhere."""
    return steps_between(mask.device) > 1 or bool(mask.any())


class Closely:
    """The rows that are looked at closely: those of a mask, or all of them, where results count for those of the mask alone.

    >>> near, column = Closely(torch.tensor([True, False, True])), torch.zeros(3)
    >>> near.put(column, near.of(torch.tensor([1.0, 2.0, 3.0])) * 10)
    >>> bool(near), column.tolist()
    (True, [10.0, 0.0, 30.0])
    """

    def __init__(self, mask: Tensor) -> None:
        self._mask = mask
        self._rows = mask.nonzero().squeeze(1) if steps_between(mask.device) == 1 else None

    def __bool__(self) -> bool:
        """Is there any?"""
        return self._rows is None or len(self._rows) > 0

    def of(self, column: Tensor) -> Tensor:
        """Return what the column ``(b, …)`` holds for these rows."""
        return column if self._rows is None else column[self._rows]

    def put(self, column: Tensor, values: Tensor) -> None:
        """Write values, one per row that is looked at, into the rows of the mask."""
        if self._rows is None:
            column.copy_(torch.where(self._mask.view(-1, *[1] * (column.ndim - 1)), values, column))
        else:
            column[self._rows] = values
