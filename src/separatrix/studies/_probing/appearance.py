"""Looking at what is stored without data: which decoded noise attractors look like images, and what that does not mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ImageSource
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import Distance, benjamini_hochberg, morans_i, shuffled_p_values
from separatrix.orbits import Fates, Orbits
from separatrix.starts import Starts
from separatrix.storage import Columnar, storable
from separatrix.studies._probing.coding import decoded
from separatrix.studies._probing.data_free import noise_of
from separatrix.studies._resemblance import Resemblance, resemblance
from separatrix.studies._resemblance_words import Outcome
from separatrix.words import Statement

_MOST = 512  # points that are decoded and tested; a sheet shows fewer
_AS_OFTEN = 0.9  # of the attractors' rate: decoded raw noise that passes this often makes passing the decoder's work


@storable
class Seen(StrEnum):
    """It tells what is to be seen where noise ends."""

    NOTHING = "nothing like an image"
    DECODER = "what the decoder makes of anything"
    ITERATION = "images that iterating leads to"


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Appearance(Columnar):
    """One row per decoded attractor (or end point), most hits first.

    Attributes:
        points: ``(a, d)`` float64.
        images: ``(a, c, h, w)`` float64, decoded.
        hits: ``(a,)`` starts that ended there.
        structure: ``(a,)`` Moran's I: how well neighbouring pixels agree.
        p_value: ``(a,)`` against the image's own pixels, shuffled.
        q_value: ``(a,)`` adjusted for the number of images (Benjamini–Hochberg).
        start_structure: ``(n,)`` Moran's I of the decoded starts, and ``start_share`` the share of them that passes too.
        settled: share of the starts that reached an attractor; NaN for points whose fate is unknown.
        what: "attractors" or "end points".
        alpha: false discovery rate of `looks_like_an_image`.
        resemblance: against suspects, where some were given.
        statement: the conclusion; its code is a `Seen`.
        cannot: what cannot be concluded from it.
    """

    _columns: ClassVar[tuple[str, ...]] = ("points", "images", "hits", "structure", "p_value", "q_value")
    _read_off: ClassVar[tuple[str, ...]] = ("looks_like_an_image",)

    points: Tensor
    images: Tensor
    hits: Tensor
    structure: Tensor
    p_value: Tensor
    q_value: Tensor
    start_structure: Tensor
    start_share: float
    settled: float
    what: str
    alpha: float
    resemblance: Resemblance | None
    statement: Statement
    cannot: tuple[str, ...]

    @property
    def looks_like_an_image(self) -> Tensor:
        """``(a,)`` bool: neighbouring pixels agree better than shuffled ones. Necessary for an image, far from enough."""
        return self.q_value <= self.alpha

    def __repr__(self) -> str:
        return f"Appearance({int(self.looks_like_an_image.sum())} of {len(self)} {self.what} look like images)"


@checked
def appearance(
    field: LatentField,
    found: LimitSets | Orbits,
    *,
    starts: Starts | Tensor | None = None,
    suspects: ImageSource | None = None,
    held_out: ImageSource | None = None,
    distance: Distance = "cosine",
    alpha: float = 0.05,
    shuffles: int = 199,
    seed: int = 0,
) -> Appearance:
    """Decode noise attractors and ask of each whether it has the least that an image has; compare suspects, if any.

    The noise null is the image's own pixels, shuffled. What decoded *raw noise* reaches stands beside it, because a
    decoder makes smooth pictures of most latents. Suspects, images that the model may have been trained on, are compared by
    :func:`separatrix.studies._resemblance.resemblance`, which can say nothing without held-out images.

    Args:
        field: the latent field; its decoder makes images ``(c, h, w)``.
        found: limit sets of noise starts, or their orbits, whose end points are then shown.
        starts: the noise; read off limit sets.
        suspects: images that may have been trained on.
        held_out: images from the same source that certainly were not.
        distance: between decoded attractors and suspects.
        alpha: false discovery rate, of the pictures and of the suspects.
        shuffles: of the null; the smallest p-value is 1/(1 + shuffles).
        seed: of shuffles and of the noise null of the suspects.

    Raises:
        InputError: the decoder makes no images, held-out images without suspects, or suspects for orbits.

    Cost: one decoding for each of at most 512 attractors and 512 starts.
    """
    if held_out is not None and suspects is None:
        raise InputError("Held-out images are compared with suspects; give suspects too.")
    if suspects is not None and not isinstance(found, LimitSets):
        raise InputError("Suspects are compared with attractors; search with find_attractors and pass its limit sets.")
    noise = noise_of(found, starts, len(found.orbits if isinstance(found, LimitSets) else found), seed)
    points, hits, what, settled = _shown(found)
    images = _images(field, points)
    z = noise.block(field, 0, min(len(noise), _MOST))
    raw = _images(field, z.flatten(1).to("cpu", torch.float64))
    p_value = shuffled_p_values(images, shuffles=shuffles, seed=seed)
    q_value = benjamini_hochberg(p_value)
    start_share = float(
        (benjamini_hochberg(shuffled_p_values(raw, shuffles=shuffles, seed=seed)) <= alpha).double().mean()
    )
    like = (
        resemblance(field, found, suspects, held_out, distance=distance, alpha=alpha, seed=seed, noun="suspected image")
        if isinstance(found, LimitSets) and suspects is not None
        else None
    )
    share = float((q_value <= alpha).double().mean())
    structure, start_structure = morans_i(images), morans_i(raw)
    return Appearance(
        points=points,
        images=images,
        hits=hits,
        structure=structure,
        p_value=p_value,
        q_value=q_value,
        start_structure=start_structure,
        start_share=start_share,
        settled=settled,
        what=what,
        alpha=alpha,
        resemblance=like,
        statement=_statement(len(points), what, share, start_share, structure, start_structure),
        cannot=_cannot(like, what, len(noise), found.fates),
    )


def _shown(found: LimitSets | Orbits) -> tuple[Tensor, Tensor, str, float]:
    """Points, hits, what they are, and the share of starts that settled."""
    if isinstance(found, LimitSets):
        attractors = found.attractors
        settled = int(attractors.hits.sum()) / max(len(found.labels), 1)
        if len(attractors):
            return _flat(attractors.points)[:_MOST], attractors.hits[:_MOST].cpu(), "attractors", settled
        found = found.orbits
    else:
        settled = float("nan")
    points = _flat(found.points)
    points = points[points.isfinite().all(dim=1)][:_MOST]
    if not len(points):
        raise InputError("No orbit ended at a finite point, so there is nothing to look at; search from other starts.")
    return points, torch.ones(len(points), dtype=torch.int64), "end points", settled


def _flat(latents: Tensor) -> Tensor:
    return latents.detach().flatten(1).to("cpu", torch.float64)


def _images(field: LatentField, points: Tensor) -> Tensor:
    shape = tuple(field.decode(torch.zeros((1, *field.latent_shape), dtype=field.dtype, device=field.device)).shape[1:])
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape[1:]) < 2:
        raise InputError(
            f"The decoder of {field.name} makes data of shape {shape}, no images (1 or 3, h, w), so nothing can look like one."
        )
    return decoded(field, points).reshape(-1, *shape)


def _statement(
    count: int, what: str, share: float, start_share: float, structure: Tensor, start_structure: Tensor
) -> Statement:
    passing = round(share * count)
    level = f"median {float(structure.median()):.2f}, decoded raw noise {float(start_structure.median()):.2f}"
    why, code = (
        f"Of the decoded starts only {100 * start_share:.0f} % do, so the iteration leads to images.",
        Seen.ITERATION,
    )
    if not passing:
        why, code = "Nothing that looks like an image is stored where noise ends.", Seen.NOTHING
    elif start_share >= _AS_OFTEN * share:
        why = f"So do {100 * start_share:.0f} % of the decoded starts: that is the decoder's doing, and iterating is no part of it."
        code = Seen.DECODER
    return Statement(
        f"{passing:,} of {count:,} decoded {what} look like images",
        "the least that an image has is that neighbouring pixels agree better than shuffled ones (Moran's I, 1 where neighbours are "
        f"alike and 0 for noise: {level}). {why}",
        code,
    )


def _cannot(like: Resemblance | None, what: str, starts: int, fates: Fates) -> tuple[str, ...]:
    reasons = [
        "That a picture is smooth does not make it an image of anything, and an image of something need not have been a "
        "training image: decoders generalise.",
        f"What none of these {starts:,} starts reached is not shown; that something is missing here says nothing.",
    ]
    if like is None:
        reasons.append(
            "Nothing is said about memorization: no picture was compared with any image. Give suspects for that."
        )
    elif like.outcome is Outcome.CANNOT_SAY:
        reasons.append(f"About the suspects: {like.statement}")
    else:
        reasons.append(
            "A resemblance to a suspect is one of pixels, and that none is seen is not evidence that the suspects were "
            "no training images."
        )
    if like is not None:
        reasons += like.overlap.listed()
    if what == "end points":
        reasons.append("These are places where orbits were stopped, not attractors: other budgets would show others.")
    elif fates.others:
        reasons.append(f"Of the starts {fates.others}: where they are is not shown.")
    return tuple(reasons)
