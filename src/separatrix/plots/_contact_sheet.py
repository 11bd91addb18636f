"""Every decoded noise attractor at a glance."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from separatrix.arguments import checked
from separatrix.plots._marks import mosaic, place_picture
from separatrix.plots._pictures import to_rgb, value_range
from separatrix.plots._style import FAINT, HUES, INK, MUTED, WIDTH, new_figure, styled
from separatrix.studies import Appearance
from separatrix.words import percent

_MOST_COLUMNS, _FEWEST_COLUMNS = 12, 6
_MOST = 96
_DOWN = 1.38  # from one row to the next, in picture sizes


@styled
@checked
def contact_sheet(found: Appearance, *, starts: int | None = None, title: str | None = None) -> Figure:
    """Decoded attractors, most hits first; framed where they look like images, with their share of all starts.

    A coloured frame marks those that come closer to a suspect than held-out images do (false discovery rate `alpha`).

    Args:
        found: of :func:`separatrix.studies._probing.appearance`.
        starts: how many there were, also those that reached no attractor; as `found` says, if not given, which knows of 512 attractors.
        title: above the figure.
    """
    shown = min(len(found), _MOST)
    columns = min(_MOST_COLUMNS, max(_FEWEST_COLUMNS, shown))
    rows = math.ceil(shown / columns)
    across = 1.1 * columns
    heading = title or f"Where noise ends: {len(found):,} decoded {found.what}"
    figure = new_figure(0.95 + WIDTH / across * _DOWN * rows, heading)
    axes = figure.subplots()
    mosaic(axes, left=-0.06, right=across, bottom=_DOWN * rows, top=-0.06)
    pixels = to_rgb(found.images[:shown], value_range(found.images[:shown]))
    passes = found.looks_like_an_image.tolist()
    if starts is None and found.settled > 0:
        starts = round(int(found.hits.sum()) / found.settled)
    like = found.resemblance
    called = like.significant.tolist() if like is not None and len(like) else [False] * len(found)
    for place in range(shown):
        x, y = 1.1 * (place % columns), _DOWN * (place // columns)
        edge = HUES[1] if called[place] else INK if passes[place] else FAINT
        word = "suspect" if called[place] else "image" if passes[place] else "noise"
        place_picture(axes, pixels[place], x, y, edge, width=1.4, gid=f"{word}:{place}")
        if found.what == "attractors":
            share = percent(int(found.hits[place]) / max(starts or 0, 1))
            axes.text(x + 0.5, y + 1.06, share, fontsize=8.5, color=MUTED, ha="center", va="top")
    more = f"; the first {shown}" if shown < len(found) else ""
    marked = ", coloured: closer to a suspect than held-out images are" if any(called) else ""
    below = "; below: share of all starts" if found.what == "attractors" else ""
    figure.supxlabel(
        f"dark frame: neighbouring pixels agree{marked}{below}{more}", x=0.012, ha="left", fontsize=8.5, color=MUTED
    )
    return figure
