"""Arguments that are numbers or flags: those of Python, NumPy and torch are taken, and whatever is none is one sentence.

Ranges are those of each function; here a number is told from what only looks like one (``"3"``, ``True``, ``2.5`` trips, NaN).
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import re
import sys
from collections.abc import Callable, Mapping, Set
from numbers import Real
from typing import Any, SupportsIndex, TypeVar, cast

from separatrix.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])

SEED_BITS = 64
LAST_SEED = 2**SEED_BITS - 1


def whole(name: str, value: Any, least: int | None = None, most: int | None = None, *, of: str = "") -> int:
    """``value`` as an int.

    Raises:
        InputError: it is no whole number (True is none), or lies outside.

    >>> whole("trips", 2.5, 1)
    Traceback (most recent call last):
    ...
    separatrix.errors.InputError: trips must be a whole number, at least 1, not 2.5.
    """
    try:
        number = None if _is_kind(value, "bool") else operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # the last two are a tensor's
        number = None
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        span = "" if least is None else f", at least {least}"
        if least is not None and most not in (None, sys.maxsize):  # nobody asked for so many
            span = f" from {least} to {f'2^{SEED_BITS} − 1' if most == LAST_SEED else most}"
        raise InputError(f"{name} must be a whole number{of and f' of {of}'}{span}, not {value!r:.80}.")
    return number


def number(name: str, value: Any) -> float:
    """``value`` as a float; Python's own numbers as they are.

    Raises:
        InputError: it is no real number, or NaN.

    >>> number("budget", "0.01")
    Traceback (most recent call last):
    ...
    separatrix.errors.InputError: budget must be a number, not '0.01'.
    """
    if type(value) in (int, float) and value == value:
        return value
    try:
        real = isinstance(value, Real) or getattr(value, "shape", None) == ()
        found = float(value) if real and not _is_kind(value, "bool", "complex", "U", "S") else math.nan
    except (TypeError, ValueError, RuntimeError, OverflowError):
        found = math.nan
    if math.isnan(found):
        raise InputError(f"{name} must be a number, not {value!r:.80}.")
    return found


def share(name: str, value: float) -> None:
    """Refuse a number that does not lie between 0 and 1."""
    if not 0 < value < 1:
        raise InputError(f"{name} must lie between 0 and 1, not at {value!r}.")


def not_negative(name: str, value: float) -> None:
    """Refuse a number that is below 0, or infinite."""
    if not 0 <= value < math.inf:
        raise InputError(f"{name} must be at least 0 and finite, not {value!r}.")


def sizes(name: str, values: Any) -> tuple[int, ...]:
    """Return the shape that one number or several are.

    Raises:
        InputError: there is none, or one that is no whole number of at least 1.

    >>> sizes("latent_shape", 8), sizes("latent_shape", [1, 4, 4])
    ((8,), (1, 4, 4))
    """
    single = isinstance(values, SupportsIndex) and getattr(values, "shape", ()) == ()
    found = (values,) if single else _each(["Any", "..."], name, values)
    if not found:
        raise InputError(f"{name} must have at least one axis; it is {values!r}.")
    return tuple(whole(f"Every size in {name}", size, 1) for size in found)


def flag(name: str, value: Any) -> bool:
    """``value`` as a bool.

    Raises:
        InputError: it is neither True nor False (``"no"`` would count as True, which nobody meant).
    """
    if not _is_kind(value, "bool") or getattr(value, "shape", ()) != ():
        raise InputError(f"{name} must be True or False, not {value!r:.80}.")
    return bool(value)


def checked(function: F) -> F:
    """Check what a function is given for parameters that are annotated as numbers or flags; it sees Python's own.

    Of a class, what it is made from is checked.

    >>> @checked
    ... def walk(steps: int, shares: tuple[float, float] | None = None):
    ...     return steps, shares
    >>> walk(3, shares=[0, 0.5])
    (3, (0, 0.5))
    >>> walk(3, (0, "1"))
    Traceback (most recent call last):
    ...
    separatrix.errors.InputError: Each of shares must be a number, not '1'.
    """
    if isinstance(function, type):
        function.__init__ = _checked(function.__init__, f"{function.__name__}.")  # type: ignore[misc]
        return function
    return cast(F, _checked(function))


def _checked(function: Callable[..., Any], owner: str = "") -> Callable[..., Any]:
    parameters = inspect.signature(function).parameters.values()
    readers = [(place, one.name, _reader(str(one.annotation), one.name)) for place, one in enumerate(parameters)]
    asked = [(place, name, read) for place, name, read in readers if read is not None]

    @functools.wraps(function)
    def after_a_look(*args: Any, **kwargs: Any) -> Any:
        given: list[Any] = list(args)
        for place, name, read in asked:
            if place < len(given):
                given[place] = read(owner + name, given[place])
            elif name in kwargs:
                kwargs[name] = read(owner + name, kwargs[name])
        return function(*given, **kwargs)

    return after_a_look


def _reader(annotation: str, name: str) -> Callable[[str, Any], Any] | None:
    """The function that reads what is annotated so; None for what is neither number nor flag."""
    kind = annotation.removesuffix(" | None")
    read: Callable[[str, Any], Any] | None = _SEED if name == "seed" else _READERS.get(kind)
    if read is None and (many := _MANY.fullmatch(kind)):
        read = functools.partial(_each, many[1].split(", "))
    if read is None or kind == annotation:
        return read
    return functools.partial(_unless_none, read)


def _unless_none(read: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    return None if value is None else read(name, value)


def _each(kinds: list[str], name: str, values: Any) -> tuple[Any, ...]:
    try:
        found = None if isinstance(values, (str, bytes, Mapping, Set)) else list(values)
    except TypeError:
        found = None
    exact = len(kinds) if len(kinds) > 1 and kinds[-1] != "..." else None
    if found is None or exact not in (None, len(found)):
        kind = "numbers" if kinds[0] == "float" else "whole numbers"
        raise InputError(f"{name} must be {exact or 'a sequence of'} {kind}, not {values!r:.80}.")
    read = _READERS.get(kinds[0])
    return tuple(found if read is None else (read(f"Each of {name}", value) for value in found))


def _is_kind(value: Any, *kinds: str) -> bool:
    """Say whether the number format of a number, an array or a tensor has one of these in its name."""
    name = "bool" if isinstance(value, bool) else str(getattr(value, "dtype", ""))
    return any(kind in name for kind in kinds)


_SEED = functools.partial(whole, least=0, most=LAST_SEED)
_READERS: dict[str, Callable[[str, Any], Any]] = {"int": whole, "float": number, "bool": flag}
_MANY = re.compile(r"(?:Sequence|tuple)\[((?:int|float)(?:, (?:int|float|\.\.\.))*)\]")
