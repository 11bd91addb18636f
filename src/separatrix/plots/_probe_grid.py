"""Many probes beside each other, from their summaries: models, or data sets, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from separatrix.errors import InputError
from separatrix.plots._probe_curves import OTHERS, ROLE_COLOURS, axis_ticks
from separatrix.plots._style import FAINT, INK, MUTED, PAPER, new_figure, styled
from separatrix.studies import Role
from separatrix.studies._probing.compare import SPACES, Standing

_EDGE = 1.0  # shares beyond ±100 % are drawn at the edge


@styled
def probe_grid(summaries: Mapping[str, Mapping[str, Any]], *, title: str) -> Figure:
    """Error against sparsity, one column per probe: latent space above, decoded images below; bands are 95 % intervals.

    Args:
        summaries: heading → what `probe_summary` returned.
        title: above the figure.

    Raises:
        InputError: no summary.
    """
    if not summaries:
        raise InputError("There is no probe to draw; give at least one summary.")
    figure = new_figure(4.9, title)
    rows = figure.subplots(2, len(summaries), squeeze=False, sharex="col")
    entries: dict[str, Any] = {}
    for column, (name, summary) in enumerate(summaries.items()):
        for row, space in enumerate(SPACES):
            axes = rows[row, column]
            entries |= _panel(axes, summary, space)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_minor_formatter(NullFormatter())
        rows[0, column].set_title(name, fontsize=8.5)
        ticks = axis_ticks(summary["sparsities"], apart=_apart(summary["sparsities"], len(summaries)))
        rows[1, column].set_xticks(ticks, [str(k) for k in ticks])
    rows[0, 0].set_ylabel("latent: share not coded")
    rows[1, 0].set_ylabel("image: MSE")
    rows[1, 0].set_xlabel("atoms (logarithmic)")
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=4, handlelength=1.8, columnspacing=1.2
    )
    return figure


@styled
def probe_overview(summaries: Mapping[str, Mapping[str, Any]], *, controls: Sequence[Role], title: str) -> Figure:
    """Draw what iterating gains over each control, as a share of the control's error over all sparsities; a row per probe.

    A disc is hollow where the two are level: the interval holds 0, or the difference is below 1 %.

    Args:
        summaries: row → what `probe_summary` returned.
        controls: which are drawn.
        title: above the figure.

    Raises:
        InputError: no summary.
    """
    if not summaries:
        raise InputError("There is no probe to draw; give at least one summary.")
    figure = new_figure(1.5 + 0.235 * len(summaries), title)
    panels = figure.subplots(1, 2, sharey=True)
    entries: dict[str, Any] = {}
    for axes, space in zip(panels, SPACES, strict=True):
        for row, summary in enumerate(summaries.values()):
            for one in summary["comparisons"]:
                if one["space"] == space and one["dictionary"] == Role.ITERATED and one["control"] in controls:
                    entries[one["control"]] = _mark(axes, one, row)
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set_xlim(-_EDGE - 0.05, _EDGE + 0.05)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.0f} %" if value else "0")
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
        axes.set_title("in latent space" if space == "latent" else "after decoding")
        axes.set_xlabel("less error than the control →")
    panels[0].set_yticks(range(len(summaries)), list(summaries))
    panels[0].set_ylim(len(summaries) - 0.4, -0.6)
    figure.legend(list(entries.values()), [f"against {name}" for name in entries], loc="outside lower center", ncols=2)
    return figure


def _apart(sparsities: Sequence[int], columns: int) -> float:
    """Factor between two numbers of the axis, so that they do not touch: about 16 of them fit across a figure."""
    return max(1.5, 0.99 * (sparsities[-1] / sparsities[0]) ** (columns / 14))


def _panel(axes: Axes, summary: Mapping[str, Any], space: str) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    scale = summary["power"] if space == "latent" else 1.0
    others = [known["name"] for known in summary["dictionaries"] if known["role"] == "other"]
    for known in summary["dictionaries"]:
        role = Role[known["role"].upper()]
        hue = OTHERS[others.index(known["name"]) % len(OTHERS)] if role is Role.OTHER else ROLE_COLOURS[role]
        curve = {part: np.asarray(values) / scale for part, values in known[f"{space}_mse"].items()}
        axes.fill_between(summary["sparsities"], curve["low"], curve["high"], color=hue, alpha=0.13, linewidth=0)
        (entries[known["name"]],) = axes.plot(
            summary["sparsities"], curve["mean"], color=hue, linewidth=2.0 if role is Role.ITERATED else 1.2,
            linestyle=(0, (4, 1.6)) if role.needs_data else "-", zorder=5 if role is Role.ITERATED else 3,
            marker="o" if len(summary["sparsities"]) < 3 else None, markersize=4,
            gid=f"error:{space}:{known['name']}",
        )  # fmt: skip
    if space == "image":
        axes.axhline(summary["floor"], color=MUTED, linewidth=0.8, linestyle=":", gid="floor")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=7)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    return entries


def _mark(axes: Axes, one: Mapping[str, Any], row: int) -> Any:
    share, low, high = (-_EDGE if value is None else float(np.clip(value, -_EDGE, _EDGE)) for value in one["share"])
    hue = ROLE_COLOURS[Role(one["control"])]
    axes.plot([low, high], [row, row], color=hue, linewidth=1.6, solid_capstyle="butt")
    level = Standing(one["verdict"]) is Standing.LEVEL
    axes.plot(
        [share], [row], "o", color=hue, markersize=5.0, markerfacecolor=PAPER if level else hue, linestyle="none",
        gid=f"{one['space']}:{row}:{one['control']}:{one['verdict']}",
    )  # fmt: skip
    return Line2D([], [], color=hue, marker="o", markersize=5.0, linewidth=1.6)
