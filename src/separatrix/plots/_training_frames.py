"""A training film on paper: some of its frames side by side."""

from __future__ import annotations

import numpy as np
import scipy
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.plots._marks import disc
from separatrix.plots._naming import Name, letters
from separatrix.plots._plane import cells
from separatrix.plots._style import INK, MUTED, UNRESOLVED, WIDTH, colour, new_figure, styled
from separatrix.studies import TrainingFilm
from separatrix.words import counted

_PALEST = 0.55  # how far towards white the fastest starts are shaded
_COLUMNS = 4


@styled
@checked
def training_frames(film: TrainingFilm, *, frames: int = 8, title: str | None = None) -> Figure:
    """Basins and attractors at up to ``frames`` moments, first and last included, the others evenly between.

    Colours and letters belong to ids: a set keeps them from frame to frame. Dots are encoded images.

    Raises:
        InputError: ``frames`` is below 1.
    """
    if frames < 1:
        raise InputError(f"frames must be 1 or more, not {frames}.")
    chosen = sorted({round(place) for place in np.linspace(0, len(film) - 1, min(frames, len(film)))})
    columns = min(_COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = new_figure(0.5 + rows * (WIDTH / columns + 0.25), title or "The latent plane along training")
    panels = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for panel in panels[len(chosen) :]:
        panel.set_axis_off()
    for panel, time in zip(panels, chosen, strict=False):
        _draw(panel, film, time)
    return figure


def _draw(axes: Axes, film: TrainingFilm, time: int) -> None:
    axes.imshow(painted(film, time), extent=cells(film.extent, film.ids.shape[1:]), origin="lower", gid=f"frame:{time}")
    dots = film.latents[time].numpy()
    axes.plot(dots[:, 0], dots[:, 1], ".", color=INK, markersize=1.2, alpha=0.5, markeredgewidth=0)
    story = film.continuation
    rows = (story.time == time).nonzero().squeeze(1).tolist()
    for row in reversed(rows):
        name = int(story.id[row])
        x, y = story.points[row].flatten().tolist()
        if film.extent[0] <= x <= film.extent[1] and film.extent[2] <= y <= film.extent[3]:
            known = int(story.limits[time].stable[int(story.set[row])]) == 1
            disc(axes, x, y, Name(letters(name), name), known=known, size=11)
    axes.set_title(f"{film.unit} {float(film.parameter[time]):g}: {counted(len(rows), 'set')}", color=MUTED)
    axes.set(xlim=film.extent[:2], ylim=film.extent[2:], xticks=[], yticks=[])


def painted(film: TrainingFilm, time: int) -> NDArray[np.float64]:
    """``(h, w, 3)`` colours of one frame: the hue says where a start ends, its depth how many steps that took."""
    ids = film.ids[time].numpy()
    white = np.where(ids >= 0, _PALEST * (1 - depth(film, time)), 0.0)[..., None]
    table = {name: to_rgb(colour(name)) if name >= 0 else to_rgb(UNRESOLVED) for name in np.unique(ids).tolist()}
    hues = np.array([table[name] for name in ids.ravel().tolist()]).reshape(*ids.shape, 3)
    shown: NDArray[np.float64] = hues * (1 - white) + white
    return shown


def depth(film: TrainingFilm, time: int) -> NDArray[np.float64]:
    """``(h, w)`` in [0, 1]: the logarithm of the steps, between its 2 % and 98 % quantiles in this frame.

    A median over 3×3 points takes out the pilot and audited orbits, which a search follows farther than the others.
    """
    steps = scipy.ndimage.median_filter(np.log1p(film.steps[time].numpy().astype(np.float64)), size=3, mode="mirror")
    low, high = np.quantile(steps, (0.02, 0.98))
    return np.clip((steps - low) / (high - low), 0, 1) if high > low else np.full(steps.shape, 0.5)
