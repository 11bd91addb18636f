"""The two still pictures of a page, for print and for readers without scripts: cells as a small image, arrows and marks as lines."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from separatrix.explorer._scene import Scene
from separatrix.plots._style import SPEED, UNRESOLVED, readable_on

_SIZE = 600  # of the drawing, in its own units
_ARROWS = 20  # a side
_PALEST = 0.55  # how far towards white the fastest starts are shaded, as in `basin_map`
_LETTERED = 40  # sets; more are dots


def still_speed(scene: Scene) -> Markup:
    """The field: cells in the colour of its speed, and arrows of its direction."""
    side = scene.about["field_side"]
    words = f"The field at {side} × {side} points: the darker a cell, the slower; arrows point where the network takes a latent."
    return _figure(_drawn(scene, _speed_cells(scene), _arrows(scene), words), words)


def still_basins(scene: Scene) -> Markup:
    """The map of basins: cells in the colour of the set that their start goes to."""
    height, width = scene.about["grid"]
    words = f"Each of {width} × {height} starts in the colour of the limit set that it goes to; the deeper the colour, the more steps it takes."
    return _figure(_drawn(scene, _basin_cells(scene), "", words), words)


def still_field(scene: Scene) -> Markup:
    """Draw both in one picture, for a card: arrows over the basins, or over the speed where no start of the plane arrives anywhere."""
    arrives = bool((scene.arrays["basin"] >= 0).any())
    cells = _basin_cells(scene) if arrives else _speed_cells(scene)
    told = "in the colour of the limit set that each start goes to" if arrives else "the darker, the slower"
    return _drawn(scene, cells, _arrows(scene), f"The field of {scene.about['title']}: arrows over cells, {told}.")


def _speed_cells(scene: Scene) -> NDArray[np.float64]:
    side = scene.about["field_side"]
    speed = scene.arrays["speed"].reshape(side, side).numpy().astype(np.float64)
    fast = np.quantile(speed, 0.9) or 1.0
    cells: NDArray[np.float64] = SPEED(np.clip(np.sqrt(speed / fast), 0, 1))[..., :3]
    return cells


def _basin_cells(scene: Scene) -> NDArray[np.float64]:
    about = scene.about
    shape = tuple(about["grid"])
    hues = np.array([to_rgb(row["hue"]) for row in about["sets"]] + [to_rgb(UNRESOLVED)])
    basin = scene.arrays["basin"].reshape(shape).numpy()
    steps = np.log1p(scene.arrays["basin_steps"].reshape(shape).numpy())
    low, high = np.quantile(steps[basin >= 0], (0.02, 0.98)) if (basin >= 0).any() else (0.0, 0.0)
    depth = np.clip((steps - low) / (high - low), 0, 1) if high > low else np.full(shape, 0.5)
    white = np.where(basin >= 0, _PALEST * (1 - depth), 0.0)[..., None]
    cells: NDArray[np.float64] = hues[basin] * (1 - white) + white
    return cells


def _arrows(scene: Scene) -> str:
    """At most 20 a side, each of one length: speed is told by the cells."""
    side = scene.about["field_side"]
    velocity = scene.arrays["velocity"].reshape(side, side, 2).numpy().astype(np.float64)
    arrows = []
    every = max(1, side // _ARROWS)
    length = 0.4 * _SIZE * every / side
    for row in range(every // 2, side, every):
        for column in range(every // 2, side, every):
            u, v = velocity[row, column]
            if (norm := math.hypot(u, v)) > 0:
                x, y = _SIZE * column / (side - 1), _SIZE * (1 - row / (side - 1))
                dx, dy = length * u / norm, -length * v / norm
                arrows.append(f"M{x - dx:.1f} {y - dy:.1f}L{x + dx:.1f} {y + dy:.1f}")
                arrows += [
                    f"M{x + dx:.1f} {y + dy:.1f}l{-0.5 * (dx * c - dy * s):.1f} {-0.5 * (dx * s + dy * c):.1f}"
                    for c, s in ((0.87, 0.5), (0.87, -0.5))
                ]
    return f'<path d="{"".join(arrows)}" fill="none" stroke="#fff" stroke-opacity=".75" stroke-width="1.2"/>'


def _figure(drawing: Markup, words: str) -> Markup:
    return Markup(f"{drawing}<figcaption>{Markup.escape(words)}</figcaption>")


def _drawn(scene: Scene, cells: NDArray[np.float64], lines: str, words: str) -> Markup:
    buffer = io.BytesIO()
    Image.fromarray((cells[::-1] * 255).round().astype(np.uint8)).save(buffer, format="png", optimize=True)
    picture = base64.b64encode(buffer.getvalue()).decode("ascii")
    height, width = cells.shape[:2]
    dx, dy = _SIZE / (width - 1), _SIZE / (height - 1)
    image = (
        f'<image href="data:image/png;base64,{picture}" x="{-dx / 2:.2f}" y="{-dy / 2:.2f}" width="{_SIZE + dx:.2f}" '
        f'height="{_SIZE + dy:.2f}" preserveAspectRatio="none" style="image-rendering:pixelated"/>'
    )
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" role="img" aria-label="{Markup.escape(words)}" overflow="hidden">'
        f"{image}{lines}{_marks(scene, scene.about)}</svg>"
    )


def _marks(scene: Scene, about: Mapping[str, Any]) -> str:
    """Limit sets with their letters; what does not attract is square. Dots of one curve overlap, so their white rims lie below all of them."""
    left, right, bottom, top = about["plane"]["extent"]
    seen: set[int] = set()
    rims, dots, made = dict[str, None](), dict[str, None](), []  # dictionaries: of dots at one place one is enough
    for set_, (x, y) in zip(scene.arrays["set_owner"].tolist(), scene.arrays["set_xy"].tolist(), strict=True):
        row = about["sets"][set_]
        px, py = _SIZE * (x - left) / (right - left), _SIZE * (top - y) / (top - bottom)
        first = set_ not in seen and len(about["sets"]) <= _LETTERED
        seen.add(set_)
        if not first:
            dot = f'<circle cx="{px:.0f}" cy="{py:.0f}"'
            rims[f'{dot} r="3.5" fill="#fff"/>'] = dots[f'{dot} r="2.5" fill="{row["hue"]}"/>'] = None
            continue
        frame = f'fill="{row["hue"]}" stroke="#fff" stroke-width="1.5"'
        if row["stable"] == 1:
            made.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="11" {frame}/>')
        else:
            made.append(f'<rect x="{px - 9:.1f}" y="{py - 9:.1f}" width="18" height="18" {frame}/>')
        made.append(
            f'<text x="{px:.1f}" y="{py + 4.5:.1f}" text-anchor="middle" fill="{readable_on(row["hue"])}">{Markup.escape(row["name"])}</text>'
        )
    return "".join((*rims, *dots, *made))
