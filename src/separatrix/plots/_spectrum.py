"""The eigenvalues of the latent map's Jacobian at each limit set, on the complex plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from separatrix.limitsets import LimitSets
from separatrix.plots._naming import Name, names_of
from separatrix.plots._style import FAINT, INK, MUTED, PAPER, colour, new_figure, styled

_MOST_ROWS = 16


@styled
def spectrum(limits: LimitSets, *, like: LimitSets | None = None, title: str | None = None) -> Figure:
    """Eigenvalues of J_f (of J_{f^p} for cycles) with the unit circle; ρ and ‖J‖₂ beside it.

    A set attracts if all its eigenvalues lie inside the circle (ρ < 1). ‖J‖₂ ≥ ρ; where it exceeds 1 although
    ρ < 1, the set attracts but distances to it may grow at first.

    Args:
        limits: result of a search.
        like: another search of the same field whose names and colours are kept.
        title: above the figure.
    """
    names = names_of(limits, like)
    values = limits.eigenvalues.detach().cpu().numpy()
    figure = new_figure(4.6, title or "Stability: eigenvalues of the map at its limit sets")
    axes, table = figure.subplots(1, 2, width_ratios=(2.3, 1.0))
    _circle(axes)
    for row, name in reversed(list(enumerate(names))):
        known = values[row][np.isfinite(values[row])]
        shape = {"marker": "X", "markerfacecolor": PAPER, "markeredgecolor": INK} if name.unstable else {
            "marker": "o", "markerfacecolor": colour(name.rank), "markeredgecolor": PAPER}  # fmt: skip
        axes.plot(
            known.real, known.imag, linestyle="", markersize=7, markeredgewidth=0.7, zorder=3,
            gid=f"eigenvalues:{name.label}", **shape,
        )  # fmt: skip
    _frame(axes, values)
    _listing(table, limits, names)
    return figure


def _circle(axes: Axes) -> None:
    axes.add_patch(
        Circle((0, 0), 1, facecolor=to_rgba(MUTED, 0.09), edgecolor=MUTED, linewidth=1.1, zorder=0, gid="unit circle")
    )
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=1)
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=1)
    axes.annotate(
        "attracting inside", (0, -1), (0, 6), textcoords="offset points", ha="center", fontsize=8.5, color=MUTED
    )


def _frame(axes: Axes, values: np.ndarray[tuple[int, ...], np.dtype[np.complex128]]) -> None:
    finite = values[np.isfinite(values)]
    reach = 1.08 * max(1.0, float(np.abs(finite.real).max(initial=0)), float(np.abs(finite.imag).max(initial=0)))
    axes.set(
        xlim=(-reach, reach),
        ylim=(-reach, reach),
        aspect="equal",
        xlabel="real part",
        ylabel="imaginary part",
    )


def _listing(axes: Axes, limits: LimitSets, names: Sequence[Name]) -> None:
    """Name, ρ and ‖J‖₂ per set, as text."""
    axes.set_axis_off()
    columns = (0.02, 0.34, 0.72)
    for x, word in zip(columns, ("set", "ρ", "‖J‖₂"), strict=True):
        axes.text(x, 1.0, word, color=MUTED, transform=axes.transAxes, va="top", fontsize=9)
    shown = names[:_MOST_ROWS]
    for row, name in enumerate(shown):
        y = 0.925 - 0.054 * row
        axes.text(
            columns[0],
            y,
            name.label,
            color=colour(name.rank),
            fontweight="bold",
            transform=axes.transAxes,
            va="top",
        )
        for x, value in zip(columns[1:], (limits.spectral_radius[row], limits.spectral_norm[row]), strict=True):
            text = f"{float(value):.3f}" if np.isfinite(float(value)) else "unknown"
            axes.text(x, y, text, transform=axes.transAxes, va="top", fontsize=9)
    if len(names) > len(shown):
        y = 0.925 - 0.054 * len(shown)
        axes.text(
            columns[0],
            y,
            f"and {len(names) - len(shown)} more",
            color=MUTED,
            transform=axes.transAxes,
            va="top",
            fontsize=9,
        )
