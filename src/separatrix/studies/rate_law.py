"""Does an attractor's spectral radius predict how long orbits take? ‖z_t − z*‖ ≈ ‖e₀‖ ρ^t, so T ≈ log(ε/‖e₀‖)/log ρ.

(Fumero et al., ICLR 2026, report a Pearson correlation near 0.99 on a k = 2 model.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from separatrix.columnar import Columnar
from separatrix.cost import NO_WORK, Cost
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets.sets import Kind, LimitSets
from separatrix.starts import Starts, as_starts
from separatrix.store import storable

_FEWEST = 3  # points through which a correlation means anything


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class RateLaw(Columnar):
    """One row per orbit that came within ε of its fixed point.

    Attributes:
        start: ``(n,)`` int64, which start it is.
        predicted: ``(n,)`` log(ε/‖e₀‖)/log ρ.
        measured: ``(n,)`` the first step within ε, between two steps by the measured rate, as the prediction is.
        epsilon: ε, in latent units.
        missed: orbits that did not come within ε in the given number of steps.
        cost: map evaluations.
    """

    _columns: ClassVar[tuple[str, ...]] = ("start", "predicted", "measured")

    start: Tensor
    predicted: Tensor
    measured: Tensor
    epsilon: float
    missed: int
    cost: Cost = NO_WORK

    @property
    def correlation(self) -> float:
        """Pearson's; NaN for fewer than three orbits, or if all of them take equally long."""
        if len(self) < _FEWEST:
            return float("nan")
        return float(torch.corrcoef(torch.stack((self.predicted, self.measured)))[0, 1])

    @property
    def ratio(self) -> float:
        """Median of measured/predicted: 1 where the law holds from the first step on."""
        return float((self.measured / self.predicted).median()) if len(self) else float("nan")

    @property
    def sentence(self) -> str:
        """Both numbers in words."""
        return (
            f"Predicted against measured steps of {len(self):,} orbits: Pearson correlation {self.correlation:.3f}, median ratio "
            f"measured/predicted {self.ratio:.2f}."
        )


def rate_law(
    field: LatentField,
    limits: LimitSets,
    starts: Starts | Tensor,
    *,
    tolerance: float = 1e-4,
    max_steps: int = 3000,
    limit: int = 256,
) -> RateLaw:
    """Predicted and measured steps to come within ε = ``tolerance``·spread of the attractor that each start reaches.

    Orbits are iterated plainly, so that nothing but the map decides how long they take. Only starts that end on an
    attracting fixed point with 0 < ρ < 1 count, and that begin outside ε.

    Args:
        field: the latent field.
        limits: the result of a search from ``starts``.
        starts: the same starts.
        tolerance: ε as a share of the spread; well above the precision of the field.
        max_steps: budget per orbit.
        limit: at most so many of the starts.

    Raises:
        InputError: starts that are not those of ``limits``.

    Cost: as many map evaluations as steps.

    >>> field = LatentField.from_map(lambda z: 0.8 * z, latent_shape=(1,), dtype=torch.float64)
    >>> from separatrix import find_attractors
    >>> starts = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    >>> found = rate_law(field, find_attractors(field, starts), starts)
    >>> round(found.correlation, 9), round(found.ratio, 9)
    (1.0, 1.0)
    """
    source = as_starts(starts)
    if len(source) != len(limits.labels):
        raise InputError(
            f"There are {len(source):,} starts and {len(limits.labels):,} labels; pass the starts of this search."
        )
    z = source.block(field, 0, min(limit, len(source)))
    labels = limits.labels[: len(z)].to(z.device)
    radius = limits.spectral_radius.to(z.device, torch.float64)
    usable = (limits.stable == 1) & (limits.kind == int(Kind.FIXED_POINT)) & (limits.spectral_radius > 0)
    kept = (labels >= 0) & usable.to(z.device)[labels.clamp(min=0)] if len(limits) else labels > 0
    epsilon = tolerance * limits.spread
    targets = limits.points.to(z)[labels.clamp(min=0)] if len(limits) else z
    kept &= _distance(z, targets) > epsilon
    index = kept.nonzero().squeeze(1)
    z, targets = z[index], targets[index]
    first = _distance(z, targets)
    rho = radius[labels[index]]
    measured, cost = _arrivals(field, z, targets, epsilon, max_steps)
    arrived = measured.isfinite()
    predicted = (epsilon / first).log() / rho.log()
    return RateLaw(
        start=index[arrived].cpu(),
        predicted=predicted[arrived].cpu(),
        measured=measured[arrived].cpu(),
        epsilon=epsilon,
        missed=int((~arrived).sum()),
        cost=cost,
    )


def _arrivals(field: LatentField, z: Tensor, targets: Tensor, epsilon: float, max_steps: int) -> tuple[Tensor, Cost]:
    """When each orbit first comes within ε, interpolated on the logarithm of the distance; infinite if never."""
    when = torch.full((len(z),), torch.inf, dtype=torch.float64, device=z.device)
    active = torch.arange(len(z), device=z.device)
    before, spent = _distance(z, targets), 0
    for step in range(1, max_steps + 1):
        if not len(active):
            break
        z = field(z)
        spent += len(active)
        after = _distance(z, targets[active])
        inside = after <= epsilon
        part = (before / epsilon).log() / (before / after).log()
        when[active[inside]] = (step - 1 + part.clamp(0, 1))[inside]
        z, active, before = z[~inside], active[~inside], after[~inside]
    return when, Cost(map=spent)


def _distance(z: Tensor, targets: Tensor) -> Tensor:
    return (z.to(torch.float64) - targets.to(torch.float64)).flatten(1).norm(dim=1)
