"""Do the attractors resemble training images more than unseen images do?

mem(z*) = max over training images x of cos(D(z*), x) (Fumero et al., ICLR 2026; their formula prints min,
their words say "closest"). Alone it means nothing: an image that the model has never seen is also close to
*some* training image. So every coefficient stands beside its nulls: unseen images, and noise.

Nor does closeness alone tell a copy from a mean: the average of many digits is closer to some digit than most unseen
digits are. A copy is close to *one* image and not to that image's neighbours, so an attractor is called only if its
ratio d₁/mean(d₂ … d₁₁) of distances to its nearest training images is also lower than that of unseen images (the
adaptive distance of Carlini et al., Extracting training data from diffusion models, USENIX Security 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked, share, whole
from separatrix.data import ImageSource, tensor_of
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import Distance, Engine, benjamini_hochberg, counter_random, rank_p_values
from separatrix.storage import Columnar, storable
from separatrix.studies._closeness import Closeness
from separatrix.studies._overlap import Overlap, overlap
from separatrix.studies._resemblance_words import (
    Outcome,
    cannot_say,
    exact_copies,
    judged,
    median,
    sign_of,
    would_change,
)
from separatrix.words import Statement

_CHUNK = 256  # points decoded at once


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Resemblance(Columnar):
    """One row per attractor, beside the null levels.

    Attributes:
        sets: ``(a,)`` int64, which of the given limit sets the row is about.
        coefficient: ``(a,)`` float64, max over x in train (and over the points of a cycle or curve) of
            cos(D(z*), x); with another distance d, of −d(D(z*), x). Higher is closer.
        nearest: ``(a,)`` int64, index of that training image.
        ratio: ``(a,)`` float64, the distance to it over the mean distance to the next ten (fewer if there are not so many
            images; NaN if there is only one): 0 for a copy, near 1 for a mean. For the cosine, of chords √(2 − 2 cos).
        hits: ``(a,)`` int64, starts that ended on the attractor.
        p_coefficient: ``(a,)`` float64, (1 + #{held-out ≥ coefficient})/(1 + n); NaN without held-out images.
        p_ratio: ``(a,)`` the same of the ratio, low being extreme.
        p_value: ``(a,)`` the larger of the two: that the attractor is no copy is rejected only if both say so.
        q_value: ``(a,)`` the same adjusted for the number of attractors (Benjamini–Hochberg); NaN likewise.
        held_out: ``(n,)`` coefficient of each held-out image that is no copy of a training image and repeats no other;
            empty if none were given.
        held_out_ratio: ``(n,)`` its ratio.
        noise: ``(r,)`` coefficient of images of independent uniform pixels.
        distance: ``"cosine"``, ``"euclidean"`` or the name of the function that was given.
        alpha: level at which ``q_value`` is called.
        statement: the conclusion; its code is an `Outcome`.
        would_change: what would change it.
        overlap: which held-out images are training images, and which images are repeated; neither takes part.
        provenance: counts and seeds.
    """

    _columns: ClassVar[tuple[str, ...]] = (
        "sets",
        "coefficient",
        "nearest",
        "ratio",
        "hits",
        "p_coefficient",
        "p_ratio",
        "p_value",
        "q_value",
    )
    _read_off: ClassVar[tuple[str, ...]] = ("significant", "exact")
    _facts: ClassVar[tuple[str, ...]] = ("measure",)

    sets: Tensor
    coefficient: Tensor
    nearest: Tensor
    ratio: Tensor
    hits: Tensor
    p_coefficient: Tensor
    p_ratio: Tensor
    p_value: Tensor
    q_value: Tensor
    held_out: Tensor
    held_out_ratio: Tensor
    noise: Tensor
    distance: str
    alpha: float
    statement: Statement
    would_change: tuple[str, ...]
    overlap: Overlap
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """The code of the statement."""
        return Outcome(self.statement.code)

    @property
    def sign(self) -> int:
        """1 where the coefficient is a cosine, −1 where it is minus a distance: times the coefficient, what a reader is shown."""
        return sign_of(self.distance)

    @property
    def measure(self) -> str:
        """Return what ``sign`` times the coefficient is called: ``"cosine"``, or such as ``"euclidean distance"``."""
        return "cosine" if self.sign > 0 else f"{self.distance} distance"

    @property
    def excess(self) -> Tensor:
        """``(a,)`` coefficient minus the median of the held-out null; NaN without one."""
        return self.coefficient - median(self.held_out)

    @property
    def significant(self) -> Tensor:
        """``(a,)`` bool: closer to one training image than 1 − α of unseen images, at false discovery rate α."""
        return self.q_value <= self.alpha

    @property
    def exact(self) -> Tensor:
        """``(a,)`` bool: of the significant ones, those that are the same image, see `exact_copies`."""
        return exact_copies(self.significant, self.ratio)

    def __repr__(self) -> str:
        return f"Resemblance({len(self)} attractors: {self.outcome})"


@checked
def resemblance(
    field: LatentField,
    limits: LimitSets,
    train: ImageSource,
    held_out: ImageSource | None = None,
    *,
    distance: Distance = "cosine",
    engine: Engine = "torch",
    noise: int = 256,
    seed: int = 0,
    alpha: float = 0.05,
    noun: str = "training image",
    beside: Tensor | None = None,
    shared: Overlap | None = None,
) -> Resemblance:
    """The nearest training image of every attractor, judged against unseen images and noise.

    Args:
        field: the latent vector field; its decoder returns data in the space of ``train``.
        limits: its limit sets; the rows are ``limits.attractors``.
        train: the images that the model was trained on: a tensor ``(n, …)``, an `ImageSet`, or what
            `load_images` takes.
        held_out: images from the same source that it was not trained on. Without them nothing can be said.
        distance: between images: ``"cosine"`` as in the paper, ``"euclidean"``, or a function of two batches that
            returns the table of distances, such as a perceptual distance or one between features.
        engine: ``"faiss"`` for millions of training images; the answers are the same.
        noise: how many images of uniform noise, in the training images' range, make the lower null.
        seed: of that noise.
        alpha: expected share of false calls among the attractors that are called.
        noun: what the images of ``train`` are called in sentences, such as "suspected image".
        beside: ``(b,)`` p-values of further attractors that are judged in the same family: q-values are adjusted for
            a + b of them.
        shared: of the same images, distance and ``alpha``, if `overlap` has been asked already.

    Raises:
        InputError: data of another shape than the decoder's output, or options out of range.

    Cost: one decoding per point of an attractor, and (a + n + r)·m distances for m training images.
    """
    share("alpha", alpha)
    whole("noise", noise, 1)
    if shared is None:
        shared = overlap(train, held_out, distance=distance, engine=engine, alpha=alpha, seed=seed, noun=noun)
    known = tensor_of(train, "train")
    chosen = (limits.stable == 1).nonzero().squeeze(1).to("cpu")
    ours = _of_attractors(field, limits, chosen.tolist(), known, shared, engine)
    null = shared.null
    columns = {
        "sets": chosen,
        "coefficient": ours.coefficient,
        "nearest": ours.nearest,
        "ratio": ours.ratio,
        "hits": limits.hits[chosen].cpu(),
        **_p_values(ours, null, beside),
    }
    name = distance if isinstance(distance, str) else getattr(distance, "__name__", type(distance).__name__)
    if shared.too_many:
        statement = cannot_say(shared.sentence)
    else:
        statement = judged(
            limits, columns, null.coefficient, alpha, name, noun=noun, beside=0 if beside is None else len(beside)
        )
        statement = statement.followed_by(shared.sentence)
    return Resemblance(
        **columns,
        held_out=null.coefficient,
        held_out_ratio=null.ratio,
        noise=shared.closeness(_noise(known, noise, seed), known, engine).coefficient,
        distance=name,
        alpha=alpha,
        statement=statement,
        would_change=(*would_change(statement.code, limits, null.coefficient, noun), *shared.listed()),
        overlap=shared,
        provenance={
            "train": shared.given[0],
            "held_out": shared.given[1],
            "noise": noise,
            "seed": seed,
            "similarity": name,
        },
    )


def _of_attractors(
    field: LatentField, limits: LimitSets, chosen: list[int], train: Tensor, shared: Overlap, engine: Engine
) -> Closeness:
    """For each chosen set the closeness of that of its decoded points which is closest to a training image."""
    best = Closeness(
        torch.full((len(chosen),), -torch.inf, dtype=torch.float64),
        torch.zeros(len(chosen), dtype=torch.int64),
        torch.full((len(chosen),), torch.nan, dtype=torch.float64),
    )
    if not chosen:
        return best
    traces = [limits.trace(index) for index in chosen]
    owner = torch.cat([torch.full((len(trace),), row) for row, trace in enumerate(traces)])
    points = torch.cat(traces)
    for first in range(0, len(points), _CHUNK):
        rows = slice(first, first + _CHUNK)
        decoded = field.decode(points[rows].to(field.device, field.dtype)).detach().cpu()
        if decoded.shape[1:] != train.shape[1:]:
            raise InputError(
                f"The training data have shape {tuple(train.shape[1:])} and the decoder returns "
                f"{tuple(decoded.shape[1:])}; "
                "pass the images in the decoder's shape."
            )
        found = shared.closeness(decoded, train, engine)
        for place, row in enumerate(owner[rows].tolist()):
            if found.coefficient[place] > best.coefficient[row]:
                for column, values in zip(best, found, strict=True):
                    column[row] = values[place]
    return best


def _p_values(ours: Closeness, null: Closeness, beside: Tensor | None) -> dict[str, Tensor]:
    """Ranks among the held-out images; the two questions are joined by the larger p (an intersection–union test)."""
    unknown = torch.full_like(ours.coefficient, torch.nan)
    by_coefficient = rank_p_values(ours.coefficient, null.coefficient) if len(null.coefficient) else unknown
    # One training image has no neighbours, and then closeness is all there is.
    lone = bool(null.ratio.isnan().any()) or bool(ours.ratio.isnan().any())
    by_ratio = unknown if lone or not len(null.ratio) else rank_p_values(-ours.ratio, -null.ratio)
    joined = torch.fmax(by_coefficient, by_ratio)
    family = joined if beside is None else torch.cat([joined, beside])
    return {
        "p_coefficient": by_coefficient,
        "p_ratio": by_ratio,
        "p_value": joined,
        "q_value": benjamini_hochberg(family)[: len(joined)],
    }


def _noise(train: Tensor, count: int, seed: int) -> Tensor:
    """``(count, …)`` images of independent pixels, uniform over the range of the training images."""
    low, high = float(train.min()), float(train.max())
    pixels = counter_random.uniform(seed, 0, count, train[0].numel())
    return (low + (high - low) * torch.from_numpy(pixels)).reshape(count, *train.shape[1:])
