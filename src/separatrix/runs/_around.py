"""The field around the pictures of a study that looks for no attractors: a short search from their codes, for the living page in its report."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

from separatrix.data import ImageSet, encode_range
from separatrix.errors import ConvergenceWarning
from separatrix.explorer import scene_of
from separatrix.explorer._scene import most_examples
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, find_attractors
from separatrix.plots._pictures import are_pictures
from separatrix.protocol import Protocol
from separatrix.report import ModelResults
from separatrix.runs._living import Scenes, refused
from separatrix.starts import points
from separatrix.words import counted
from separatrix.work import Progress

MOST = 12  # pictures
_HIGHEST, _USUAL = 8, 4  # of them, where they are in the order of a score
_SHARE, _LEAST = 0.25, 200  # of what the study cost, or so many steps of each picture where that is more


def scenes_around(
    field: LatentField,
    images: ImageSet,
    *,
    title: str,
    cost: float,
    known: LimitSets | None = None,
    progress: Progress,
) -> Scenes:
    """Make the scene of a living page that starts from a study's own pictures; none where no report can hold the model, or these are no pictures.

    Args:
        field: the model.
        images: from which a reader may start; the first twelve, or as many as a page has room for.
        title: of the model.
        cost: of the study, in map evaluations.
        known: a search of the study, if it made one.
        progress: is moved.

    Cost: without a known search at most a quarter of that of the study, or 200 steps of each picture where that is more, and what it takes to verify the
    attractors that are found.
    """
    if not are_pictures(images.image_shape) or field.latent_dim < 2:
        return Scenes(scenes=())
    if why := refused(int(field.describe()["parameters"])):
        return Scenes(scenes=(), why=why)
    shown = images[: min(MOST, most_examples(images.pixels[0].numel()))]
    steps = max(_LEAST, int(_SHARE * cost) // len(shown))
    limits = known or ends(field, shown, steps, progress)
    results = ModelResults(
        title=title,
        subtitle=f"{field.title}, from {counted(len(limits.labels), 'picture')}",
        latent_field=field,
        searches={"pictures": limits},
        inputs=dict(zip(shown.names, shown.pixels, strict=True)),
    )
    return Scenes(scenes=(scene_of(results, beforehand=False, progress=progress),))


def ends(field: LatentField, images: ImageSet, steps: int, progress: Progress) -> LimitSets:
    """Follow the codes of pictures for so many round trips."""
    codes = encode_range(field, lambda a, b: images.pixels[a:b], 0, len(images))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the statuses are on the page
        return find_attractors(field, points(codes), Protocol(max_steps=steps), progress=progress)


def named(images: ImageSet, what: str) -> ImageSet:
    """The same under names that say what they are: a bare number would read as a label."""
    return replace(images, names=tuple(f"{what} {name}" if name.isdigit() else name for name in images.names))


def extremes(order: Sequence[int]) -> dict[int, str]:
    """Choose, of rows in ascending order of their scores, those from which a living page starts, and say what each is called.

    >>> extremes(range(10))
    {9: 'rank 1', 8: 'rank 2', 7: 'rank 3', 6: 'rank 4', 5: 'rank 5', 4: 'rank 6', 3: 'rank 7', 2: 'rank 8', 0: 'usual', 1: 'usual'}
    """
    middle = order[:-_HIGHEST]
    usual = middle[max(0, len(middle) // 2 - _USUAL // 2) :][:_USUAL]
    highest = {row: f"rank {rank}" for rank, row in enumerate(reversed(order[-_HIGHEST:]), start=1)}
    return highest | dict.fromkeys(usual, "usual")
