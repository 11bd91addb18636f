"""Do the attractors resemble training images more than unseen images do?

mem(z*) = max over training images x of cos(D(z*), x) (Fumero et al., ICLR 2026; their formula prints min,
their words say "closest"). Alone it means nothing: an image that the model has never seen is also close to
*some* training image. So every coefficient stands beside its nulls: unseen images, and noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.columnar import Columnar
from separatrix.data import ImageSet, load_images
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets.sets import LimitSets
from separatrix.limitsets.triviality import triviality
from separatrix.numerics import counter_random
from separatrix.numerics.neighbours import most_similar
from separatrix.numerics.ranks import benjamini_hochberg, rank_p_values

_CHUNK = 256  # points decoded at once
_STRANGE = 0.05  # quantile of the unseen images below which an attractor does not look like the data
_MOST_UNRESOLVED = 0.1  # with more starts than this unaccounted for, "none found" is no finding


class Outcome(StrEnum):
    """What a resemblance study may conclude, and no more than that."""

    TRIVIAL = "trivial field"
    CANNOT_SAY = "cannot say"
    NO_EVIDENCE = "no evidence of memorization"
    EVIDENCE = "evidence of memorization"


@dataclass(frozen=True, kw_only=True, eq=False)
class Resemblance(Columnar):
    """One row per attractor, beside the null levels.

    Attributes:
        sets: ``(a,)`` int64, which of the given limit sets the row is about.
        coefficient: ``(a,)`` float64, max over x in train (and over the points of a cycle or curve) of
            cos(D(z*), x).
        nearest: ``(a,)`` int64, index of that training image.
        hits: ``(a,)`` int64, starts that ended on the attractor.
        p_value: ``(a,)`` float64, (1 + #{held-out ≥ coefficient})/(1 + n); NaN without held-out images.
        q_value: ``(a,)`` the same adjusted for the number of attractors (Benjamini–Hochberg); NaN likewise.
        held_out: ``(n,)`` best cosine of each held-out image to the training images; empty if none were
            given.
        noise: ``(r,)`` best cosine of images of independent uniform pixels to the training images.
        alpha: level at which ``q_value`` is called.
        outcome: the conclusion.
        verdict: the conclusion in words, with its numbers.
        would_change: what would change it.
        provenance: counts and seeds.
    """

    _columns: ClassVar[tuple[str, ...]] = ("sets", "coefficient", "nearest", "hits", "p_value", "q_value")

    sets: Tensor
    coefficient: Tensor
    nearest: Tensor
    hits: Tensor
    p_value: Tensor
    q_value: Tensor
    held_out: Tensor
    noise: Tensor
    alpha: float
    outcome: Outcome
    verdict: str
    would_change: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def excess(self) -> Tensor:
        """``(a,)`` coefficient minus the median of the held-out null; NaN without one."""
        return self.coefficient - _median(self.held_out)

    @property
    def significant(self) -> Tensor:
        """``(a,)`` bool: closer to a training image than unseen images (false discovery rate ``alpha``)."""
        return self.q_value <= self.alpha

    def __repr__(self) -> str:
        return f"Resemblance({len(self)} attractors: {self.outcome})"


def resemblance(
    field: LatentField,
    limits: LimitSets,
    train: Any,
    held_out: Any = None,
    *,
    noise: int = 256,
    seed: int = 0,
    alpha: float = 0.05,
) -> Resemblance:
    """The nearest training image of every attractor, judged against unseen images and noise.

    Args:
        field: the latent vector field; its decoder returns data in the space of ``train``.
        limits: its limit sets; the rows are ``limits.attractors``.
        train: the images that the model was trained on: a tensor ``(n, …)``, an `ImageSet`, or what
            `load_images` takes.
        held_out: images from the same source that it was not trained on. Without them there is no verdict.
        noise: how many images of uniform noise, in the training images' range, make the lower null.
        seed: of that noise.
        alpha: expected share of false calls among the attractors that are called.

    Raises:
        InputError: data of another shape than the decoder's output, or options out of range.

    Cost: one decoding per point of an attractor, and (a + n + r)·m cosines for m training images.
    """
    if not 0 < alpha < 1 or noise < 1:
        raise InputError(
            f"alpha must lie between 0 and 1 and noise must be at least 1, not alpha={alpha}, noise={noise}."
        )
    known = _data(train, "train")
    unseen = known[:0] if held_out is None else _data(held_out, "held_out")
    if unseen.shape[1:] != known.shape[1:]:
        raise InputError(
            f"train has items of shape {tuple(known.shape[1:])} and held_out of {tuple(unseen.shape[1:])}; "
            "bring both to one shape."
        )
    chosen = (limits.stable == 1).nonzero().squeeze(1).to("cpu")
    coefficient, nearest = _coefficients(field, limits, chosen.tolist(), known)
    null = most_similar(unseen, known).similarity if len(unseen) else torch.empty(0, dtype=torch.float64)
    p_value = rank_p_values(coefficient, null) if len(null) else torch.full_like(coefficient, torch.nan)
    columns = {
        "sets": chosen,
        "coefficient": coefficient,
        "nearest": nearest,
        "hits": limits.hits[chosen].cpu(),
        "p_value": p_value,
        "q_value": benjamini_hochberg(p_value),
    }
    outcome, verdict = _judged(limits, columns, null, alpha)
    return Resemblance(
        **columns,
        held_out=null,
        noise=most_similar(_noise(known, noise, seed), known).similarity,
        alpha=alpha,
        outcome=outcome,
        verdict=verdict,
        would_change=_would_change(outcome, limits, null),
        provenance={
            "train": len(known),
            "held_out": len(unseen),
            "noise": noise,
            "seed": seed,
            "similarity": "cosine",
        },
    )


def _data(data: Any, name: str) -> Tensor:
    pixels: Tensor = (
        data if isinstance(data, Tensor) else (data if isinstance(data, ImageSet) else load_images(data)).pixels
    )
    if pixels.ndim < 2 or not len(pixels):
        raise InputError(f"{name} must hold at least one image, (n, …), and has shape {tuple(pixels.shape)}.")
    return pixels.detach()


def _coefficients(field: LatentField, limits: LimitSets, chosen: list[int], train: Tensor) -> tuple[Tensor, Tensor]:
    """For each chosen set the highest cosine of its decoded points to a training image, and which one."""
    coefficient = torch.full((len(chosen),), -torch.inf, dtype=torch.float64)
    nearest = torch.zeros(len(chosen), dtype=torch.int64)
    if not chosen:
        return coefficient, nearest
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
        found = most_similar(decoded, train)
        for row, index, similarity in zip(owner[rows].tolist(), found.index, found.similarity, strict=True):
            if similarity > coefficient[row]:
                coefficient[row], nearest[row] = similarity, index
    return coefficient, nearest


def _noise(train: Tensor, count: int, seed: int) -> Tensor:
    """``(count, …)`` images of independent pixels, uniform over the range of the training images."""
    low, high = float(train.min()), float(train.max())
    pixels = counter_random.uniform(seed, 0, count, train[0].numel())
    return (low + (high - low) * torch.from_numpy(pixels)).reshape(count, *train.shape[1:])


def _judged(limits: LimitSets, columns: Mapping[str, Tensor], null: Tensor, alpha: float) -> tuple[Outcome, str]:
    count = len(columns["sets"])
    if not count:
        return (
            Outcome.CANNOT_SAY,
            "Cannot say: no attractor was found, so there is nothing to compare with the training images.",
        )
    trivial = triviality(limits)
    if trivial.trivial:
        return Outcome.TRIVIAL, f"{trivial.sentence} Its resemblance to training images is not read."
    highest = float(columns["coefficient"].max())
    if not len(null):
        return Outcome.CANNOT_SAY, (
            f"Cannot say: the attractors reach a cosine of {highest:.3f} to training images, but without "
            "held-out images "
            "nobody knows what an unseen image would reach."
        )
    level = f"unseen images: median {_median(null):.3f}, highest {float(null.max()):.3f}"
    called = columns["q_value"] <= alpha
    if bool(called.any()):
        starts = int(columns["hits"][called].sum()) / max(len(limits.labels), 1)
        return Outcome.EVIDENCE, (
            f"Evidence of memorization: {int(called.sum())} of {count} attractor{_s(count)} come closer to a "
            "training image than "
            f"unseen images do (cosine up to {highest:.3f}; {level}; false discovery rate {alpha:g}). "
            f"{starts:.0%} of the starts end there."
        )
    if count / (len(null) + 1) > alpha and float(columns["p_value"].min()) <= 1 / (len(null) + 1):
        return Outcome.CANNOT_SAY, (
            f"Cannot say: with {len(null)} held-out image{_s(len(null))} the smallest possible p-value is "
            f"{1 / (len(null) + 1):.2g}, too coarse for {count} attractor{_s(count)} at level {alpha:g}."
        )
    unresolved = 1 - int(limits.hits.sum()) / max(len(limits.labels), 1)
    if unresolved > _MOST_UNRESOLVED:
        return Outcome.CANNOT_SAY, (
            f"Cannot say: none of the {count} attractors found stands out, but {unresolved:.0%} of the "
            "starts reached no "
            "limit set at all."
        )
    return Outcome.NO_EVIDENCE, (
        f"No evidence of memorization: none of the {count} attractor{_s(count)} comes closer to a training "
        f"image than unseen images do (highest cosine {highest:.3f}; {level}). That is not evidence of no "
        f"memorization.{_strangers(columns['coefficient'], null)}"
    )


def _strangers(coefficient: Tensor, null: Tensor) -> str:
    """A sentence if most attractors are further from the training images than nearly all unseen ones."""
    strange = int((coefficient < null.quantile(_STRANGE)).sum())
    if 2 * strange <= len(coefficient):
        return ""
    return (
        f" And {strange} of {len(coefficient)} are less like any training image than {1 - _STRANGE:.0%} of "
        "the unseen images: they do not describe the data."
    )


def _would_change(outcome: Outcome, limits: LimitSets, null: Tensor) -> tuple[str, ...]:
    reasons = [
        f"Other starts: an attractor that none of these {len(limits.labels):,} starts reached is not in the table.",
        "Another similarity: the cosine compares pixels; a shifted, mirrored or recoloured copy would go "
        "unnoticed, and a "
        "smooth average of many images scores high.",
    ]
    if len(null):
        reasons.append(
            "Other held-out images: they must come from the same source as the training images, and "
            f"{len(null):,} of them cannot give a p-value below {1 / (len(null) + 1):.2g}."
        )
    else:
        reasons.append("Held-out images from the same source as the training images: they set the level to beat.")
    if outcome is Outcome.EVIDENCE:
        reasons.append(
            "Near-duplicates of training images among the held-out ones would raise the null; their absence lowers it."
        )
    if outcome is Outcome.TRIVIAL:
        reasons.append("A trained model, or starts far from the one point that takes everything.")
    return tuple(reasons)


def _median(values: Tensor) -> float:
    return float(values.quantile(0.5)) if len(values) else float("nan")


def _s(count: int) -> str:
    return "" if count == 1 else "s"
