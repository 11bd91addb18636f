"""This file tells how large the basins are, for one or several kinds of starts side by side: bars with their intervals."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from separatrix.errors import InputError
from separatrix.limitsets import LimitSets, basins
from separatrix.limitsets._basins import shares_without_set
from separatrix.orbits import Fate
from separatrix.plots._naming import names_across
from separatrix.plots._style import FAINT, INK, MUTED, PAPER, UNRESOLVED, colour, new_figure, styled
from separatrix.words import counted, percent

_MOST_SETS = 10
_HATCHES = ("", "////", "....", "xxxx")  # by search; the first is filled


@styled
def basin_shares(results: Mapping[str, LimitSets] | LimitSets, *, title: str | None = None) -> Figure:
    """The share of starts that ended on each set, with 95 % intervals; one bar per search.

    Starts that reached no set stand below, by what became of them.

    Args:
        results: one search, or several by name; one name and colour means one set in all of them.
        title: above the figure.

    Raises:
        InputError: no results.
    """
    if isinstance(results, LimitSets):
        results = {"starts": results}
    if not results:
        raise InputError("basin_shares needs at least one search, such as {'data': limits}.")
    names = names_across(results.values())
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    lost: dict[str, dict[str, tuple[float, float, float]]] = {}
    hues = {fate.short: UNRESOLVED for fate in Fate}
    for (source, limits), named in zip(results.items(), names, strict=True):
        found = basins(limits)
        columns = (found.fractions.tolist(), found.low.tolist(), found.high.tolist())
        for name, *interval in zip(named, *columns, strict=True):
            rows.setdefault(name.label, {})[source] = (interval[0], interval[1], interval[2])
            hues[name.label] = colour(name.rank)
        for word, share in shares_without_set(limits).items():
            lost.setdefault(word, {})[source] = (share, share, share)
    # A set that only the second search reaches may be large there.
    peak = {label: max(share for share, _, _ in row.values()) for label, row in rows.items()}
    order = sorted(rows, key=lambda label: -peak[label])
    largest, others = order[:_MOST_SETS], order[_MOST_SETS:]
    shown = [label for label in rows if label in largest]
    rows |= lost  # never hidden behind many sets
    shown += lost

    figure = new_figure(1.5 + 0.22 * len(shown) * (len(results) + 0.6), title or "Where the starts end")
    axes = figure.subplots()
    step = len(results) + 0.6
    for row, label in enumerate(shown):
        for place, source in enumerate(results):
            share, low, high = rows[label].get(source, (0.0, 0.0, 0.0))
            y = row * step + place
            face, hatch = PAPER if place else hues[label], _HATCHES[place % len(_HATCHES)]
            axes.barh(
                y,
                share,
                height=0.82,
                edgecolor=hues[label],
                linewidth=1.0,
                gid=f"share:{label}:{source}",
                facecolor=face,
                hatch=hatch,
            )
            axes.plot([low, high], [y, y], color=INK, linewidth=1.1, solid_capstyle="butt", zorder=3)
            axes.annotate(
                percent(share),
                (max(share, high), y),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=MUTED,
            )
    axes.set_yticks([row * step + (len(results) - 1) / 2 for row in range(len(shown))], shown)
    for tick, label in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set(color=MUTED if label in lost else hues[label], fontweight="bold", fontsize=10.5)
    axes.invert_yaxis()
    axes.set_xlim(0, None)
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_xlabel(
        "share of starts, with 95 % interval"
        + (f"; {counted(len(others), 'smaller set')} left out" if others else "")
        + (f", at most {percent(peak[others[0]])} of any kind of start" if others and len(results) > 1 else "")
    )
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    if len(results) > 1:
        handles = [
            Patch(
                facecolor=MUTED if place == 0 else PAPER,
                edgecolor=MUTED,
                hatch=_HATCHES[place % len(_HATCHES)],
                label=source,
            )
            for place, source in enumerate(results)
        ]
        axes.legend(
            handles=handles,
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=len(handles),
            borderaxespad=0.2,
        )
    return figure
