"""One look for all figures: colours, type, and the frame of an empty figure.

Figures are made with the object-oriented interface of matplotlib and a local `rc_context`; pyplot, its list
of open figures and the user's own settings are never touched.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from itertools import permutations
from types import UnionType
from typing import Any, ParamSpec, Union, get_args, get_origin, get_type_hints

import matplotlib
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from separatrix.errors import InputError

P = ParamSpec("P")

WIDTH = 7.6  # inches; all figures of a page are equally wide

INK = "#1f2a36"
MUTED = "#66727e"
FAINT = "#d5dbe0"
PAPER = "#ffffff"
UNRESOLVED = "#c4cad0"
ON_LIGHT = "#1f2a37"  # ink on a light hue, which stays dark where the page is dark

INKS = {INK: "ink", MUTED: "muted", FAINT: "line"}
"""Colours that follow those of a page, by their names there."""

# Nine hues that stay apart for the common forms of colour blindness (after Paul Tol's "muted" scheme), in an
# order in which neighbours differ in lightness too.
HUES = ("#3b4ba3", "#d9697a", "#35a394", "#dbbb52", "#8d2a5c", "#7cc4e8", "#1d7a3d", "#a94fa0", "#95952f")
_SHADES = (
    (1.0, 0.0),
    (0.62, 0.0),
    (0.5, 0.5),
)  # (share of the hue, share of white): three rounds through the hues

SPEED = LinearSegmentedColormap.from_list("separatrix_speed", ("#101c2e", "#1d3450", "#325a7a", "#5b87a3", "#98b6c6"))

RC: dict[Any, Any] = {
    "figure.facecolor": PAPER,
    "figure.dpi": 100,
    "savefig.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "text.usetex": False,
    "axes.facecolor": PAPER,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titlecolor": MUTED,
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "image.interpolation": "nearest",
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a figure function under :data:`RC`, and put the caller's settings back.

    What it draws may come in any order among its first arguments; what it cannot draw is one sentence.
    """

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(RC):
            return draw(*_in_order(draw, args, kwargs), **kwargs)

    return drawn


def _in_order(draw: Callable[..., Figure], given: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments in the order of the parameters, told apart by their types.

    Raises:
        InputError: some are missing, or their types are not those of the parameters, in whatever order.
    """
    signature, function = inspect.signature(draw), getattr(draw, "__name__", "This figure")
    hints = get_type_hints(draw)
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        needed = [name for name, part in signature.parameters.items() if part.default is part.empty]
        raise InputError(f"{function} draws {', '.join(needed)} ({error}); give all of them.") from error
    names = list(signature.parameters)[: len(given)]
    wanted = [hints.get(name, Any) for name in names]
    # Whether an order fits is asked of what has a class of its own; numbers and sequences stay where they are.
    judged = [i for i, hint in enumerate(wanted) if all(map(_is_record, _classes(hint)))]
    for order in permutations(judged):
        arranged = list(given)
        for place, source in zip(judged, order, strict=True):
            arranged[place] = given[source]
        if all(isinstance(arranged[i], _classes(wanted[i])) for i in judged):
            return tuple(arranged)
    takes = ", ".join(
        f"{name} (a {_classes(hint)[0].__name__})" for name, hint in zip(names, wanted, strict=True) if _classes(hint)
    )
    raise InputError(f"{function} takes {takes}, not {', '.join(f'a {type(one).__name__}' for one in given)}.")


def _classes(hint: Any) -> tuple[type, ...]:
    """The classes in an annotation, without what is in brackets."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    origins = (get_origin(part) or part for part in parts)
    return tuple(origin for origin in origins if isinstance(origin, type))


def _is_record(kind: type) -> bool:
    return kind.__module__.startswith("separatrix.") or kind is Mapping


def colour(rank: int) -> str:
    """The colour of the rank-th attractor in every figure; −1 (an unstable set) is ink.

    >>> colour(0), colour(0) == colour(27), colour(0) == colour(9)
    ('#3b4ba3', True, False)
    """
    if rank < 0:
        return INK
    hue, white = _SHADES[rank // len(HUES) % len(_SHADES)]
    red, green, blue = (hue * part + white for part in to_rgb(HUES[rank % len(HUES)]))
    return to_hex((red, green, blue))


def readable_on(background: str) -> str:
    """Ink or white, whichever can be read on a background colour, in letters as large as those of figures."""
    return ON_LIGHT if _luminance(background) > 0.30 else PAPER


def small_letters_on(background: str) -> str:
    """Black or white: the one whose contrast is the larger, at least 4.5 on any colour, as WCAG 2 asks for small letters.

    >>> small_letters_on("#e0a100"), small_letters_on("#3b4ba3")
    ('#000000', '#ffffff')
    """
    return "#000000" if _luminance(background) > 0.179 else "#ffffff"


def _luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def new_figure(height: float, title: str) -> Figure:
    """An empty figure of :data:`WIDTH` × ``height`` inches with a left-aligned title; constrained layout."""
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure
