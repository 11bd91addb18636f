"""This file tells how long orbits take until it is known where they end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from separatrix.limitsets import LimitSets
from separatrix.orbits import Status
from separatrix.plots._naming import Name, names_of
from separatrix.plots._style import FAINT, INK, MUTED, UNRESOLVED, colour, new_figure, styled
from separatrix.words import percent

_BINS = 36
_WIDE = 8.0  # steps that differ by more than this factor get a logarithmic axis
_WORDS_APART = 0.08  # of the width of the axes
_MOST_NAMED = 8  # the rest, together, are grey


@styled
def steps_histogram(limits: LimitSets, *, like: LimitSets | None = None, title: str | None = None) -> Figure:
    """Steps (map evaluations) per orbit, coloured by the set reached; median and 95th percentile marked.

    Orbits that reached no limit set are no part of the histogram: they stand beside it, counted by their
    status. Orbits that a statistical capture cut short are left out.

    Args:
        limits: result of a search.
        like: another search of the same field whose names and colours are kept.
        title: above the figure.
    """
    followed = limits.orbits.followed
    labels = limits.labels[followed].cpu().numpy()
    steps = np.maximum(limits.orbits.steps[followed].cpu().numpy().astype(np.float64), 1.0)
    lost = [int(status) for status in limits.orbits.status[limits.labels < 0].tolist()]
    figure = new_figure(3.5, title or "How long it takes")
    if lost:
        axes, beside = figure.subplots(1, 2, width_ratios=(3.4, 1.0))
        _without_set(beside, lost, len(limits.labels))
    else:
        axes = figure.subplots()
    if (labels >= 0).any():
        _histogram(axes, steps, labels, names_of(limits, like))
    else:
        axes.text(0.5, 0.5, "no start reached a limit set", transform=axes.transAxes, ha="center", color=MUTED)
        axes.set_yticks([])
    axes.set_xlabel("steps until the end of the orbit was known")
    return figure


def _histogram(axes: Axes, steps: NDArray[np.float64], labels: NDArray[np.int64], names: Sequence[Name]) -> None:
    reached = steps[labels >= 0]
    low, high = reached.min(), reached.max()
    wide = high > _WIDE * low
    edges = np.geomspace(low / 1.1, high * 1.1, _BINS + 1) if wide else np.linspace(low - 1, high + 1, _BINS + 1)
    groups, hues, words = [], [], []
    for index, name in list(enumerate(names))[:_MOST_NAMED]:
        groups.append(steps[labels == index])
        hues.append(colour(name.rank))
        words.append(name.label)
    if len(names) > _MOST_NAMED:
        groups.append(steps[labels >= _MOST_NAMED])
        hues.append(UNRESOLVED)
        words.append(f"{len(names) - _MOST_NAMED} more")
    axes.hist(groups, bins=list(edges), stacked=True, color=hues, label=words, linewidth=0)
    if wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=_labelled(high / low)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.set_ylabel("orbits")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    top = axes.get_ylim()[1]
    axes.set_ylim(0, 1.22 * top)
    marks = [(float(np.quantile(reached, share)), share, word) for share, word in ((0.5, "median"), (0.95, "95 %"))]
    places = [axes.transAxes.inverted().transform(axes.transData.transform((mark[0], 0)))[0] for mark in marks]
    beside = places[1] - places[0] < _WORDS_APART  # then each word stands on its own side of its line
    for (value, share, word), side in zip(marks, ("right", "left"), strict=True):
        axes.axvline(value, color=INK, linewidth=1.1, linestyle=(0, (4, 2)), ymax=0.86, gid=f"quantile:{share}")
        axes.annotate(
            f"{word}\n{value:,.0f}",
            (value, 1.21 * top),
            ha=side if beside else "center",
            va="top",
            fontsize=8.5,
            color=INK,
        )
    if len(names) > 1:
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            handlelength=0.9,
            handleheight=0.9,
            labelspacing=0.35,
        )


def _labelled(factor: float) -> tuple[int, ...]:
    """Tell which multiples of powers of ten are labelled on a logarithmic axis, so that their labels stand apart."""
    decades = np.log10(factor)
    return (1, 2, 5) if decades <= 2 else (1, 3) if decades <= 3 else (1,)


def _without_set(axes: Axes, lost: Sequence[int], total: int) -> None:
    """Orbits without a limit set, one bar per status."""
    statuses = sorted(set(lost))
    counts = [lost.count(status) for status in statuses]
    known = {int(status): status.name.lower() for status in Status}
    words = [known[status] for status in statuses]
    bars = axes.barh(words, counts, color=UNRESOLVED, height=0.6)
    axes.bar_label(bars, [f" {count:,}" for count in counts], fontsize=8.5, color=MUTED)
    # Words longer than these narrow axes grow to the left, where there is room.
    axes.set_title(f"no limit set: {percent(len(lost) / total)}", loc="right")
    axes.set_xlim(0, 1.3 * max(counts))
    axes.set_ylim(-0.9, max(len(statuses) - 0.1, 2.5))
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_visible(False)
