"""The page of a training film: a slider over the frames, a little script inside, and nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from separatrix.plots._naming import letters
from separatrix.plots._pictures import are_pictures, to_rgb, value_range
from separatrix.plots._style import UNRESOLVED, colour, small_letters_on
from separatrix.plots._training_frames import depth
from separatrix.report._chapter import versions_section
from separatrix.report._page import (
    Bullets,
    Cell,
    Page,
    Picture,
    Player,
    Prose,
    Section,
    Table,
    Tile,
    living_blocks,
)
from separatrix.report._tables import facts
from separatrix.studies import EventKind, TrainingFilm
from separatrix.studies._continuation.events import phrase
from separatrix.words import percent

_NO_SET = 65_535  # of the two bytes in which the page gets the id of every grid point
_PLACES = 1000  # positions are sent as whole thousandths of the frame
_MOST_PICTURES = 24
_HOW_TO_READ = (
    "Every point of the plane is decoded and encoded again until it comes to rest. Its colour says on which set, deeper where that took "
    "more steps; grey points reached none within the budget. Lettered discs are the sets that attract, hollow where that could not be "
    "decided; the pictures are what they decode to. Small dots are encoded images.",
    "A set keeps its letter and colour from frame to frame as long as it holds on to the same part of the plane. What happens between two "
    "frames is not seen: a set may be born and die there, and a jump may be many small steps. The film shows this one training and this "
    "one view; sets outside of it are in the list, not in the picture.",
    "Keys: ← and → for single frames, space to play.",
)


_LIVING = "On the living page a click into the plane starts an orbit of the checkpoint that its slider shows; the slider follows the same start through the training."


def film_page(
    film: TrainingFilm,
    *,
    title: str = "How attractors form",
    subtitle: str = "",
    still: Picture | None = None,
    left_out: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Page:
    """A page on which basins and attractors are scrubbed over the frames.

    Args:
        film: what it shows.
        title: the heading.
        subtitle: one line below: which model, which data.
        still: some frames side by side, for print and where no script runs; the living page that belongs to it gets a section.
        left_out: a sentence on each checkpoint that has no frame.
        provenance: of the film.
    """
    sections = [
        Section("The film", [Player(film_data(film), still)]),
        Section("Click into it", living_blocks(still, _LIVING)),
        Section("Frame by frame", [_frame_table(film)]),
        Section("How to read it", [Prose(_HOW_TO_READ)]),
        Section("Checkpoints that are left out", [Bullets(tuple(left_out))] if left_out else []),
        Section("Protocol and provenance", [facts(provenance)] if provenance else []),
        versions_section(),
    ]
    return Page(
        title,
        film.statement,
        (subtitle,) if subtitle else (),
        [part for part in sections if part.blocks],
    )


def frame_rows(film: TrainingFilm) -> list[dict[str, Any]]:
    """One record per frame, JSON-ready: its sets, the share of the plane that reached none, errors, and what happened since the last."""
    story = film.continuation
    nowhere = (film.ids < 0).double().mean(dim=(1, 2)).tolist()
    return [
        {
            film.unit: float(film.parameter[time]),
            "sets": int(count),
            "trivial": bool(film.trivial[time]),
            "reached_none": nowhere[time],
            "errors": {name: float(values[time]) for name, values in film.errors.items()},
            "events": _at(time, story.events.words, film),
        }
        for time, count in enumerate(story.counts.tolist())
    ]


def film_events(film: TrainingFilm, time: int) -> list[str]:
    """Return what happened just before a frame, with the letters of the sets."""
    return _at(time, _lettered(film), film)


def _frame_table(film: TrainingFilm) -> Table:
    told = _lettered(film)
    rows = [
        (
            f"{row[film.unit]:g}",
            f"{row['sets']}{' (trivial)' if row['trivial'] else ''}",
            percent(row["reached_none"]),
            *(f"{value:.4f}" for value in row["errors"].values()),
            ", ".join(_at(time, told, film)),
        )
        for time, row in enumerate(frame_rows(film))
    ]
    heads = (film.unit, "sets", "reached none", *(f"error, {name}" for name in film.errors), "what happened")
    return Table(
        heads,
        tuple(tuple(map(Cell, row)) for row in rows),
        "Sets that attract. Reached none: share of the plane. Error: mean squared, per pixel. Trivial: one point takes nearly "
        "everything at once.",
        words=frozenset({len(heads) - 1}),
    )


def _at(time: int, words: Sequence[str], film: TrainingFilm) -> list[str]:
    """Return those of the events that happened just before a frame."""
    return [word for word, when in zip(words, film.continuation.events.time.tolist(), strict=True) if when == time]


def film_data(film: TrainingFilm) -> dict[str, Any]:
    """Return what the script of the page draws, JSON-ready."""
    names = sorted(film.continuation.lifetimes())
    height, width = film.ids.shape[1:]
    return {
        "width": width,
        "height": height,
        "extent": [round(edge, 6) for edge in film.extent],
        "unit": film.unit,
        "colours": {str(name): colour(name) for name in names},
        "letter_colours": {str(name): small_letters_on(colour(name)) for name in names},
        "letters": {str(name): letters(name) for name in names},
        "unresolved": UNRESOLVED,
        "classes": None if film.classes is None else film.classes.tolist(),
        "errors": {name: [float(f"{value:.4g}") for value in values.tolist()] for name, values in film.errors.items()},
        "frames": [_frame(film, time) for time in range(len(film))],
    }


def _frame(film: TrainingFilm, time: int) -> dict[str, Any]:
    ids = film.ids[time].numpy().astype(np.int64)
    grid = np.where(ids < 0, _NO_SET, ids % _NO_SET).astype("<u2")
    return {
        "value": float(film.parameter[time]),
        "grid": _text(grid),
        "depth": _text((255 * depth(film, time) + 0.5).astype(np.uint8)),
        "dots": _places(film, film.latents[time].to(torch.float64)),
        "sets": _sets_of(film, time),
        "unresolved": float((film.ids[time] < 0).double().mean()),
        "trivial": bool(film.trivial[time]),
        "events": film_events(film, time),
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
