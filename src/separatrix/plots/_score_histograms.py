"""Scores of a detector beside those it was calibrated on, and the p-values that follow."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from separatrix.arguments import checked
from separatrix.plots._style import FAINT, HUES, INK, MUTED, UNRESOLVED, new_figure, styled

_BINS = 40
_P_BINS = 20
_TAIL = 0.005  # of the scores on each side beyond which the axis does not go: one score of 10⁶ would leave one bar


def score_edges(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of the bars, without the farthest half percent on either side, and whatever is not finite.

    >>> score_edges(np.arange(1001.0))[[0, -1]].tolist(), len(score_edges(np.ones(3)))
    ([5.0, 995.0], 41)
    """
    known = scores[np.isfinite(scores)]
    low, high = np.quantile(known, (_TAIL, 1 - _TAIL)) if len(known) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


@styled
@checked
def score_histograms(
    scores: Tensor, p_values: Tensor, calibration: Tensor, *, threshold: float, title: str | None = None
) -> Figure:
    """Left: the scores, and those of the calibration set as shares of their number. Right: the p-values.

    Inputs like those of the calibration have uniform p-values: the dashed line. Scores beyond the axis stand in its last bars.

    Args:
        scores: ``(n,)``; those that are not finite are left out.
        p_values: ``(n,)`` of the same inputs.
        calibration: ``(c,)`` scores of the held-out images.
        threshold: the score from which inputs are called; infinite for none.
        title: above the figure.
    """
    known = scores[scores.isfinite()].double().numpy()
    held_out = calibration.double().numpy()
    figure = new_figure(3.4, title or "How the scores compare with those of the calibration")
    left, right = figure.subplots(1, 2)
    edges = score_edges(np.concatenate([known, held_out]))
    for values, hue, name in ((held_out, UNRESOLVED, "calibration"), (known, INK, "these inputs")):
        counts, _ = np.histogram(values.clip(edges[0], edges[-1]), edges)
        filled = hue is UNRESOLVED
        left.stairs(counts / max(len(values), 1), edges, color=hue, fill=filled, label=name, gid=f"scores:{name}")
    if np.isfinite(threshold):
        left.axvline(min(threshold, float(edges[-1])), color=HUES[1], linewidth=1.2, gid="threshold")
        left.annotate("called →", (min(threshold, float(edges[-1])), 0.97), xycoords=("data", "axes fraction"), fontsize=8.5,
                      color=HUES[1], va="top", ha="left", xytext=(3, 0), textcoords="offset points")  # fmt: skip
    left.set_xlabel("score")
    left.set_ylabel("share")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
    counts, edges = np.histogram(p_values[p_values.isfinite()].numpy(), np.linspace(0, 1, _P_BINS + 1))
    right.stairs(counts / max(int(counts.sum()), 1), edges, color=INK, gid="p-values")
    right.axhline(1 / _P_BINS, color=MUTED, linewidth=0.9, linestyle=(0, (4, 1.6)))
    right.set_xlabel("p-value")
    for axes in (left, right):
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
    return figure
