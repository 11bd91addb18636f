"""Does the field point uphill in the density of the latents? v(z) = f(z) − z against ∇ log q(z), with its null.

Where the map contracts, v is locally proportional to the score ∇ log q of the latent density q, and attractors sit at its modes (Fumero et al.,
ICLR 2026, Theorem 1; exact for the best denoiser, v = σ² ∇ log q_σ, Robbins 1956 and Alain & Bengio 2014). q is not known, so it is estimated: a
Gaussian kernel on one half of the latents, whose width gives each point of that half the largest likelihood under the others, widened as a
gradient needs it. Its gradient is the mean shift
(m(z) − z)/h², m the mean of the latents weighted by the kernel (Fukunaga & Hostetler 1975), taken at the latents of the other half.

*Null*: the same velocities, all turned by one random rotation about the origin. That keeps how smooth the field is, which shuffling the velocities
would not: neighbours have like velocities and like scores, so that an unrelated field would seem to agree.

*Control*: a vector to the mean of the latents. In a heap of one mode that is uphill too, and a field that only draws everything to the middle has
learnt no density.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import NO_WORK, Cost
from separatrix.data import ImageSource
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.numerics import bootstrap_means, counter_random, interval_of
from separatrix.numerics._duplicates import without_equals
from separatrix.starts import Starts, encoded
from separatrix.storage import Columnar, storable
from separatrix.words import Statement, Tone, counted

_FEWEST = 20  # latents: ten to estimate a density, ten to ask
_DRAWN = 128  # dimensions up to which rotations are drawn; above, the trace of one times a matrix is normal to rounding
_AT_ONCE = 100  # rotations
_WIDTHS = torch.logspace(-1, 6, 36, base=2.0, dtype=torch.float64)  # of the kernel, in typical distances of neighbours
_ROUNDING = 32  # units in the last place of a latent, below which a velocity is none


@storable
class Uphill(StrEnum):
    """It tells where the field points in the density of the latents."""

    UPHILL = "uphill"
    NOT_TOLD = "not told from chance"
    STILL = "still"


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreCheck(Columnar):
    """One row per latent at which the field was asked, and did move.

    Attributes:
        points: ``(n, *latent)``.
        cosine: ``(n,)`` float64, of v and ∇ log q̂.
        towards_mean: ``(n,)`` float64, of the vector to the mean of the latents and ∇ log q̂: the control.
        speed: ``(n,)`` float64 ‖v‖.
        slope: ``(n,)`` float64 ‖∇ log q̂‖.
        null: ``(b,)`` float64, mean cosines with all velocities turned by one random rotation.
        low, high: 95 % interval of the mean cosine, drawn anew over latents.
        still: latents at which ‖v‖ is rounding.
        unknown: left out of all else: latents that are NaN or infinite, at which v is, or at which the density is flat.
        width: h of the kernel, in latent units.
        estimated_from: latents that the density was estimated from.
        provenance: field and data.
        cost: map evaluations, those of encoding not counted.
    """

    _columns: ClassVar[tuple[str, ...]] = ("points", "cosine", "towards_mean", "speed", "slope")
    _facts: ClassVar[tuple[str, ...]] = ("mean", "uphill", "p_value", "control")

    points: Tensor
    cosine: Tensor
    towards_mean: Tensor
    speed: Tensor
    slope: Tensor
    null: Tensor
    low: float
    high: float
    still: int
    width: float
    estimated_from: int
    unknown: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost = NO_WORK

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> ScoreCheck:
        """Some of the latents. Null and interval belong to all of them, so that of some there is neither."""
        return replace(super().__getitem__(index), null=self.null[:0], low=math.nan, high=math.nan)

    @property
    def mean(self) -> float:
        """The mean cosine: 1 where v is the gradient, 0 where it has nothing to do with it. NaN for a field that is still."""
        return float(self.cosine.mean())

    @property
    def control(self) -> float:
        """The mean cosine of pointing to the mean of the latents instead."""
        return float(self.towards_mean.mean())

    @property
    def uphill(self) -> float:
        """The share of latents at which v points uphill, a cosine above 0."""
        return float((self.cosine > 0).double().mean()) if len(self) else math.nan

    @property
    def p_value(self) -> float:
        """(1 + turned fields that do as well) / (1 + turned fields); NaN for a field that is still, and for some rows of a check."""
        known = len(self) and len(self.null)
        return (1 + int((self.null >= self.mean).sum())) / (1 + len(self.null)) if known else math.nan

    @property
    def statement(self) -> Statement:
        """Return what was found, beside its null and its control; *uphill* means p ≤ 0.05."""
        nowhere = f"Left out: {counted(self.unknown, 'latent')} without a direction to compare." if self.unknown else ""
        if not len(self):
            if not self.still:
                return Statement("Nothing can be said", nowhere, Uphill.NOT_TOLD)
            still = f"v is 0 at all {self.still:,} latents{' where it is known' if self.unknown else ''}."
            return Statement("The field is still", still, Uphill.STILL).followed_by(nowhere)
        if not len(self.null):
            some = f"mean cosine of v and the score {self.mean:.2f}, uphill at {100 * self.uphill:.0f} % of {len(self):,} latents; the null is of all of them."
            return Statement("Some latents of a check", some, Uphill.NOT_TOLD)
        found = (
            f"mean cosine of v and the score {self.mean:.2f} (95 %: {self.low:.2f} to {self.high:.2f}), uphill at {100 * self.uphill:.0f} % of "
            f"{len(self):,} latents; turned at random {float(self.null.mean()):.2f} (p = {self.p_value:.2g}), to the mean of the "
            f"latents {self.control:.2f}."
        )
        rest = " ".join(filter(None, (f"At {self.still:,} latents v is 0." if self.still else "", nowhere)))
        if self.p_value <= 0.05:
            return Statement("v points uphill", found, Uphill.UPHILL, Tone.CALM).followed_by(rest)
        return Statement("Not told from chance", found, Uphill.NOT_TOLD).followed_by(rest)

    def __repr__(self) -> str:
        return f"ScoreCheck({self.statement})"


@checked
def score_check(
    field: LatentField,
    data: ImageSource | Starts,
    *,
    width: float | None = None,
    limit: int = 2000,
    rotations: int = 999,
    seed: int = 0,
) -> ScoreCheck:
    """Compare v = f − id with the gradient of a density estimate of the latents: mean over latents z of cos(v(z), ∇ log q̂(z)).

    Args:
        field: the latent field, of two dimensions or more.
        data: images as `separatrix.starts._starts.encoded` takes them, or latents as `Starts`, of which at most the first ``limit`` are
            used, equal ones once. A random half of them makes the estimate, the field is asked at the others. Held-out images are the better choice.
        width: h of the kernel, in latent units; if not given, by the likelihood of each point of the first half under the others.
        limit: of latents.
        rotations: of the null.
        seed: of halves, rotations and the interval.

    Raises:
        InputError: fewer than 20 different latents, one dimension (where nothing can be turned), or a width that is not positive.

    Cost: one map evaluation for each latent of the second half; the square of their number in distances.

    The best denoiser of one heap N(0, 1) seen with noise of variance 1 is z ↦ z/2, and points straight to its mode:

    >>> field = LatentField.from_map(lambda z: z / 2, latent_shape=(2,), dtype=torch.float64)
    >>> from separatrix import starts
    >>> found = score_check(field, starts.gaussian(400, seed=0), width=1.0)
    >>> found.mean > 0.8, found.statement.code
    (True, <Uphill.UPHILL: 'uphill'>)
    """
    field = LatentField.of(field)
    source = data if isinstance(data, Starts) else encoded(data)
    if field.latent_dim < 2:
        raise InputError(
            "A field in one dimension cannot be turned, so there is no null; give a latent space of two or more."
        )
    if width is not None and not 0 < width < math.inf:
        raise InputError(f"The width of the kernel is a positive length, not {width!r}.")
    if rotations < 1:
        raise InputError(f"The null needs at least one rotation, not {rotations}.")
    latents = source.block(field, 0, min(len(source), limit))
    finite = latents.flatten(1).isfinite().all(dim=1)
    lost, latents = int((~finite).sum()), latents[finite]
    latents = latents[without_equals(latents).to(latents.device)]  # a copy in the other half would be its own estimate
    order = torch.from_numpy(counter_random.uniform(seed, 0, len(latents), 1)).squeeze(1).argsort().to(latents.device)
    known, asked = (latents[half.sort().values] for half in order.chunk(2)) if len(latents) >= 2 else (latents, latents)
    heap = known.flatten(1).to("cpu", torch.float64)
    if len(latents) < _FEWEST:
        raise InputError(
            f"A density needs at least {_FEWEST} different latents, and there are {len(latents):,}"
            f"{f' ({lost:,} are NaN or infinite)' if lost else ''}; give more data."
        )
    h = _gradient_width(heap) if width is None else float(width)
    z = asked.flatten(1).to("cpu", torch.float64)
    v = field.velocity(asked).flatten(1).to("cpu", torch.float64)
    rounding = _ROUNDING * torch.finfo(asked.dtype).eps * z.norm(dim=1).clamp(min=float(z.norm(dim=1).mean()))
    score = _mean_shift(z, heap, h) / h**2
    known_v = v.norm(dim=1).isfinite() & (score.norm(dim=1) > 0)
    moves = known_v & (v.norm(dim=1) > rounding)
    score, v_moving, z_moving = score[moves], v[moves], z[moves]
    cosine = torch.cosine_similarity(v_moving, score, dim=1, eps=0)
    low, high = (
        (float(end) for end in interval_of(bootstrap_means(cosine[:, None], seed=seed)))
        if moves.sum() > 1
        else (math.nan,) * 2
    )
    return ScoreCheck(
        points=asked[moves.to(asked.device)].cpu(),
        cosine=cosine,
        towards_mean=torch.cosine_similarity(heap.mean(dim=0) - z_moving, score, dim=1, eps=0).nan_to_num(0.0),
        speed=v_moving.norm(dim=1),
        slope=score.norm(dim=1),
        null=_turned(v_moving, score, rotations, seed),
        low=low,
        high=high,
        still=int((known_v & ~moves).sum()),
        unknown=lost + int((~known_v).sum()),
        width=h,
        estimated_from=len(heap),
        provenance={"field": field.describe(), "data": source.describe(), "seed": seed},
        cost=Cost(map=len(asked)),
    )


def _mean_shift(z: Tensor, heap: Tensor, h: float) -> Tensor:
    """m(z) − z for each row: h² times the gradient of the logarithm of the kernel estimate."""
    nearness = _squares(z, heap).mul_(-0.5 / h**2).softmax(dim=1)
    return nearness @ heap - z


def _gradient_width(heap: Tensor) -> float:
    """The width under which each point is likeliest, seen from all others, and wider, as a gradient asks for.

    The best width shrinks like n^(−1/(k+4)) for a density of k dimensions, and like n^(−1/(k+6)) for its gradient (Chacón, Duong & Wand 2011).
    """
    apart = _squares(heap, heap).fill_diagonal_(torch.inf)
    typical = float(apart.amin(dim=1).sqrt().median())
    widths = typical * _WIDTHS
    found = [float((apart * (-0.5 / h**2)).logsumexp(dim=1).mean() - heap.shape[1] * h.log()) for h in widths]
    n, k = heap.shape
    return float(widths[max(range(len(found)), key=found.__getitem__)]) * n ** (1 / (k + 4) - 1 / (k + 6))


def _squares(z: Tensor, heap: Tensor) -> Tensor:
    return torch.cdist(z, heap, compute_mode="donot_use_mm_for_euclid_dist").square_()


def _turned(v: Tensor, score: Tensor, rotations: int, seed: int) -> Tensor:
    """Mean cosines of Qv and the score for random rotations Q: tr(Qᵀ M), M the mean of the products of the unit vectors."""
    if not len(v):
        return v.new_empty(0)
    units = [torch.nn.functional.normalize(vectors, dim=1, eps=0) for vectors in (score, v)]
    matrix, k = units[0].T @ units[1] / len(v), v.shape[1]
    if k > _DRAWN:  # mean 0 and variance ‖M‖²/k, exactly so for every k
        draws = torch.from_numpy(counter_random.gaussian(seed, 0, rotations, 1)).squeeze(1)
        return draws * float(matrix.norm()) / math.sqrt(k)
    found = []
    for first in range(0, rotations, _AT_ONCE):
        count = min(_AT_ONCE, rotations - first)
        normal = torch.from_numpy(counter_random.gaussian(seed, first * k, count * k, k)).reshape(count, k, k)
        q, r = torch.linalg.qr(normal)
        q *= r.diagonal(dim1=1, dim2=2).sign()[:, None]
        q[:, :, 0] *= torch.linalg.det(q).sign()[:, None]  # a rotation, no reflection
        found.append((q * matrix).sum(dim=(1, 2)))
    return torch.cat(found)
