"""A cloud of points fills so many directions: components for a share of the variance, and the effective rank."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.errors import InputError


@dataclass(frozen=True)
class EffectiveDimension:
    """The spectrum of a cloud's covariance in two numbers.

    Attributes:
        items: how many points there are; neither number can exceed items − 1.
        components: the fewest principal components that hold 90 % of the variance; 0 where there is none.
        effective_rank: exp(−Σ p ln p), p the shares of the variance (Roy & Vetterli 2007): d for an isotropic cloud in d
            dimensions, 1 on a line; 0 where there is no variance.
    """

    items: int
    components: int
    effective_rank: float

    def to_dict(self) -> dict[str, float]:
        """JSON-ready, under the names that the records of audits have."""
        return {"items": self.items, "components": self.components, "entropy_rank": self.effective_rank}


def effective_dimension(items: Tensor, share: float = 0.9) -> EffectiveDimension:
    """Measure it for the rows of ``items`` ``(n, …)``, flattened and centred. Cost: one singular value decomposition.

    Raises:
        InputError: values that are not finite, or a share outside (0, 1].

    >>> effective_dimension(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    EffectiveDimension(items=4, components=2, effective_rank=2.0)
    """
    if not 0 < share <= 1:
        raise InputError(f"A share of the variance lies above 0 and is at most 1, not {share}.")
    flat = items.detach().flatten(1).to("cpu", torch.float64)
    if not bool(flat.isfinite().all()):
        raise InputError("There are NaN or infinite values among the items; drop those items.")
    if len(flat) < 2:
        return EffectiveDimension(len(flat), 0, 0.0)
    centred = flat - flat.mean(dim=0)
    variances = torch.linalg.svdvals(centred).square()
    floor = (torch.finfo(torch.float64).eps * float(flat.norm())) ** 2 * max(flat.shape)
    variances = variances[variances > floor]
    if not len(variances):
        return EffectiveDimension(len(flat), 0, 0.0)
    shares = variances / variances.sum()
    # Rounding must not ask for one more component where a share is met exactly.
    components = int((shares.cumsum(0) < share - 1e-12).sum()) + 1
    return EffectiveDimension(len(flat), components, round(math.exp(-float((shares * shares.log()).sum())), 12))
