"""A detector before it is used: the scores it was calibrated on, and whether it tells simple inputs from the data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from separatrix.numerics import Interval
from separatrix.plots._score_histograms import score_edges
from separatrix.plots._style import FAINT, HUES, INK, MUTED, UNRESOLVED, new_figure, styled

_CHANCE = 0.5
_OTHERS = 0.3  # half of the height, in rows, over which the other detectors are spread


@styled
def detector_check(
    calibration: Tensor,
    thresholds: Mapping[float, float],
    auroc: Mapping[str, Mapping[str, Interval]],
    *,
    kind: str,
    title: str | None = None,
) -> Figure:
    """Left: the calibration scores, and above which ones inputs are called. Right: the AUROC of detectors on simple inputs, with intervals.

    Scores beyond the axis stand in its last bars. Left of the dashed line a detector takes such inputs for more typical than the data.

    Args:
        calibration: ``(c,)`` scores of the held-out images.
        thresholds: false-alarm rate → the score above which inputs are called.
        auroc: detector → simple input → AUROC, as of `SelfCheck`; empty where nothing was tested.
        kind: of the detector that is shown; the others are set back.
        title: above the figure.
    """
    figure = new_figure(3.4, title or f"The {kind} detector, before it is used")
    axes = figure.subplots(1, 2) if auroc else [figure.subplots()]
    _calibration(axes[0], calibration, thresholds)
    if auroc:
        _areas(axes[1], auroc, kind)
    return figure


def _calibration(axes: Axes, calibration: Tensor, thresholds: Mapping[float, float]) -> None:
    scores = calibration.double().numpy()
    edges = score_edges(scores)
    counts, _ = np.histogram(scores.clip(edges[0], edges[-1]), edges)
    axes.stairs(counts, edges, color=UNRESOLVED, fill=True, gid="calibration")
    for row, (rate, threshold) in enumerate(sorted(thresholds.items(), reverse=True)):
        if not np.isfinite(threshold):
            continue
        at = min(threshold, float(edges[-1]))
        axes.axvline(at, color=HUES[1], linewidth=1.2, gid=f"threshold:{rate:g}")
        axes.annotate(f"{rate:g}", (at, 0.97 - 0.09 * row), xycoords=("data", "axes fraction"), fontsize=8.5, color=HUES[1],
                      va="top", ha="right", xytext=(-3, 0), textcoords="offset points")  # fmt: skip
    axes.set(xlabel="score of a held-out image", ylabel="images", ylim=(0, None))
    axes.grid(axis="y", color=FAINT, linewidth=0.6)


def _areas(axes: Axes, auroc: Mapping[str, Mapping[str, Interval]], kind: str) -> None:
    """One row per simple input, a dot per detector, the one that is shown on top."""
    names = list(next(iter(auroc.values())))
    others = [each for each in auroc if each != kind]
    shifts = dict(zip(others, np.linspace(-_OTHERS, _OTHERS, len(others)), strict=True))
    for each in (*others, kind) if kind in auroc else others:
        own = each == kind
        values = [auroc[each][name] for name in names]
        rows = np.arange(len(names)) + shifts.get(each, 0.0)
        axes.hlines(rows, [v.low for v in values], [v.high for v in values], color=HUES[0] if own else MUTED,
                    linewidth=2.2 if own else 0.9, alpha=1 if own else 0.55)  # fmt: skip
        axes.plot([v.value for v in values], rows, "o", color=HUES[0] if own else MUTED, markersize=6 if own else 3.5, alpha=1 if own else 0.7,
                  label=each if own else "the others" if each == others[0] else None, gid=f"auroc:{each}")  # fmt: skip
    axes.axvline(_CHANCE, color=INK, linewidth=0.9, linestyle=(0, (4, 1.6)))
    axes.set(xlim=(-0.03, 1.03), ylim=(len(names) - 0.5, -0.5), xlabel="AUROC against held-out images")
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
