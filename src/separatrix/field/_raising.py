"""A model that raises an exception for some inputs: those are left without numbers, and the others are computed.

A batch fails as a whole, so the rows to blame are found by halving it. If the model raises for all of them, or for none alone, the fault is not
in the inputs, and the exception is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from separatrix.errors import SeparatrixError, first_line

_SUSPICIOUS = (
    32  # rows that failed before any did not, after which the model must show that it takes one of the good ones
)
_NAMED = 3  # exceptions that a sentence names


@dataclass
class Raised:
    """Exceptions that a model has raised: for how many inputs each, and the evaluations that finding those took."""

    inputs: dict[str, int] = field(default_factory=dict)
    evaluations: int = 0

    def __bool__(self) -> bool:
        return bool(self.inputs)

    def add(self, other: Raised) -> None:
        """Add these."""
        self.evaluations += other.evaluations
        for words, count in other.inputs.items():
            self.inputs[words] = self.inputs.get(words, 0) + count

    @property
    def sentence(self) -> str:
        """Return this in words.

        >>> Raised({"ValueError: no": 2, "KeyError: 7": 1}).sentence
        'The model raised an exception for 3 inputs (ValueError: no; KeyError: 7), which count as NONFINITE.'
        """
        count = sum(self.inputs.values())
        most = sorted(self.inputs.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]
        named = "; ".join(words for words, _ in most)
        return (
            f"The model raised an exception for {count} input{'s' * (count > 1)} ({named}), which count as NONFINITE."
        )


def evaluated(function: Callable[[Tensor], Tensor], rows: Tensor, raised: Raised, good: Tensor | None = None) -> Tensor:
    """function(rows), with NaN in those rows for which it raises an exception.

    Args:
        function: of rows.
        rows: ``(n, …)``.
        raised: what it raised is added here.
        good: ``(m, …)`` rows of which the function takes some. Without them it must take some of the last 32 ``rows`` itself.

    Raises:
        Exception: what the function raised, if that does not depend on the input.

    >>> def half(z):
    ...     if bool((z > 9).any()):
    ...         raise ValueError("too large")
    ...     return z / 2
    >>> raised = Raised()
    >>> evaluated(half, torch.tensor([[1.0], [10.0], [3.0]]), raised).flatten().tolist(), raised.inputs
    ([0.5, nan, 1.5], {'ValueError: too large': 1})
    """
    try:
        return function(rows)
    except SeparatrixError:
        raise
    # A model may raise anything.
    except Exception as error:
        return _apart(function, rows, raised, good, error)


def _apart(
    function: Callable[[Tensor], Tensor], rows: Tensor, raised: Raised, good: Tensor | None, error: Exception
) -> Tensor:
    """Do the same where all rows together have failed."""
    found: list[tuple[int, Tensor]] = []
    blamed: dict[int, str] = {}
    spent = 0
    parts = [(0, len(rows))]
    failed: Exception = error
    while parts:
        first, last = parts.pop()
        try:
            if (first, last) != (0, len(rows)):
                spent += last - first
                found.append((first, function(rows[first:last])))
                continue
        except SeparatrixError:
            raise
        except Exception as again:
            failed = again
        if last - first == 1:
            blamed[first] = f"{type(failed).__name__}: {first_line(failed)}"
            if len(blamed) == _SUSPICIOUS and not found:
                _any(function, good, error)
        else:
            middle = (first + last) // 2
            parts += [(first, middle), (middle, last)]
    if not blamed:
        raise error
    like = found[0][1] if found else _any(function, good, error)
    result = like.new_full((len(rows), *like.shape[1:]), torch.nan)
    for first, values in found:
        result[first : first + len(values)] = values
    counted = Raised(evaluations=spent)
    for words in blamed.values():
        counted.inputs[words] = counted.inputs.get(words, 0) + 1
    raised.add(counted)
    return result


def _any(function: Callable[[Tensor], Tensor], good: Tensor | None, error: Exception) -> Tensor:
    """Return the value of one of the good rows; where the function takes none, the error is not about the input."""
    for row in () if good is None else good:
        try:
            return function(row[None])
        except Exception:
            continue
    raise error
