"""A training film as one HTML file: a slider over the frames, a little script inside, and nothing from elsewhere."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from separatrix.models._checkpoint import write_atomically
from separatrix.plots._naming import letters
from separatrix.plots._pictures import are_pictures, to_rgb, value_range
from separatrix.plots._style import UNRESOLVED, colour
from separatrix.plots._training_frames import depth, training_frames
from separatrix.report._page import Picture, Tile
from separatrix.report._write import environment, page_style
from separatrix.studies._continuation.events import EventKind, phrase
from separatrix.studies._training_film import TrainingFilm

_NO_SET = 65_535  # of the two bytes in which the page gets the id of every grid point
_PLACES = 1000  # positions are sent as whole thousandths of the frame
_MOST_PICTURES = 24


def write_film(path: str | Path, film: TrainingFilm, *, title: str = "A training film", subtitle: str = "") -> Path:
    """Write ``film`` as one HTML file, on which basins and attractors are scrubbed over the frames.

    The file needs no network and appears whole or not at all. Without a script engine, and in print, it shows some frames
    side by side.

    Args:
        path: of the file; its folder must exist.
        film: what it shows.
        title: the heading.
        subtitle: one line below: which model, which data.

    Returns:
        The path.

    Raises:
        FileError: the file cannot be written.
    """
    target = Path(path)
    still = Picture.of(
        training_frames(film), alt="Basins of attraction at several moments of the training, side by side."
    )
    text = (
        environment()
        .get_template("film.html.j2")
        .render(
            title=title,
            subtitle=subtitle,
            film=film_data(film),
            still=still,
            summary=str(film.statement),
            unit=film.unit,
            style=page_style(),
        )
    )
    write_atomically(target, text.encode("utf-8"))
    return target


def film_data(film: TrainingFilm) -> dict[str, Any]:
    """What the script of the page draws, JSON-ready."""
    names = sorted(film.continuation.lifetimes())
    height, width = film.ids.shape[1:]
    return {
        "width": width,
        "height": height,
        "extent": [round(edge, 6) for edge in film.extent],
        "unit": film.unit,
        "colours": {str(name): colour(name) for name in names},
        "letters": {str(name): letters(name) for name in names},
        "unresolved": UNRESOLVED,
        "classes": None if film.classes is None else film.classes.tolist(),
        "errors": {name: [float(f"{value:.4g}") for value in values.tolist()] for name, values in film.errors.items()},
        "frames": [_frame(film, time) for time in range(len(film))],
    }


def _frame(film: TrainingFilm, time: int) -> dict[str, Any]:
    ids = film.ids[time].numpy().astype(np.int64)
    grid = np.where(ids < 0, _NO_SET, ids % _NO_SET).astype("<u2")
    story = film.continuation
    words = [word for word, when in zip(_lettered(film), story.events.time.tolist(), strict=True) if when == time]
    return {
        "value": float(film.parameter[time]),
        "grid": _text(grid),
        "depth": _text((255 * depth(film, time) + 0.5).astype(np.uint8)),
        "dots": _places(film, film.latents[time].to(torch.float64)),
        "sets": _sets_of(film, time),
        "unresolved": float((film.ids[time] < 0).double().mean()),
        "trivial": bool(film.trivial[time]),
        "events": words,
    }


def _sets_of(film: TrainingFilm, time: int) -> list[dict[str, Any]]:
    story = film.continuation
    rows = (story.time == time).nonzero().squeeze(1).tolist()
    pictures = _pictures(film, time)
    limits = story.limits[time]
    described = []
    for place, row in enumerate(rows):
        radius = float(story.spectral_radius[row])
        described.append(
            {
                "id": int(story.id[row]),
                "at": _places(film, story.points[row].reshape(1, 2))[0],
                "share": float(story.share[row]),
                "radius": round(radius, 4) if radius == radius else None,
                "stable": int(limits.stable[int(story.set[row])]) == 1,
                "picture": pictures[place] if place < len(pictures) else None,
            }
        )
    return described


def _pictures(film: TrainingFilm, time: int) -> list[str]:
    """The decoded sets of one frame as data URIs, most visited first, where they are images."""
    decoded = film.continuation.decoded
    if decoded is None or not decoded[time] or not are_pictures(tuple(decoded[time][0].shape[1:])):
        return []
    images = torch.stack([points[0] for points in decoded[time][:_MOST_PICTURES]])
    tiles = [Tile.of(pixels, alt="") for pixels in to_rgb(images, value_range(images))]
    return ["data:image/png;base64," + base64.b64encode(tile.png).decode("ascii") for tile in tiles]


def _places(film: TrainingFilm, points: torch.Tensor) -> list[list[int]]:
    left, right, bottom, top = film.extent
    low, size = torch.tensor([left, bottom]), torch.tensor([right - left, top - bottom])
    shares = ((points - low) / size * _PLACES).nan_to_num(nan=-1.0).clamp(-_PLACES, 2 * _PLACES)
    return [[int(x), int(y)] for x, y in shares.round().tolist()]


def _lettered(film: TrainingFilm) -> list[str]:
    """Events with letters for ids, as the page calls the sets."""
    events = film.continuation.events
    return [
        phrase(EventKind(kind), letters(own), letters(max(other, 0)))
        for kind, own, other in zip(events.kind.tolist(), events.id.tolist(), events.other.tolist(), strict=True)
    ]


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
