"""This file tells which starts end together in two models: the basins of one against those of the other."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from separatrix.plots._style import HUES, INK, MUTED, PAPER, WIDTH, new_figure, styled
from separatrix.studies import Comparison
from separatrix.words import percent

_MOST = 16  # basins of each model; the others are counted together
_READABLE = 10  # columns up to which a cell has room for its number
_MAP = LinearSegmentedColormap.from_list("separatrix_overlap", [PAPER, HUES[0]])


@styled
def basin_overlap(found: Comparison, *, title: str | None = None) -> Figure:
    """The share of the starts that end on an attractor of A (rows) and on one of B (columns); starts that reach none stand last.

    If the basins are the same, each row and each column has one cell: matched basins stand on the diagonal.

    Args:
        found: of :func:`separatrix.compare`.
        title: above the figure.
    """
    shares, rows, columns = overlaps(found)
    side = WIDTH / (len(columns) + 2)
    figure = new_figure(1.4 + min(side, 0.5) * len(rows), title or "Which starts end together")
    axes = figure.subplots()
    axes.imshow(shares, cmap=_MAP, vmin=0, aspect="auto", gid="overlap")
    if len(columns) <= _READABLE:
        for (row, column), share in np.ndenumerate(shares):
            if share > 0:
                hue = PAPER if share > 0.6 * shares.max() else INK
                axes.text(column, row, percent(share), ha="center", va="center", fontsize=8.5, color=hue)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("attractor of B")
    axes.set_ylabel("attractor of A")
    axes.tick_params(length=0, labelcolor=MUTED)
    return figure


def overlaps(found: Comparison) -> tuple[np.ndarray, list[str], list[str]]:
    """The table ``(rows, columns)`` of shares with its headings: most visited attractors of A first, and those of B as they match.

    >>> import separatrix as sx
    >>> field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), (1,))
    >>> shares, rows, columns = overlaps(sx.studies.compare(field, field, sx.starts.box(100, -1, 1), rerun=False))
    >>> shares.shape, rows, columns, float(shares.sum()), bool((shares == np.diag(shares.diagonal())).all())
    ((2, 2), ['A0', 'A1'], ['B0', 'B1'], 1.0, True)
    """
    first, second = found.limits_a.labels.cpu(), found.limits_b.labels.cpu()
    matched = [partner for partner in found.partner.tolist() if partner >= 0]
    unmatched = [index for index in range(len(found.limits_b)) if index not in matched]
    places = [list(range(len(found.limits_a))), matched + unmatched]
    tables = []
    for model, labels, order in zip("AB", (first, second), places, strict=True):
        groups = [labels == index for index in order[:_MOST]]
        names = [f"{model}{index}" for index in order[:_MOST]]
        rest = torch.isin(labels, torch.tensor(order[_MOST:], dtype=labels.dtype))
        for group, name in ((rest, "others"), (labels < 0, "none")):
            if bool(group.any()):
                groups.append(group)
                names.append(name)
        tables.append((torch.stack(groups).to(torch.float64), names))
    (a, rows), (b, columns) = tables
    return (a @ b.T / max(len(first), 1)).numpy(), rows, columns
