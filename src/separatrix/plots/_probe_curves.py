"""Error against sparsity for iterated noise and every control, and what iterating gains, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator
from numpy.typing import NDArray
from torch import Tensor

from separatrix.numerics import bootstrap_means, interval_of
from separatrix.plots._style import FAINT, HUES, INK, MUTED, new_figure, styled
from separatrix.studies import Probe, Role
from separatrix.studies._probing.compare import SPACES, DictionaryComparison, Space
from separatrix.studies._probing.dictionary import Dictionary
from separatrix.words import without_folders

ROLE_COLOURS = {
    Role.ITERATED: INK,
    Role.ONCE: HUES[1],
    Role.NOISE: HUES[3],
    Role.ORTHONORMAL: HUES[0],
    Role.UNTRAINED: HUES[7],
    Role.PCA: HUES[2],
    Role.REAL: HUES[6],
}
_Array = NDArray[np.float64]
OTHERS = (HUES[5], HUES[8], HUES[4])
_TITLES: dict[Space, str] = {"latent": "in latent space", "image": "after decoding"}
_CLIPPED = 1.0  # a control's whole error; beyond, the axis of gains does not go
_REPEATS = 1000


@styled
def probe_curves(found: Probe, *, title: str | None = None) -> Figure:
    """Above: the error of each dictionary, with 95 % intervals over images. Below: the paired gain of iterated noise.

    The gain is (error of the control − error of iterated noise)/error of the control at each sparsity. Its interval is
    paired, so it may exclude 0 where the bands above overlap. Controls that need data are dashed.

    Args:
        found: the result of a probe.
        title: above the figure.
    """
    figure = new_figure(6.4, title or f"Iterated noise as a dictionary: {without_folders(found.name)}")
    axes = figure.subplots(2, 2, height_ratios=(1.45, 1.0), sharex=True)
    colours = colours_of(found.dictionaries)
    for column, space in enumerate(SPACES):
        _errors(axes[0, column], found, space, colours)
        _gains(axes[1, column], found, space, colours)
        axes[1, column].set_xlabel("atoms (logarithmic)")
    axes[0, 0].set_ylabel("share of ‖z‖² not coded")
    axes[0, 1].set_ylabel("mean squared error")
    axes[1, 0].set_ylabel("gain of iterating")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=4, handlelength=1.8, columnspacing=1.4)
    return figure


def colours_of(dictionaries: tuple[Dictionary, ...]) -> dict[str, str]:
    """Name → colour; roles keep theirs in every figure."""
    others = [known.name for known in dictionaries if known.role is Role.OTHER]
    return {
        known.name: OTHERS[others.index(known.name) % len(OTHERS)]
        if known.role is Role.OTHER
        else ROLE_COLOURS[known.role]
        for known in dictionaries
    }


def _errors(axes: Axes, found: Probe, space: Space, colours: dict[str, str]) -> None:
    scale = found.power.clamp(min=1e-300)[:, None] if space == "latent" else 1.0
    for known in reversed(found.dictionaries):
        values: Tensor = found.errors[known.name].of(space) / scale
        first = known.role is Role.ITERATED
        low, high = interval_of(bootstrap_means(values, repeats=_REPEATS))
        axes.fill_between(found.sparsities, low, high, color=colours[known.name], alpha=0.13, linewidth=0)
        axes.plot(
            found.sparsities,
            values.mean(dim=0),
            color=colours[known.name],
            linewidth=2.4 if first else 1.4,
            linestyle=(0, (4, 1.6)) if known.role.needs_data else "-",
            marker="o" if len(found.sparsities) < 3 else None,
            zorder=5 if first else 3,
            label=known.name,
            gid=f"error:{space}:{known.name}",
        )
    if space == "image" and float(found.floor.mean()) > 0:
        axes.axhline(float(found.floor.mean()), color=MUTED, linewidth=0.9, linestyle=":", gid="floor")
        axes.annotate(
            "D(E(x))", (0.01, float(found.floor.mean())), xycoords=("axes fraction", "data"), va="top",
            xytext=(0, -2), textcoords="offset points", fontsize=8.5, color=MUTED,
        )  # fmt: skip
    axes.set_title(_TITLES[space])
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_xscale("log")
    axes.set_xticks(ticks := axis_ticks(found.sparsities), [str(k) for k in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _gains(axes: Axes, found: Probe, space: Space, colours: dict[str, str]) -> None:
    first = found.dictionaries[0].name
    chosen = [one for one in found.comparisons if one.space == space and one.name == first]
    axes.axhline(0.0, color=INK, linewidth=0.8)
    lowest = 0.0
    for one in chosen:
        if next(known for known in found.dictionaries if known.name == one.control).role.needs_data:
            continue
        middle, low, high = _shares(found, one)
        lowest = min(lowest, float(np.nanmin(low, initial=0.0)))
        axes.fill_between(found.sparsities, low, high, color=colours[one.control], alpha=0.18, linewidth=0)
        axes.plot(
            found.sparsities, middle, color=colours[one.control], linewidth=1.6,
            marker="o" if len(found.sparsities) < 3 else None, gid=f"gain:{space}:{one.control}",
        )  # fmt: skip
    axes.set_ylim(max(lowest * 1.08, -_CLIPPED) - 0.02, None)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:+.0f} %" if value else "0"))
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.annotate(
        "above 0: iterating is better", (0.01, 0.97), xycoords="axes fraction", va="top", fontsize=8.5, color=MUTED
    )


def _shares(found: Probe, one: DictionaryComparison) -> tuple[_Array, _Array, _Array]:
    """Gain and its interval as shares of the control's error; NaN where the control leaves nothing."""
    under = found.mse(one.control, one.space).numpy()
    whole = np.where(under > 0, under, np.nan)
    middle, low, high = (values.numpy() / whole for values in (one.gain, one.low, one.high))
    return middle, low, high


def axis_ticks(sparsities: Sequence[int], apart: float = 1.7) -> list[int]:
    """Sparsities whose numbers do not touch: at least a factor apart, the last one always."""
    chosen = [sparsities[-1]]
    for k in reversed(sparsities[:-1]):
        if chosen[-1] / k >= apart:
            chosen.append(k)
    return chosen[::-1]
