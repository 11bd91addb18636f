"""From starts to limit sets: iterate, polish each set once, confirm every orbit, name what does not converge.

The orbit itself is never touched. What is cut short is only the last stretch, and only where a verified region says
where it leads. In order:

1. iterate every start in the model's own precision until its estimated error is small, or for ``probe_steps``;
2. polish the claimed limits in float64 (`Library`), keep what is a limit set, and confirm for every orbit, by three
   steps inside the trapping region of an *attracting* set, that it goes there. A slow passage near a saddle looks
   exactly like convergence, so orbits whose claim is not confirmed go on, in float64;
3. orbits that still move: look for closed curves (`CurveSearch`), give the others four times the budget, repeat 2 and 3
   until the budget of the protocol is used up.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from separatrix.check import require_self_map
from separatrix.cost import Cost
from separatrix.errors import FieldError
from separatrix.field import LatentField
from separatrix.limitsets.assemble import assemble, assemble_unpolished
from separatrix.limitsets.curves import CurveSearch
from separatrix.limitsets.library import Library
from separatrix.limitsets.sets import LimitSets
from separatrix.limitsets.triviality import triviality
from separatrix.orbits.iterate import report_unfinished, run_orbits
from separatrix.orbits.result import Orbits
from separatrix.orbits.status import Status
from separatrix.protocol import Protocol
from separatrix.starts import Starts, as_starts

FINE_TOLERANCE = 1e-10  # estimated error, as a share of the spread, of the second look in float64
_STAGE_GROWTH = 4  # moving orbits are examined again each time their budget has grown by this factor
_MOVING = (Status.WANDERING, Status.BUDGET, Status.SLOW)
AT_UNSTABLE = 1e-7  # an orbit at rest this near (share of the spread) to an unstable set is on it


def find_attractors(
    field: LatentField,
    starts: Starts | Tensor,
    protocol: Protocol | None = None,
    *,
    batch_size: int | None = None,
    progress: bool = False,
    throw: bool = False,
) -> LimitSets:
    """The limit sets that orbits from these starts end on, their stability, and which start ends where.

    With the default protocol an *attractor* has residual at the float64 floor and ρ(J) < 1, and every start counted in
    its basin was verified to be inside its trapping region. With ``Protocol.paper()`` end points are merged as they
    are, by cosine.

    Args:
        field: the latent field; it is checked first (shapes, finiteness, determinism, batch independence).
        starts: ``(n, *latent)`` points or `separatrix.starts`.
        protocol: the rules of the count.
        batch_size: latents per network pass; measured if not given.
        progress: show progress bars.
        throw: raise if an orbit reached no limit set, instead of one warning with the reasons.

    Returns:
        Limit sets, most visited first. Orbits that reached none have label −1 and a `Status` that says why.

    Raises:
        FieldError: the model is not a deterministic self-map; the message names the remedy.
        InputError: bad starts or options.
        NotConvergedError: with ``throw=True``.

    Cost: the orbits' own map evaluations, two Jacobians and a few evaluations per candidate set, three evaluations per
    start; all counted in ``LimitSets.cost``.

    >>> field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,), dtype=torch.float64)
    >>> limits = find_attractors(field, torch.linspace(-1, 1, 10, dtype=torch.float64)[:, None])
    >>> limits
    LimitSets(2 fixed points; 2 attract; 10 of 10 starts reached one)
    >>> [round(z, 6) for z in limits.points.flatten().sort().values.tolist()]
    [-0.957504, 0.957504]
    """
    protocol = protocol or Protocol()
    source = as_starts(starts)
    require_self_map(field, source.block(field, 0, min(4, len(source))))
    fine, notes = _finest(field)
    transit = fine if protocol.precision == "float64" else field
    if protocol.polish:
        limits = _Search(transit, fine, protocol, batch_size, progress).run(source)
    else:
        orbits = run_orbits(transit, source, protocol, (), batch_size, None, progress)
        limits = assemble_unpolished(fine, orbits)
    provenance = {"field": field.describe(), "starts": dict(source.provenance)}
    verdict = triviality(limits)
    notes += (verdict.sentence,) if verdict.trivial else ()
    limits = replace(limits, notes=notes, provenance={**provenance, **limits.provenance})
    report_unfinished(limits.orbits, throw)
    return limits


def _finest(field: LatentField) -> tuple[LatentField, tuple[str, ...]]:
    """A float64 copy, or the field itself and a sentence about what that means."""
    try:
        return field.to(dtype=torch.float64), ()
    except FieldError as error:
        return field, (f"Polished only in {field.dtype}: {error}",)


class _Search:
    """One search: orbits, the sets known so far, and who belongs where."""

    def __init__(
        self,
        transit: LatentField,
        fine: LatentField,
        protocol: Protocol,
        batch_size: int | None,
        progress: bool,
    ) -> None:
        self.transit, self.fine, self.protocol = transit, fine, protocol
        self.batch_size, self.progress = batch_size, progress

    def run(self, source: Starts) -> LimitSets:
        rules = self.protocol
        first = replace(rules, max_steps=min(rules.probe_steps, rules.max_steps))
        self.orbits = run_orbits(self.transit, source, first, (), self.batch_size, None, self.progress)
        self.library = Library(self.fine, rules, self.orbits.spread, torch.finfo(self.transit.dtype).eps)
        self.curve_search = CurveSearch(self.transit)
        self.labels = torch.full_like(self.orbits.steps, -1)
        self.curve_labels = torch.full_like(self.orbits.steps, -1)

        self._settle()
        self._look_for_curves()
        budget = first.max_steps
        while budget < rules.max_steps and len(moving := self._pending(*_MOVING)):
            budget = min(_STAGE_GROWTH * budget, rules.max_steps)
            self._continue(moving, self.transit, rules.tolerance, budget)
            self._settle()
            self._look_for_curves()
        self._continue(
            self._pending(Status.CONVERGED, Status.PERIODIC, Status.SLOW),
            self.fine,
            FINE_TOLERANCE,
            rules.max_steps,
        )
        self._settle()
        self._settle_at_rest()
        return assemble(self.library, self.curve_search, self._finished_orbits(), self.labels, self.curve_labels)

    def _pending(self, *statuses: Status) -> Tensor:
        """Indices of orbits without a set whose status is one of these."""
        wanted = torch.tensor([int(status) for status in statuses], dtype=torch.uint8, device=self.labels.device)
        free = (self.labels < 0) & (self.curve_labels < 0)
        return (free & torch.isin(self.orbits.status, wanted)).nonzero().squeeze(1)

    def _settle(self) -> None:
        """Polish and confirm what claims to have arrived; recognise what is on its way without claiming it."""
        claims = self._pending(Status.CONVERGED, Status.PERIODIC)
        periods = self.orbits.period[claims]
        for period in sorted(set(periods.tolist())):
            chosen = claims[periods == period]
            self.labels[chosen] = self.library.absorb(self.orbits.points[chosen], self.orbits.error[chosen], period)
            # A point approached from alternating sides returns every second step without being a cycle.
            for divisor in (d for d in range(1, period) if period % d == 0):
                rest = chosen[self.labels[chosen] < 0]
                self.labels[rest] = self.library.recognise(self.orbits.points[rest], divisor)
        others = self._pending(*_MOVING)
        if self.library.sets and len(others):
            self.labels[others] = self.library.recognise(self.orbits.points[others])
            self.orbits.status[others[self.labels[others] >= 0]] = int(Status.CAPTURED)

    def _settle_at_rest(self) -> None:
        """Orbits that sit on a set that does not attract: started there, or on its stable manifold to all digits."""
        for status in (Status.CONVERGED, Status.PERIODIC, Status.SLOW):
            resting = self._pending(status)
            for period in sorted(set(self.orbits.period[resting].clamp(min=1).tolist())):
                chosen = resting[self.orbits.period[resting].clamp(min=1) == period]
                at = self.library.at_unstable(self.orbits.points[chosen], period, AT_UNSTABLE * self.orbits.spread)
                self.labels[chosen] = at

    def _look_for_curves(self) -> None:
        moving = self._pending(*_MOVING)
        if len(moving):
            self.curve_labels[moving] = self.curve_search.assign(self.orbits.points[moving])

    def _continue(self, chosen: Tensor, field: LatentField, tolerance: float, budget: int) -> None:
        """Iterate the chosen orbits further from where they are, up to ``budget`` steps in all."""
        chosen = chosen[self.orbits.steps[chosen] < budget]
        if not len(chosen):
            return
        done = self.orbits.steps[chosen]
        rules = replace(self.protocol, tolerance=tolerance, max_steps=budget - int(done.max()))
        starts = as_starts(self.orbits.points[chosen])
        further = run_orbits(field, starts, rules, (), self.batch_size, self.orbits.spread, self.progress)
        self.orbits = _updated(self.orbits, chosen, further)

    def _finished_orbits(self) -> Orbits:
        status = self.orbits.status.clone()
        status[self.curve_labels >= 0] = int(Status.QUASIPERIODIC)
        # A claim that no limit set confirms is a place where the orbit lingers, not a limit.
        unconfirmed = (self.labels < 0) & (self.curve_labels < 0)
        claims = torch.tensor([int(Status.CONVERGED), int(Status.PERIODIC)], dtype=torch.uint8, device=status.device)
        status[unconfirmed & torch.isin(status, claims)] = int(Status.SLOW)
        work = self.orbits.cost + self.library.cost + self.curve_search.cost
        return replace(self.orbits, status=status, protocol=self.protocol, cost=work)


def _updated(orbits: Orbits, chosen: Tensor, further: Orbits) -> Orbits:
    """The same orbits with the chosen ones continued; step counts add up."""
    changed = {}
    for name in ("points", "residual", "rate", "error", "status", "period"):
        column = getattr(orbits, name).clone()
        column[chosen] = getattr(further, name).to(column.dtype)
        changed[name] = column
    if further.points.dtype != orbits.points.dtype and further.points.dtype == torch.float64:
        points = orbits.points.to(torch.float64)  # keep the digits that the continuation found
        points[chosen] = further.points
        changed["points"] = points
    steps = orbits.steps.clone()
    steps[chosen] += further.steps
    return replace(orbits, **changed, steps=steps, cost=orbits.cost + Cost(further.cost.map))
