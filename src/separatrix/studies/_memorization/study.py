"""The memorization study: attractors against training images, with every null that could explain the score away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import scipy
import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ImageSource, decode_all, tensor_of
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import Distance, Engine, nearest_items
from separatrix.numerics._effective_dimension import EffectiveDimension, effective_dimension
from separatrix.storage import storable
from separatrix.studies._memorization.decomposition import Decomposition, decomposition
from separatrix.studies._memorization.noise_only import NoiseOnly, judged_together
from separatrix.studies._memorization.sources import ChamferSimilarity, Source, chamfer_similarity, sources
from separatrix.studies._overlap import Overlap, overlap
from separatrix.studies._resemblance import Resemblance
from separatrix.studies._resemblance_words import Outcome
from separatrix.words import Statement, Tabular, Tone

_SAMPLE = 1000


storable(EffectiveDimension)  # numerics announce nothing
_REVERSED = 1e-3
EXCHANGED = (
    "The attractors are near held-out images far more often than chance would have it: perhaps training and held-out images were exchanged, or "
    "the model was trained on the held-out ones."
)
"""A study and an audit say this where a model knows the images that it was not to have seen."""


@storable
@dataclass(frozen=True)
class Exchange:
    """Are the images nearest to the attractors training images more often than chance would have it?

    If training and held-out images were exchangeable to the model, which of them is nearest to an attractor would be a
    matter of their numbers: among u distinct nearest images the number of training images is hypergeometric.

    Attributes:
        nearest: u, distinct images of train ∪ held-out that are nearest to an attractor.
        in_train: how many of them are training images.
        expected: u·m/(m + n).
        p_value: P(at least ``in_train`` | chance).
        p_reversed: P(at most ``in_train`` | chance).
    """

    nearest: int
    in_train: int
    expected: float
    p_value: float
    p_reversed: float = 1.0

    @property
    def reversed(self) -> bool:
        """Is it held-out images that the attractors are near, far more often than chance: as if the two sets had been exchanged?"""
        return self.p_reversed <= _REVERSED and self.in_train < self.expected / 2


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Memorization(Tabular):
    """It tells what the attractors say about memorization and generalization.

    Attributes:
        resemblance: every attractor beside its nearest training image, with p-values.
        other_train: ``(s,)`` coefficient of distinct training images against the *other* ones.
        exchange: see :class:`Exchange`; None without held-out images or without attractors.
        train_error: ‖x − F(x)‖ on a sample of training images, mean.
        decomposition: of held-out images into prototype and coverage error; None without them or without attractors.
        attractors: :class:`~separatrix.numerics._effective_dimension.EffectiveDimension` of the decoded attractors.
        train: of as many training images, drawn at random: what the same number of real images would fill.
        sources: what each kind of start found; the first is the given search.
        chamfer: noise attractors against those of the first search; None without ``noise``.
        noise_only: attractors that noise reaches and the first search does not, judged in one family with those of it;
            None without ``noise`` or where there are none.
    """

    _facts: ClassVar[tuple[str, ...]] = ("would_change",)

    resemblance: Resemblance
    other_train: Tensor
    exchange: Exchange | None
    train_error: float
    decomposition: Decomposition | None
    attractors: EffectiveDimension
    train: EffectiveDimension
    sources: Mapping[str, Source]
    chamfer: ChamferSimilarity | None
    noise_only: NoiseOnly | None = None

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per attractor of the first search, as in `Resemblance`."""
        return self.resemblance.table

    @property
    def null_levels(self) -> tuple[tuple[str, Tensor], ...]:
        """The closeness to training images as a reader is shown it (see `Resemblance.measure`), of attractors and of all they are compared with."""
        found = self.resemblance
        rows = (
            ("attractors", found.coefficient),
            (
                "further attractors, from Gaussian noise",
                found.coefficient[:0] if self.noise_only is None else self.noise_only.coefficient,
            ),
            ("training images, to the others", self.other_train),
            ("held-out images", found.held_out),
            ("images of uniform noise", found.noise),
        )
        return tuple((words, found.sign * values) for words, values in rows if len(values))

    @property
    def outcome(self) -> Outcome:
        """Return what the p-values of both searches allow one to say."""
        noise, ours = self.noise_only, self.resemblance
        if ours.overlap.too_many or noise is None or not noise.significant.any():
            return ours.outcome
        return Outcome.EVIDENCE

    @property
    def statement(self) -> Statement:
        """The conclusion, then what speaks for or against it; its code is an `Outcome`."""
        return self.judged.followed_by(*self.context)

    @property
    def judged(self) -> Statement:
        """The conclusion from the first search, and from what only noise reaches."""
        ours, noise = self.resemblance.statement, self.noise_only
        if noise is None:
            return ours
        if self.outcome is self.resemblance.outcome:
            return ours.followed_by(noise.sentence)
        words = f"{self.outcome.capitalize()}, from noise alone"
        return Statement(words, f"{noise.sentence} Without noise: {ours}", self.outcome, Tone.ALARM)

    @property
    def context(self) -> tuple[str, ...]:
        """Sentences that a reader of the conclusion needs beside it."""
        words = []
        if self.exchange is not None:
            found = self.exchange
            words.append(
                f"Training images among those nearest to attractors: {found.in_train} of {found.nearest}, where chance "
                f"gives {found.expected:.1f} (p = {found.p_value:.2g})."
            )
            if found.reversed:
                words.append(EXCHANGED)
        if self.decomposition is not None and len(self.decomposition):
            unseen = float(self.decomposition.error.mean())
            words.append(
                f"The distance of an image to its reconstruction, over all its pixels, is {unseen:.3g} for unseen images and {self.train_error:.3g} for "
                "training images, on average."
            )
        if self.attractors.items > 1:
            words.append(
                f"The {self.attractors.items} decoded attractors need {self.attractors.components} directions (principal "
                f"components) for 90 % of their variance, as many training images {self.train.components}; counted without a "
                f"threshold (effective rank) {self.attractors.effective_rank:.1f} and {self.train.effective_rank:.1f}."
            )
        return tuple(words)

    @property
    def would_change(self) -> tuple[str, ...]:
        """Return what another reader should vary before believing it."""
        return self.resemblance.would_change

    def __repr__(self) -> str:
        return f"Memorization({len(self.resemblance)} attractors: {self.outcome})"


@checked
def memorization(
    field: LatentField,
    limits: LimitSets,
    train: ImageSource,
    held_out: ImageSource | None = None,
    *,
    noise: LimitSets | None = None,
    unseen: LimitSets | None = None,
    distance: Distance = "cosine",
    engine: Engine = "torch",
    sample: int = _SAMPLE,
    alpha: float = 0.05,
    seed: int = 0,
    shared: Overlap | None = None,
) -> Memorization:
    """Has the model memorized its training images, and where does it generalize?

    Args:
        field: the latent field.
        limits: limit sets from training images as starts.
        train: training images, ``(m, …)`` or what `load_images` takes.
        held_out: images from the same source that were not trained on. Without them nothing can be said.
        noise: limit sets from noise starts, to be compared with the first; attractors that only they reach are judged too.
        unseen: limit sets from held-out images, likewise.
        distance: between images, see :data:`separatrix.numerics._neighbours.Distance`.
        engine: ``"faiss"`` for millions of training images; the answers are the same.
        sample: how many training and held-out images the errors and the null of training images come from.
        alpha: expected share of false calls among the attractors that are called.
        seed: of samples and noise.
        shared: of the same images, distance and ``alpha``, if `overlap` has been asked already.

    Raises:
        InputError: as :func:`~separatrix.studies._resemblance.resemblance`, or fewer than one image in the sample.

    Cost: (a + n + s)·m distances for a attractors, n held-out images, m training images and samples of s (n twice where
    noise reaches attractors of its own); about 12
    decodings per image of the samples. No map evaluations beyond those of ``limits``.
    """
    if sample < 1:
        raise InputError(f"The samples need at least one image, not {sample}.")
    known = tensor_of(train, "train")
    held = None if held_out is None else tensor_of(held_out, "held_out")
    if shared is None:
        shared = overlap(train, held_out, distance=distance, engine=engine, alpha=alpha, sample=sample, seed=seed)
    found, noise_only = judged_together(
        field, limits, noise, known, held, distance=distance, engine=engine, alpha=alpha, seed=seed, shared=shared
    )
    known = shared.distinct(known)
    held = None if held is None or not len(shared.held_out) else shared.unseen(held)
    drawn = _drawn(known, sample, seed)
    attractors = limits.attractors
    images = decode_all(field, attractors.points)
    searches = {"train": limits} | {
        name: search for name, search in (("held-out", unseen), ("noise", noise)) if search is not None
    }
    return Memorization(
        resemblance=found,
        other_train=shared.others,
        exchange=None if held is None or not len(attractors) else exchange(images, known, held, distance),
        train_error=_error(field, drawn),
        decomposition=None
        if held is None or not len(attractors)
        else decomposition(field, limits, _drawn(held, sample, seed), drawn),
        attractors=effective_dimension(images) if len(images) else EffectiveDimension(0, 0, 0.0),
        train=effective_dimension(_drawn(known, max(len(images), 1), seed)),
        sources=sources(searches),
        chamfer=None if noise is None else chamfer_similarity(noise, limits),
        noise_only=noise_only,
    )


def exchange(images: Tensor, train: Tensor, held_out: Tensor, distance: Distance = "cosine") -> Exchange:
    """The exchange test of decoded attractors ``images``; ties of a training and a held-out image count as held-out.

    >>> train, held_out = torch.tensor([[0.0], [1.0]]), torch.tensor([[5.0], [6.0], [7.0], [8.0]])
    >>> found = exchange(train, train, held_out, "euclidean")
    >>> found.in_train, round(found.p_value, 6)
    (2, 0.066667)
    """
    ours, theirs = nearest_items(images, train, 1, distance), nearest_items(images, held_out, 1, distance)
    closer = ours.distance[:, 0] < theirs.distance[:, 0]
    in_train = len(ours.index[closer, 0].unique())
    total = in_train + len(theirs.index[~closer, 0].unique())
    pool, m = len(train) + len(held_out), len(train)
    return Exchange(total, in_train, total * m / pool, float(scipy.stats.hypergeom.sf(in_train - 1, pool, m, total)),
                    float(scipy.stats.hypergeom.cdf(in_train, pool, m, total)))  # fmt: skip


def _error(field: LatentField, images: Tensor) -> float:
    total = 0.0
    for image in images.split(64):
        x = image.to(field.device, field.dtype)
        total += float((x - field.reconstruct(x)).detach().double().flatten(1).norm(dim=1).sum())
    return total / len(images)


def _drawn(images: Tensor, count: int, seed: int) -> Tensor:
    """So many of the images, without replacement; all of them if there are not more."""
    if count >= len(images):
        return images
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images[order[:count].sort().values]
