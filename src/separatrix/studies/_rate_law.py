"""Does an attractor's spectral radius predict how long orbits take? ‖z_t − z*‖ ≈ ‖e₀‖ ρ^t, so T ≈ log(ε/‖e₀‖)/log ρ.

(Fumero et al., ICLR 2026, report a Pearson correlation near 0.99 on a k = 2 model.)

The law is linear, and can fail for three reasons that are told apart here:

* *the orbit is not yet where f is linear*. ``neighbourhood`` starts the clock at the step that is within a distance of z*.
* *one eigenvalue is not the whole Jacobian*. ``law="linear"`` predicts the first t with ‖Jᵗe₀‖ ≤ ε, which knows the direction
  of e₀, rotation, and the transient growth of a J that is not normal.
* *there is little to predict*. Over orbits of one attractor, ρ is a constant and the prediction varies by log ‖e₀‖ alone; over
  orbits of many attractors, it varies with ρ. One correlation mixes the two; `within_attractors` and `between_attractors` do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import NO_WORK, Cost
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import Kind, LimitSets
from separatrix.protocol import DENSE_LIMIT
from separatrix.starts import Starts, as_starts
from separatrix.storage import Columnar, storable
from separatrix.work import Progress

Law = Literal["radius", "linear"]
_ROUNDING = 1e-12  # of steps
_FEWEST = 3  # points through which a correlation means anything


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class RateLaw(Columnar):
    """One row per orbit that came within ε of its fixed point.

    Attributes:
        start: ``(n,)`` int64, which start it is.
        attractor: ``(n,)`` int64, index into the limit sets.
        entered: ``(n,)`` int64, the step at which the clock was started: 0 without a neighbourhood.
        predicted: ``(n,)`` log(ε/‖e₀‖)/log ρ, or what the linear law says.
        measured: ``(n,)`` steps from ``entered`` until within ε, between two steps by the measured rate, as the prediction is.
        epsilon: ε, in latent units.
        missed: orbits that did not come within ε in the given number of steps.
        left_out: why → how many other orbits the law says nothing of; each has one reason, the first that holds.
        law: ``"radius"`` or ``"linear"``.
        cost: map evaluations and derivative products.
    """

    _columns: ClassVar[tuple[str, ...]] = ("start", "attractor", "entered", "predicted", "measured")
    _facts: ClassVar[tuple[str, ...]] = ("correlation", "within_attractors", "between_attractors", "ratio", "given")

    start: Tensor
    attractor: Tensor
    entered: Tensor
    predicted: Tensor
    measured: Tensor
    epsilon: float
    missed: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    law: Law = "radius"
    cost: Cost = NO_WORK

    @property
    def correlation(self) -> float:
        """Pearson's over orbits; NaN for fewer than three, or if all of them take equally long."""
        return _pearson(self.predicted, self.measured)

    @property
    def within_attractors(self) -> float:
        """Pearson's over orbits, both less the mean of their attractor: are orbits of one attractor told apart?"""
        return _pearson(self._deviations(self.predicted), self._deviations(self.measured))

    @property
    def between_attractors(self) -> float:
        """Pearson's over the attractors' medians, each attractor counting once; NaN for fewer than three attractors."""
        groups = [self.attractor == which for which in self.attractor.unique()]
        predicted, measured = (
            torch.tensor([float(values[group].median()) for group in groups])
            for values in (self.predicted, self.measured)
        )
        return _pearson(predicted, measured)

    @property
    def ratio(self) -> float:
        """Median of measured/predicted: 1 where the law holds from the first step on."""
        return float((self.measured / self.predicted).median()) if len(self) else float("nan")

    @property
    def given(self) -> int:
        """All orbits that were looked at: those with a row, the missed and the left out."""
        return len(self) + self.missed + sum(self.left_out.values())

    @property
    def sentence(self) -> str:
        """Correlation and ratio in words, of how many orbits, and what became of the others."""
        inner = f" ({self.within_attractors:.3f} within attractors)" if len(self.attractor.unique()) > 1 else ""
        others = {"not within ε in the budget": self.missed, **self.left_out}
        reasons = ", ".join(f"{count:,} {why}" for why, count in others.items() if count)
        return (
            f"Predicted against measured steps of {len(self):,} of {self.given:,} orbits: Pearson correlation "
            f"{self.correlation:.3f}{inner}, median ratio measured/predicted {self.ratio:.2f}."
            f"{f' Without: {reasons}.' if reasons else ''}"
        )

    def __repr__(self) -> str:
        return (
            f"RateLaw({self.law}: {len(self):,} of {self.given:,} orbits; correlation {self.correlation:.3f}, "
            f"median ratio {self.ratio:.2f})"
        )

    def _deviations(self, values: Tensor) -> Tensor:
        """Return the deviations from the mean of the attractor; rounding is no deviation."""
        which = self.attractor.unique(return_inverse=True)[1]
        mean = values.new_zeros(len(self)).index_add(0, which, values)[which] / which.bincount()[which]
        deviation = values - mean
        return torch.where(deviation.abs() > _ROUNDING * mean.abs(), deviation, 0.0)


@checked
def rate_law(
    field: LatentField,
    limits: LimitSets,
    starts: Starts | Tensor,
    *,
    tolerance: float = 1e-4,
    law: Law = "radius",
    neighbourhood: float | None = None,
    max_steps: int = 3000,
    limit: int = 256,
    progress: bool | Progress = False,
) -> RateLaw:
    """Predicted and measured steps to come within ε = ``tolerance``·spread of the attractor that each start reaches.

    Orbits are iterated plainly, so that nothing but the map decides how long they take. Only starts that end on an
    attracting fixed point with 0 < ρ < 1 count, and that begin outside ε.

    Args:
        field: the latent field.
        limits: the result of a search from ``starts``.
        starts: the same starts.
        tolerance: ε as a share of the spread; well above the precision of the field.
        law: ``"radius"`` is the paper's T = log(ε/‖e₀‖)/log ρ; ``"linear"`` the first t with ‖Jᵗe₀‖ ≤ ε, which is exact where
            f is linear. Both agree on what a step of the slowest direction is worth.
        neighbourhood: start the clock (and take e₀) at the first step within this share of the spread of z*; orbits that step
            from outside it into ε have nothing left to predict, and are left out. None: at the start.
        max_steps: budget per orbit.
        limit: at most so many of the starts.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError: starts that are not those of ``limits``, an unknown law, a neighbourhood inside ε, or the linear law in a
            latent space too large for dense Jacobians.

    Cost: as many map evaluations as steps; the linear law 2k more per attractor.

    >>> field = LatentField.from_map(lambda z: 0.8 * z, latent_shape=(1,), dtype=torch.float64)
    >>> from separatrix import find_attractors
    >>> starts = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    >>> found = rate_law(field, find_attractors(field, starts), starts)
    >>> round(found.correlation, 9), round(found.ratio, 9)
    (1.0, 1.0)
    """
    field = LatentField.of(field)
    source = as_starts(starts)
    _require(source, field, limits, tolerance, law, neighbourhood)
    z = source.block(field, 0, min(limit, len(source)))
    labels = limits.labels[: len(z)].to(z.device)
    usable = (limits.stable == 1) & (limits.kind == int(Kind.FIXED_POINT)) & (limits.spectral_radius > 0)
    settled = labels >= 0
    attracted = settled & usable.to(z.device)[labels.clamp(min=0)] if len(limits) else settled
    epsilon = tolerance * limits.spread
    targets = limits.points.to(z)[labels.clamp(min=0)] if len(limits) else z
    kept = attracted & (_distance(z, targets) > epsilon)
    index = kept.nonzero().squeeze(1)
    z, targets, labels = z[index], targets[index], labels[index]
    reach = torch.inf if neighbourhood is None else neighbourhood * limits.spread
    entry = _follow(field, z, targets, reach, torch.full_like(labels, max_steps), "entering", progress)
    entered_it = entry.when.isfinite()
    begun = entered_it & (_distance(entry.end, targets) > epsilon)
    index, z, targets, labels = index[begun], entry.end[begun], targets[begun], labels[begun]
    entered = entry.steps[begun]
    arrival = _follow(field, z, targets, epsilon, max_steps - entered, "arriving", progress)
    arrived = arrival.when.isfinite()
    offsets = z.to(torch.float64) - targets.to(torch.float64)
    rho = limits.spectral_radius.to(z.device, torch.float64)[labels]
    cost = entry.cost + arrival.cost
    if law == "radius":
        predicted = (epsilon / offsets.flatten(1).norm(dim=1)).log() / rho.log()
    else:
        predicted, products = _linear(field, limits, offsets.flatten(1), labels, rho, epsilon, max_steps)
        cost += products
    return RateLaw(
        start=index[arrived].cpu(),
        attractor=labels[arrived].cpu(),
        entered=entered[arrived].cpu(),
        predicted=predicted[arrived].cpu(),
        measured=arrival.when[arrived].cpu(),
        epsilon=epsilon,
        missed=int((~entered_it).sum() + (~arrived).sum()),
        left_out={
            "on no limit set": int((~settled).sum()),
            "on no attracting fixed point with ρ > 0": int((settled & ~attracted).sum()),
            "within ε at the start": int((attracted & ~kept).sum()),
            "in one step from outside the neighbourhood into ε": int((entered_it & ~begun).sum()),
        },
        law=law,
        cost=cost,
    )


def _require(
    source: Starts, field: LatentField, limits: LimitSets, tolerance: float, law: Law, neighbourhood: float | None
) -> None:
    if len(source) != len(limits.labels):
        raise InputError(
            f"There are {len(source):,} starts and {len(limits.labels):,} labels; pass the starts of this search."
        )
    if law not in get_args(Law):
        raise InputError(f"The law must be one of {', '.join(map(repr, get_args(Law)))}, not {law!r}.")
    if neighbourhood is not None and not neighbourhood > tolerance:
        raise InputError(
            f"A neighbourhood of {neighbourhood!r} lies inside the tolerance {tolerance!r}; both are shares of the spread."
        )
    if law == "linear" and field.latent_dim > DENSE_LIMIT:
        raise InputError(
            f"The linear law needs dense Jacobians, up to {DENSE_LIMIT} dimensions, not {field.latent_dim}; use law='radius'."
        )


@dataclass(frozen=True)
class _Followed:
    """Orbits iterated until they are near something.

    Attributes:
        when: ``(n,)`` the time at which each is within the distance, between two steps; infinite if its budget ended before.
        steps: ``(n,)`` int64, steps made.
        end: ``(n, *latent)`` the point after them.
        cost: map evaluations.
    """

    when: Tensor
    steps: Tensor
    end: Tensor
    cost: Cost


def _follow(
    advance: Callable[[Tensor], Tensor],
    z: Tensor,
    targets: Tensor,
    distance: float,
    budgets: Tensor,
    title: str = "following",
    progress: bool | Progress = False,
) -> _Followed:
    """Each orbit until it first comes within a distance of its target, interpolated on the logarithm of the distance."""
    before = _distance(z, targets)
    end, steps, spent = z.clone(), torch.zeros_like(budgets), 0
    when = torch.full_like(before, torch.inf)
    when[before <= distance] = 0
    active = ((before > distance) & (budgets > 0)).nonzero().squeeze(1)
    with Progress.of(progress).stage(title, len(active)) as line:
        while count := len(active):
            end[active] = advance(end[active])
            steps[active] += 1
            spent += count
            after = _distance(end[active], targets[active])
            part = (before[active] / distance).log() / (before[active] / after).log()
            inside = after <= distance
            when[active[inside]] = (steps[active] - 1 + part.clamp(0, 1))[inside]
            before[active] = after
            active = active[~inside & (steps[active] < budgets[active])]
            line.advance(count - len(active))
    return _Followed(when, steps, end, Cost(map=spent))


def _linear(
    field: LatentField,
    limits: LimitSets,
    offsets: Tensor,
    labels: Tensor,
    rho: Tensor,
    epsilon: float,
    max_steps: int,
) -> tuple[Tensor, Cost]:
    """The first t with ‖Jᵗe‖ ≤ ε per offset e; beyond the budget it goes on at the rate ρ."""
    predicted = torch.empty(len(offsets), dtype=torch.float64, device=offsets.device)
    present = labels.unique()
    jacobians = field.jacobian(limits.points.to(field.device, field.dtype)[present]).to(torch.float64)
    for which, jacobian in zip(present, jacobians, strict=True):
        mine = labels == which
        origin, budgets = torch.zeros_like(offsets[mine]), torch.full_like(labels[mine], max_steps)
        found = _follow(partial(_times, jacobian), offsets[mine], origin, epsilon, budgets)
        beyond = max_steps + (epsilon / _distance(found.end, origin)).log() / rho[mine].log()
        predicted[mine] = torch.where(found.when.isfinite(), found.when, beyond)
    return predicted, Cost(vjp=len(present) * field.latent_dim)


def _times(jacobian: Tensor, offsets: Tensor) -> Tensor:
    return offsets @ jacobian.mT


def _distance(z: Tensor, targets: Tensor) -> Tensor:
    return (z.to(torch.float64) - targets.to(torch.float64)).flatten(1).norm(dim=1)


def _pearson(first: Tensor, second: Tensor) -> float:
    """NaN where there are fewer than three points, or one side does not vary."""
    if len(first) < _FEWEST:
        return float("nan")
    return float(torch.corrcoef(torch.stack((first, second)))[0, 1])
