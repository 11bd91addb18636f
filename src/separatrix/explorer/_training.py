"""The living page of a training: one scene per checkpoint, in the same plane, where a set keeps its letter and colour as in the film."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.explorer._nodes import ROOM
from separatrix.explorer._scene import Scene, scene_of
from separatrix.field import LatentField
from separatrix.limitsets import GridSearch
from separatrix.plots._naming import letters
from separatrix.plots._style import colour
from separatrix.report import ModelResults
from separatrix.report._film_page import film_events
from separatrix.studies import TrainingFilm
from separatrix.words import counted, jsonable, percent
from separatrix.work import Progress

LARGEST = 12e6  # bytes of the weights of all checkpoints that are put into one file
_EXAMPLE_NUMBERS = 2**18  # of the example images of all checkpoints: each has them, because a page may begin with any


@dataclass(frozen=True, eq=False)
class Moment:
    """A checkpoint of a training on its living page.

    Attributes:
        scene: what the page shows of it.
        field: of the checkpoint.
    """

    scene: Scene
    field: LatentField


@checked
def training_scenes(
    film: TrainingFilm,
    fields: Sequence[LatentField],
    *,
    title: str,
    subtitle: str = "",
    examples: Mapping[str, Tensor] | None = None,
    model: bool = True,
    live: bool = False,
    room: int = ROOM,
    progress: bool | Progress = False,
) -> list[Moment]:
    """Make the scene of every frame of a film, in order; no search is repeated.

    Args:
        film: the frames.
        fields: that of each.
        title, subtitle: of the page.
        examples: images by name from which a reader may start.
        model: put the models into the page, unless all of them together are too large to be sent.
        live: the models stay in Python, which the page asks (`separatrix.explorer.serve`).
        room: bytes of orbits that are computed beforehand, about.
        progress: show a progress bar, or move the one that is there.

    Raises:
        InputError: there is not one field per frame.

    Cost: that of `scene_of` per frame, less its searches.
    """
    if len(fields) != len(film):
        raise InputError(f"The film has {len(film)} frames, and there are {len(fields)} fields; give one for each.")
    size = size_of(fields)
    small = size <= LARGEST
    shown = _few(examples or {}, len(film))
    told = [_told(film, time) for time in range(len(film))]
    made = []
    with Progress.of(progress).stage("checkpoints", len(film)) as line:
        for time, each in enumerate(fields):
            limits = film.continuation.limits[time]
            height, width = film.ids.shape[1:]
            results = ModelResults(
                title=title,
                subtitle=subtitle,
                latent_field=each,
                searches={"the plane": limits},
                grid=GridSearch(limits=limits, shape=(height, width), extent=film.extent),
                inputs=shown,
            )
            scene = scene_of(results, model=model and small, live=live, room=room // len(film), progress=line)
            about = scene.about
            for row, name in zip(about["sets"], film.continuation.ids(time).tolist(), strict=True):
                if name >= 0:
                    row["name"], row["hue"] = letters(name), colour(name)
            about["statement"] = film.statement.to_dict()
            about["training"] = {"at": time, "checkpoints": told}
            if model and not small and not live:
                about["why_no_model"] = (
                    f"The models of {len(film)} checkpoints would take {size / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f}: "
                    "the page has the field of each, and orbits that were computed beforehand."
                )
            text = json.dumps(jsonable(about), ensure_ascii=False, sort_keys=True)
            made.append(Moment(replace(scene, text=text), each))
    return made


def size_of(fields: Sequence[LatentField]) -> int:
    """Return how many bytes the weights of these models take."""
    return sum(4 * int(each.describe()["parameters"]) for each in fields)


def _few(examples: Mapping[str, Tensor], checkpoints: int) -> dict[str, Tensor]:
    """Return as many of the first as there is room for in every checkpoint."""
    each = checkpoints * max((image.numel() for image in examples.values()), default=1)
    return dict(islice(examples.items(), max(1, _EXAMPLE_NUMBERS // each)))


def _told(film: TrainingFilm, time: int) -> dict[str, Any]:
    """A checkpoint by its number and in words."""
    number = f"{film.unit} {float(film.parameter[time]):g}"
    parts = [counted(int(film.continuation.counts[time]), "attracting set")]
    nowhere = float((film.ids[time] < 0).double().mean())
    if nowhere:
        parts.append(f"{percent(nowhere)} of the plane reach none")
    parts += [f"error on {name} {float(values[time]):.4f}" for name, values in film.errors.items()]
    events = film_events(film, time)
    since = f" Since the one before: {', '.join(events)}." if events else ""
    return {"name": number, "words": f"{'; '.join(parts)}.{since}"}
