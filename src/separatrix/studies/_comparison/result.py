"""This file tells what a comparison says, with its null and its ceiling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from torch import Tensor

from separatrix.limitsets import LimitSets
from separatrix.storage import Columnar, storable
from separatrix.words import Statement, counted, jsonable

VIEW_WORDS = {
    "latent": "in the same latent coordinates",
    "procrustes": "after orthogonal Procrustes alignment",
    "relative": "in relative representation",
    "decoded": "decoded",
}


_LEVEL = 0.05  # of the p-value below which basins agree better than shuffled ones


@storable
class BasinAgreement(StrEnum):
    """It tells whether the basins of two models agree."""

    AGREE = "agree"
    CHANCE = "no better than by chance"
    CANNOT_SAY = "cannot say"


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class View(Columnar):
    """Attractors of A beside those of B in one space; one row per attractor of A.

    Attributes:
        partner: ``(m,)`` int64, the attractor of B that it is matched with; −1 for none within ``threshold``.
        distance: ``(m,)`` float64 to the attractor of B that the best assignment gives it, in spreads of the anchors (for
            ``"decoded"`` of what they decode to); NaN where B has too few.
        name: ``"latent"``, ``"procrustes"``, ``"relative"`` or ``"decoded"``.
        threshold: distance up to which a pair counts as matched.
        mean_distance: mean of the assigned distances.
        null_mean: the same for as many random anchors of A in the place of its attractors, on average.
        null_low: 5 % of such draws come nearer than this.
        p_value: (1 + #{draws as near})/(1 + draws).
        fit: r² of the alignment on anchors that it was not fitted to; NaN where nothing is fitted.
    """

    _columns: ClassVar[tuple[str, ...]] = ("partner", "distance")

    partner: Tensor
    distance: Tensor
    name: str
    threshold: float
    mean_distance: float
    null_mean: float
    null_low: float
    p_value: float
    fit: float

    def __repr__(self) -> str:
        return f"View({self.sentence})"

    @property
    def matched(self) -> int:
        """Attractors of A that have a partner."""
        return int((self.partner >= 0).sum())

    @property
    def sentence(self) -> str:
        """Say it in words."""
        if math.isnan(self.mean_distance):
            return f"Attractors {VIEW_WORDS[self.name]}: one of the models has none."
        pairs = int((~self.distance.isnan()).sum())
        fitted = "" if math.isnan(self.fit) else f" (r² {self.fit:.3f} on anchors left out of the fit)"
        return (
            f"Attractors {VIEW_WORDS[self.name]}{fitted}: {self.matched} of {len(self)} of A have one of B within "
            f"{self.threshold:g} spreads; the {counted(pairs, 'pair')} of the best assignment {'is' if pairs == 1 else 'are'} "
            f"{self.mean_distance:.3f} apart{'' if pairs == 1 else ' on average'}, with random data points in place of the attractors of A "
            f"{self.null_mean:.3f} (p {self.p_value:.3f})."
        )


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison(Columnar):
    """Model A beside model B; one row per attractor of A.

    Attributes:
        share: ``(m,)`` float64, share of the starts in its basin.
        partner: ``(m,)`` int64, the attractor of B whose basin is most like it (best assignment); −1 for none.
        similarity: ``(m,)`` float64, |A ∩ B|/|A ∪ B| of those two basins; NaN without a partner.
        ami, ari: agreement of the basins, adjusted for chance (see `separatrix.numerics._agreement`); NaN if there is but one
            basin in both.
        null_high: what 5 % of shuffled labels of these sizes exceed.
        p_value: of the agreement, against shuffled labels.
        counted: starts that reached an attractor in both models.
        starts: all of them.
        rerun: ami of A with itself, searched again from the same starts in another order; NaN if not asked for.
        reseeded: ami of A with each of the reseeded models.
        views: the attractors, by name of the space in which they are compared.
        limits_a, limits_b: the searches, attractors only.
        provenance: both fields and the starts.
        notes: sentences to read before any number.
    """

    _columns: ClassVar[tuple[str, ...]] = ("share", "partner", "similarity")

    share: Tensor
    partner: Tensor
    similarity: Tensor
    ami: float
    ari: float
    null_high: float
    p_value: float
    counted: int
    starts: int
    rerun: float
    reseeded: tuple[float, ...]
    views: Mapping[str, View]
    limits_a: LimitSets
    limits_b: LimitSets
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ceiling(self) -> float:
        """The agreement to expect of two equally good models: the mean of the reseeded runs, else A with itself."""
        known = [value for value in self.reseeded if not math.isnan(value)]
        return sum(known) / len(known) if known else self.rerun

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything in words, notes first."""
        return (*self.notes, str(self.statement), *(view.sentence for view in self.views.values()))

    @property
    def statement(self) -> Statement:
        """Tell whether the basins agree; the code is a `BasinAgreement`."""
        if math.isnan(self.ami):
            return Statement(
                "The basins cannot be compared",
                f"over {self.counted} of {self.starts} starts both models have a single basin, and any two such models agree.",
                BasinAgreement.CANNOT_SAY,
            )
        chance = (
            "" if math.isnan(self.null_high) else f", shuffled labels reach {self.null_high:.3f} once in twenty times"
        )
        ceiling = ""
        if self.reseeded:
            low, high = min(self.reseeded), max(self.reseeded)
            runs = "one run" if len(self.reseeded) == 1 else f"{len(self.reseeded)} runs"
            ceiling = f". To be expected of equally good models: A with {runs} from another seed {self.ceiling:.3f} ({low:.3f} to {high:.3f})"
        elif not math.isnan(self.rerun):
            ceiling = f". To be expected at most: A with itself {self.rerun:.3f}"
        agree = self.p_value <= _LEVEL
        return Statement(
            "The basins agree" if agree else "The basins agree no better than by chance",
            f"adjusted mutual information {self.ami:.3f} (1: the same basins, 0: chance; adjusted Rand index {self.ari:.3f}) over "
            f"{self.counted} of {self.starts} starts{chance} (p {self.p_value:.3f}){ceiling}.",
            BasinAgreement.AGREE if agree else BasinAgreement.CHANCE,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; unknown numbers are None."""
        return jsonable(
            {
                "ami": self.ami,
                "ari": self.ari,
                "null_high": self.null_high,
                "p_value": self.p_value,
                "counted": self.counted,
                "starts": self.starts,
                "rerun": self.rerun,
                "reseeded": list(self.reseeded),
                "ceiling": self.ceiling,
                "attractors_a": len(self.limits_a),
                "attractors_b": len(self.limits_b),
                "pairs": [
                    {"share": share, "partner": partner if partner >= 0 else None, "similarity": similarity}
                    for share, partner, similarity in zip(
                        self.share.tolist(), self.partner.tolist(), self.similarity.tolist(), strict=True
                    )
                ],
                "views": {
                    name: {
                        "matched": view.matched,
                        "threshold": view.threshold,
                        "mean_distance": view.mean_distance,
                        "null_mean": view.null_mean,
                        "null_low": view.null_low,
                        "p_value": view.p_value,
                        "fit": view.fit,
                        "partner": [partner if partner >= 0 else None for partner in view.partner.tolist()],
                        "distance": view.distance.tolist(),
                    }
                    for name, view in self.views.items()
                },
                "code": self.statement.slug,
                "sentences": list(self.sentences),
            }
        )

    def __repr__(self) -> str:
        ami = "–" if math.isnan(self.ami) else f"{self.ami:.3f}"
        return f"Comparison({len(self.limits_a)} and {len(self.limits_b)} attractors; basins agree with ami {ami})"
