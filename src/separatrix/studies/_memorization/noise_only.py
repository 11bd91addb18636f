"""Attractors that only noise reaches, held against the training images together with those that training images lead to.

An image may be stored so that none of the training images that are followed leads to it. What is asked of these attractors is
what is asked of the others, in one family: the q-values of a + b attractors are adjusted for all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.field import LatentField
from separatrix.limitsets import LimitSets, same_sets
from separatrix.numerics import benjamini_hochberg
from separatrix.storage import Columnar, storable
from separatrix.studies._resemblance import Resemblance, resemblance
from separatrix.studies._resemblance_words import exact_copies, exact_words, most_unseen
from separatrix.words import counted


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseOnly(Columnar):
    """One row per attractor that noise reaches and the other search does not; columns as those of `Resemblance`.

    Attributes:
        sets: ``(b,)`` int64, which of the limit sets of noise.
        coefficient, nearest, ratio, hits, p_coefficient, p_ratio, p_value, q_value: ``(b,)``; q is adjusted for the
            attractors of both searches.
        alpha: level at which ``q_value`` is called.
    """

    _columns: ClassVar[tuple[str, ...]] = Resemblance._columns

    _read_off: ClassVar[tuple[str, ...]] = Resemblance._read_off

    sets: Tensor
    coefficient: Tensor
    nearest: Tensor
    ratio: Tensor
    hits: Tensor
    p_coefficient: Tensor
    p_ratio: Tensor
    p_value: Tensor
    q_value: Tensor
    alpha: float

    @property
    def significant(self) -> Tensor:
        """``(b,)`` bool: closer to one training image than 1 − α of unseen images."""
        return self.q_value <= self.alpha

    @property
    def exact(self) -> Tensor:
        """``(b,)`` bool: of the significant ones, those that are the same image."""
        return exact_copies(self.significant, self.ratio)

    @property
    def sentence(self) -> str:
        """Count how many there are, and how many of them are called."""
        called, count = int(self.significant.sum()), len(self)
        verb = "comes" if called <= 1 else "come"
        exact = f", {exact_words(int(self.exact.sum()))}" if called else ""
        return (
            f"Noise reaches {counted(count, 'further attractor')} that no followed training image reaches; of these, {called or 'none'} {verb} closer "
            f"to one training image than {most_unseen(self.alpha)} of unseen images do{exact}."
        )

    def beside(self, found: Resemblance) -> Resemblance:
        """These rows with the nulls of ``found``, to be drawn as its own are; the statement stays that of ``found``."""
        return replace(found, **{name: getattr(self, name) for name in self._columns})

    def __repr__(self) -> str:
        return f"NoiseOnly({int(self.significant.sum())} of {len(self)} attractors called)"


def judged_together(
    field: LatentField,
    limits: LimitSets,
    noise: LimitSets | None,
    train: Tensor,
    held_out: Tensor | None,
    **options: Any,
) -> tuple[Resemblance, NoiseOnly | None]:
    """The resemblance of ``limits``, and that of what only ``noise`` reaches; None where that is nothing.

    Args:
        field, limits, train, held_out: as in :func:`~separatrix.studies._resemblance.resemblance`.
        noise: limit sets from noise of the same field.
        options: of that function.

    Cost: that of the function, twice where noise reaches something of its own.
    """
    which = torch.empty(0, dtype=torch.int64)
    if noise is not None:
        own = same_sets(noise.attractors, limits.attractors) < 0
        which = (noise.stable == 1).nonzero().squeeze(1).cpu()[own.cpu()]
    if noise is None or not len(which):
        return resemblance(field, limits, train, held_out, **options), None
    # Of this resemblance only the columns are read: its statement is about a part of the noise.
    others = resemblance(field, noise[which], train, held_out, **options)
    found = resemblance(field, limits, train, held_out, **options, beside=others.p_value)
    columns = {name: getattr(others, name) for name in NoiseOnly._columns} | {
        "sets": which[others.sets],
        "q_value": benjamini_hochberg(torch.cat([found.p_value, others.p_value]))[len(found) :],
    }
    return found, NoiseOnly(**columns, alpha=found.alpha)
