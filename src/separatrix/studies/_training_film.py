"""A training film: the basins of a two-dimensional latent space, frame by frame, under names that stay."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ImageSource, load_images
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, find_attractors, triviality
from separatrix.limitsets._grid_search import Extent
from separatrix.protocol import Protocol
from separatrix.starts import grid
from separatrix.storage import Columnar, storable
from separatrix.studies._continuation.matching import By, decoded_traces
from separatrix.studies._continuation.sequence import Continuation, continuation_of, lasting
from separatrix.words import Statement, counted
from separatrix.work import AtOnce, Progress, Stages

_CHUNK = 256  # images encoded at once
_BULK = (0.01, 0.99)  # quantiles of the encoded images that must be in view
_MARGIN = 0.15  # of the view, on each side
RULES = Protocol(tolerance=1e-3, max_steps=4000)
"""Every end is polished and confirmed all the same, so a coarse stop is enough."""


@storable
class Story(StrEnum):
    """It tells what the frames of a film show."""

    CHANGES = "limit sets appear, vanish, merge or split"
    STAYS = "the same limit sets in all frames"


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingFilm(Columnar):
    """One row per frame, a frame being a field with k = 2.

    Attributes:
        parameter: ``(t,)`` float64, what the frame belongs to, in ``unit``.
        ids: ``(t, h, w)`` int32, the id of the set on which each point of the grid ends; −1 for none.
        steps: ``(t, h, w)`` int32, steps until that was certain.
        latents: ``(t, n, 2)`` float32, encodings of the same n images.
        trivial: ``(t,)`` bool, one point takes nearly everything within a few steps.
        errors: mean squared error per pixel of F = D∘E by name of the images, ``(t,)`` each.
        continuation: the limit sets and their ids; decoded, so that it can be matched again.
        extent: (left, right, bottom, top) of the grid, the same in every frame.
        classes: ``(n,)`` int64 labels of the encoded images, −1 for unknown; they colour nothing but the dots.
        unit: such as ``"epoch"``.
    """

    _columns: ClassVar[tuple[str, ...]] = ("parameter", "ids", "steps", "latents", "trivial")

    parameter: Tensor
    ids: Tensor
    steps: Tensor
    latents: Tensor
    trivial: Tensor
    continuation: Continuation
    extent: Extent
    errors: Mapping[str, Tensor] = field(default_factory=dict)
    classes: Tensor | None = None
    unit: str = "epoch"

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per frame: what it belongs to, and how many limit sets share the plane."""
        return {**super().table, "sets": [len(frame[frame >= 0].unique()) for frame in self.ids]}

    @checked
    def rematched(self, *, by: By, threshold: float | None = None) -> TrainingFilm:
        """The same frames with ids by another rule of matching. Cost: none."""
        return _named(self, self.continuation.rematched(by=by, threshold=threshold))

    @property
    def statement(self) -> Statement:
        """The film in one sentence, with the caveat that belongs to it; its code is a `Story`."""
        story, first, last = self.continuation, float(self.parameter[0]), float(self.parameter[-1])
        counts, events = story.counts.tolist(), story.events.counts
        trivial = int(self.trivial.sum())
        happened = ", ".join(counted(count, kind.words) for kind, count in events.items())
        return Statement(
            f"{counted(counts[0], 'set')} at {self.unit} {first:g}, {counts[-1]} at {self.unit} {last:g}; between them {happened}.",
            f"{trivial} of {len(self)} frames are trivial: one point takes nearly everything at once."
            if trivial
            else "",
            Story.CHANGES if any(events.values()) else Story.STAYS,
        )

    def __repr__(self) -> str:
        height, width = self.ids.shape[1:]
        counts = self.continuation.counts.tolist()
        return (
            f"TrainingFilm({len(self)} frames of {height}×{width}, {counts[0]} sets at first and {counts[-1]} at last)"
        )


@checked
def training_film(
    fields: Sequence[LatentField],
    data: ImageSource,
    *,
    parameters: Sequence[float] | None = None,
    unit: str = "epoch",
    resolution: int = 48,
    errors: Mapping[str, Any] | None = None,
    classes: Tensor | None = None,
    by: By = "basins",
    threshold: float | None = None,
    protocol: Protocol | None = None,
    stages: Stages | None = None,
    progress: bool | Progress = False,
) -> TrainingFilm:
    """Return where every point of the plane ends, for each of several fields with k = 2.

    The grid is the same in all frames and holds 98 % of the encoded images of each, so that the film shows the latents
    spreading as they do.

    Args:
        fields: one per frame, such as checkpoints; each with two latent coordinates.
        data: images whose encodings are shown as dots and set the frame, a few hundred.
        parameters: the epoch or step of each field; 0, 1, 2, … if not given.
        unit: what the parameters count.
        resolution: h = w of the grid.
        errors: images by name, on which each field's reconstruction error is measured.
        classes: ``(n,)`` labels of ``data``.
        by: how sets of successive frames are matched; the points of the grid are the shared starts.
        threshold: of the matching.
        protocol: of the searches; by default a coarse stop, which is enough where every end is verified.
        stages: keeps the search of each frame (frames/00, frames/01, …), as a run does (`separatrix.runs`).
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError: no field, a latent that is not two-dimensional, or numbers that do not fit.

    Cost: resolution² starts per field, about 10 to 60 map evaluations each, and one encoding per image and field.
    """
    if not fields:
        raise InputError("A film needs at least one field.")
    for each in fields:
        require_plane(each)
    images = load_images(data).pixels
    if classes is not None and len(classes) != len(images):
        raise InputError(f"There are {len(images)} images and {len(classes)} classes; give one for each.")
    values = [float(value) for value in (range(len(fields)) if parameters is None else parameters)]
    if len(values) != len(fields):
        raise InputError(f"There are {len(fields)} fields and {len(values)} parameters; give one for each.")
    if resolution < 2:
        raise InputError(f"resolution must be 2 or more, not {resolution}.")
    latents = torch.stack([_encoded(each, images) for each in fields])
    measured = {name: _errors(fields, load_images(of).pixels) for name, of in (errors or {}).items()}
    extent = _extent(latents)
    points = grid((extent[0], extent[2]), (extent[1], extent[3]), shape=(resolution, resolution))
    rules = replace(
        RULES if protocol is None else Protocol.of(protocol), max_wrong=0.0
    )  # a film shows how many steps each start takes
    kept = stages or AtOnce()
    found: list[LimitSets] = []
    pictures: list[tuple[Tensor, ...]] = []
    with warnings.catch_warnings(), Progress.of(progress).stage("frames", len(fields)) as line:
        warnings.simplefilter("ignore", ConvergenceWarning)  # what reached nothing is grey in the film
        for time, each in enumerate(fields):
            name = f"frames/{time:02d}"
            search = partial(find_attractors, each, points, rules, progress=line, checkpoint=kept.unfinished(name))
            found.append(kept.stage(name, search))
            pictures.append(decoded_traces(each, lasting(found[-1])[0]))
    story = continuation_of(found, values, pictures, by=by, threshold=threshold)
    shape = (len(fields), resolution, resolution)
    empty = torch.full(shape, -1, dtype=torch.int32)
    film = TrainingFilm(
        parameter=torch.tensor(values, dtype=torch.float64),
        ids=empty,
        steps=torch.stack([limits.orbits.steps.cpu() for limits in found]).to(torch.int32).reshape(shape),
        latents=latents.to(torch.float32),
        trivial=torch.tensor([triviality(limits).trivial for limits in found]),
        continuation=story,
        extent=extent,
        errors=measured,
        classes=None if classes is None else classes.to(torch.int64).cpu(),
        unit=unit,
    )
    return _named(film, story)


def _named(film: TrainingFilm, story: Continuation) -> TrainingFilm:
    """The film with the ids of a continuation."""
    ids = torch.stack([story.labels(time) for time in range(len(film))]).to(torch.int32).reshape(film.ids.shape)
    return replace(film, ids=ids, continuation=story)


def require_plane(latent_field: LatentField) -> None:
    """Refuse a field that has no plane to be filmed.

    Raises:
        InputError: it has not two latent coordinates.
    """
    if latent_field.latent_dim != 2:
        raise InputError(
            f"A film shows a plane, and {latent_field.name} has {latent_field.latent_dim} latent coordinates; train a model with "
            "two, or follow its attractors with continuation."
        )


def _encoded(latent_field: LatentField, images: Tensor) -> Tensor:
    parts = [
        latent_field.encode(part.to(latent_field.device, latent_field.dtype)).detach().to("cpu", torch.float64)
        for part in images.split(_CHUNK)
    ]
    return torch.cat(parts).flatten(1)


def _errors(fields: Sequence[LatentField], images: Tensor) -> Tensor:
    """Mean squared error per pixel of each field on these images."""
    rows = []
    for each in fields:
        total = 0.0
        for part in images.split(_CHUNK):
            x = part.to(each.device, each.dtype)
            total += float((each.reconstruct(x) - x).detach().to(torch.float64).square().sum())
        rows.append(total / images.numel())
    return torch.tensor(rows, dtype=torch.float64)


def _extent(latents: Tensor) -> Extent:
    """A square that holds the bulk of the latents of every frame."""
    finite = latents.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    bounds = torch.quantile(finite, torch.tensor(_BULK, dtype=finite.dtype), dim=1)
    low, high = bounds[0].amin(dim=0), bounds[1].amax(dim=0)
    middle, half = (low + high) / 2, float((high - low).max()) / 2 * (1 + 2 * _MARGIN) or 1.0
    left, bottom = (middle - half).tolist()
    right, top = (middle + half).tolist()
    return left, right, bottom, top
