"""Several models on one page: the same inputs through all, one row of numbers each, a chapter each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.errors import InputError
from separatrix.limitsets import Kind, LimitSets
from separatrix.numerics import most_similar
from separatrix.orbits import Fate
from separatrix.plots._film import arrived, filmed
from separatrix.plots._naming import names_of
from separatrix.plots._pictures import to_rgb, value_range
from separatrix.report._chapter import INTRODUCTION, called_badge, chapter_of, versions_section
from separatrix.report._page import Block, Cell, Film, Page, Picture, Section, Strip, Table, Tile
from separatrix.report._results import ModelResults
from separatrix.studies._resemblance_words import EXACT, most_unseen
from separatrix.words import Statement

TIMES = (1, 2, 4, 16, 256)


def several_models_page(
    title: str,
    statement: Statement,
    models: Sequence[ModelResults],
    figures: Sequence[Mapping[str, Picture]],
    *,
    introduction: Sequence[str] = INTRODUCTION,
    inputs: Mapping[str, Tensor],
) -> Page:
    """One page on several models of the same kind of images.

    Args:
        title: of the page.
        statement: what is concluded on all of them.
        models: the results of each, with resemblance to their training images.
        figures: of each, by name, as from `figures_of`.
        introduction: what this is.
        inputs: images by name; each is fed to every model. None leaves these films out.

    Cost: n·256 map evaluations per model for n inputs.
    """
    if len(models) != len(figures):
        raise InputError(f"{len(models)} models and {len(figures)} sets of figures; pass one set per model.")
    if not all(isinstance(results.train, Tensor) for results in models):
        raise InputError("A comparison shows the nearest training images; pass train= for every model.")
    films = _films(models, inputs) if inputs else []
    opening = [
        *([Section("The same image through every model, again and again", films)] if films else []),
        Section("At a glance", [_overview(models)]),
    ]
    chapters = [chapter_of(results, drawn) for results, drawn in zip(models, figures, strict=True)]
    return Page(title, statement, tuple(introduction), opening, chapters, (versions_section(),))


def _films(models: Sequence[ModelResults], inputs: Mapping[str, Tensor]) -> list[Block]:
    """One film per input, one row per model; the last frame is the training image nearest to the end."""
    images = torch.stack(list(inputs.values()))
    orbits = [filmed(results.latent_field, images, TIMES) for results in models]
    heads = ("input", *(f"{time}×" for time in TIMES), "nearest in training")
    films: list[Block] = []
    for place, name in enumerate(inputs):
        strips = []
        for results, (frames, latents) in zip(models, orbits, strict=True):
            assert isinstance(results.train, Tensor)
            owner = arrived(latents[-1], results.limits)[place]
            end = frames[-1, place : place + 1]
            if owner >= 0:
                end = results.latent_field.decode(results.limits.points[owner : owner + 1].to(latents[-1]))
            near = most_similar(end, results.train)
            partner = results.train[near.index].to(frames)
            pixels = to_rgb(torch.cat((frames[:, place], partner)), value_range(frames, partner))
            strips.append(_strip(results, name, pixels, owner, float(near.similarity)))
        films.append(Film(heads, tuple(strips), f"Input: {name}. n×: after n round trips through encoder and decoder."))
    return films


def _strip(results: ModelResults, name: str, pixels: NDArray[np.uint8], owner: int, similarity: float) -> Strip:
    """The row of one model: ``owner`` is the limit set that the orbit reached, −1 if none."""
    words = ("the input", *(f"after {time} round trips" for time in TIMES), "nearest training image")
    frames = [Tile.of(frame, f"{name}, {results.title}: {word}") for frame, word in zip(pixels, words, strict=True)]
    found = results.resemblance
    called = [] if found is None else found.sets[found.significant].tolist()
    ending = Fate.MOVING.short if owner < 0 else _ending(results.limits, owner)
    return Strip(
        results.title,
        tuple(frames),
        f"{ending}, cosine {similarity:.3f}",
        called_badge(found, found.sets.tolist().index(owner)) if found is not None and owner in called else "",
    )


def _ending(limits: LimitSets, owner: int) -> str:
    """An attractor is called so only if it was checked to be one."""
    what = "attractor" if int(limits.stable[owner]) == 1 else Kind(int(limits.kind[owner])).words
    return f"{what} {names_of(limits)[owner].label}"


def _overview(models: Sequence[ModelResults]) -> Table:
    facts = list(dict.fromkeys(key for results in models for key in results.facts))
    rows = []
    for results in models:
        found = results.resemblance
        closest = "–" if found is None or not len(found) else f"{float(found.coefficient.max()):.3f}"
        unseen = "–" if found is None or not len(found.held_out) else f"{float(found.held_out.quantile(0.5)):.3f}"
        called = "–" if found is None else f"{int(found.significant.sum())} of {len(found)}"
        exact = "–" if found is None else f"{int(found.exact.sum())}"
        rows.append(
            (
                Cell(results.title),
                *(Cell(results.facts.get(key, "–")) for key in facts),
                Cell(f"{len(results.limits.attractors)}"),
                Cell(results.limits.fates.words),
                Cell(closest),
                Cell(unseen),
                Cell(called),
                Cell(exact),
            )
        )
    alpha = max((results.resemblance.alpha for results in models if results.resemblance is not None), default=0.05)
    return Table(
        (
            "model",
            *facts,
            "attractors",
            "what became of the starts",
            "closest cosine",
            "median unseen",
            "closer than unseen",
            "exact copies",
        ),
        tuple(rows),
        "Closest cosine: of an attractor to a training image. Median unseen: what images reach that the "
        "model has never seen. "
        f"Closer than unseen: attractors closer to one training image than {most_unseen(alpha)} of unseen images are (false discovery rate "
        f"{alpha:g}). Exact copies: those of them whose distance to that image is below {EXACT:g} of that to the next ten.",
        frozenset({0, len(facts) + 2}),
    )
