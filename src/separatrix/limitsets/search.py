"""The search behind `find_attractors`: iterate, polish each set once, confirm every orbit, name what does not converge.

The orbit itself is never touched. What is cut short is only the last stretch, and only where
a region of contraction says where it leads. In order:

1. iterate the starts in growing generations (32, 128, 512, …), in the model's own precision, for at most ``probe_steps``.
   An orbit ends when it is captured by an attractor or closed curve that earlier generations have shown (`Capture`; with
   ``Protocol.trails`` also on the way of one of their orbits), or when its estimated error is small;
2. after each generation, polish the claimed limits in float64 (`Library`), keep what is a limit set, and confirm every
   claim by following it into the trapping region of an *attracting* set. A slow passage near a saddle looks exactly like
   convergence, so orbits whose claim is not confirmed go on, in float64;
3. orbits that still move: look for closed curves (`CurveSearch`), give the others four times the budget, repeat until
   the budget of the protocol is used up;
4. audit a sample of the captured orbits by following them to the end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from separatrix.cost import JVP_WEIGHT, Cost
from separatrix.field import LatentField
from separatrix.limitsets.assemble import assemble
from separatrix.limitsets.audit import Audit, audited
from separatrix.limitsets.capture import Capture
from separatrix.limitsets.curves import PATIENCE, PROBE_COST, PROBES, RECORDED, TAIL, CurveSearch
from separatrix.limitsets.library import Library
from separatrix.limitsets.motion import LEAST_STEPS, motion
from separatrix.limitsets.sets import LimitSets
from separatrix.limitsets.trails import FEWEST, RECORDED_WAYS, LimitPoints, TrailBook, Trails
from separatrix.numerics.distances import spread as spread_of
from separatrix.orbits.iterate import SPREAD_SAMPLE, run_orbits
from separatrix.orbits.observers import LastSteps, Observer
from separatrix.orbits.result import Orbits
from separatrix.orbits.status import Status
from separatrix.progress import Progress
from separatrix.protocol import Protocol
from separatrix.starts import Starts, as_starts

FINE_TOLERANCE = 1e-10  # estimated error, as a share of the spread, of the second look in float64
PILOT = 32  # starts that are followed first, all the way, so that most of the others can be captured
_TRAIL_NUMBERS = 2**26  # coordinates recorded at most: 256 MiB in float32
_PILOT_PAYS = 64  # starts from which a separate pilot saves evaluations
_GENERATION_GROWTH = 4
_NAMED = 4  # moving orbits whose motion is measured
_NAMING_STEPS = 256
_NAMING_SHARE = 0.05  # of the evaluations spent so far
_AUDIT_ROUNDS = 3
_SHRINK = 0.25  # what an audit that finds a disagreement does to the regions
_CURVE_SHARE = 0.02  # of the steps so far that probes for closed curves may cost before the last look
_LATER = 256  # steps after which an orbit captured by a closed curve must still be on it
_STAGE_GROWTH = 4  # moving orbits are examined again each time their budget has grown by this factor
_MOVING = (Status.WANDERING, Status.BUDGET, Status.SLOW)
# What the progress of a search consists of; shares of a usual search, and no more than that.
_SHARES = {"following orbits": 6, "following what still moves": 2, "confirming": 1, "auditing": 1}
AT_UNSTABLE = 1e-7  # an orbit at rest this near (share of the spread) to an unstable set is on it


class Search:
    """One search: orbits, the sets known so far, and who belongs where."""

    def __init__(
        self,
        transit: LatentField,
        fine: LatentField,
        protocol: Protocol,
        progress: Progress,
    ) -> None:
        self.transit, self.fine, self.protocol, self.progress = transit, fine, protocol, progress

    def run(self, source: Starts) -> LimitSets:
        with self.progress.stage("search", sum(_SHARES.values())):
            return self._run(source)

    def _stage(self, name: str, total: int) -> AbstractContextManager[Progress]:
        return self.progress.stage(name, total, worth=_SHARES[name])

    def _run(self, source: Starts) -> LimitSets:
        rules = self.protocol
        self.labels = torch.zeros(0, dtype=torch.int64, device=self.fine.device)
        self.curve_labels, self.captured = self.labels.clone(), self.labels > 0
        self.ahead = self.labels.clone()  # steps that remain on the trail on which an orbit was captured, −1 for others
        self.examined = self.labels.clone()  # how many steps an orbit had made when its end was last polished
        self.orbits: Orbits
        self.spread = spread_of(source.block(self.transit, 0, min(len(source), SPREAD_SAMPLE)))
        self.library = Library(self.fine, rules, self.spread, torch.finfo(self.transit.dtype).eps)
        self.curve_search = CurveSearch(self.transit)
        self.book = TrailBook(self.spread)
        budget = min(rules.probe_steps, rules.max_steps)
        with self._stage("following orbits", len(source)):
            for first, last in self._generations(len(source)):
                self._look(source[first:last], budget)
        with self._stage("following what still moves", math.ceil(math.log(rules.max_steps / budget, _STAGE_GROWTH))):
            while budget < rules.max_steps and len(moving := self._pending(*_MOVING)):
                budget = min(_STAGE_GROWTH * budget, rules.max_steps)
                tails = LastSteps(self.curve_search.to_record(self.orbits.points[moving]), TAIL)
                self._continue(moving, self.transit, rules.tolerance, budget, observers=[tails])
                self._look_for_curves(self._whole(tails, moving), last=budget >= rules.max_steps)
        with self._stage("confirming", 1):
            claims = self._pending(Status.CONVERGED, Status.PERIODIC, Status.SLOW)
            self._continue(claims, self.fine, FINE_TOLERANCE, rules.max_steps)
            self._settle_at_rest()
        with self._stage("auditing", 2 * _AUDIT_ROUNDS + 1):
            audit = self._audit() if rules.capture else None
        notes = self._name_what_moves() + self._say_what_is_guessed()
        limits = assemble(self.library, self.curve_search, self._finished_orbits(), self.labels, self.curve_labels)
        return replace(limits, audit=audit, notes=notes)

    def _generations(self, count: int) -> list[tuple[int, int]]:
        """The starts in growing portions: what one has shown captures the orbits of the next."""
        if not self.protocol.capture or count < _PILOT_PAYS:
            return [(0, count)]
        edges, size = [0], PILOT
        while edges[-1] < count:
            edges.append(min(edges[-1] + size, count))
            size *= _GENERATION_GROWTH
        return list(itertools.pairwise(edges))

    def _look(self, source: Starts, budget: int) -> None:
        """Orbits from new starts, and what they show."""
        rules = replace(self.protocol, max_steps=budget)
        capture = self._new_capture(len(source))
        first = len(self.labels)
        ways = self._recorder(first, len(source), budget)
        orbits = run_orbits(self.transit, source, rules, ways, self.spread, self.progress, catcher=capture)
        orbits = replace(orbits, observed={})
        self.orbits = self.orbits.followed_by(orbits) if first else orbits
        none = torch.full((len(source),), -1, dtype=torch.int64, device=self.labels.device)
        self.labels = torch.cat([self.labels, capture.labels if capture else none])
        self.curve_labels = torch.cat([self.curve_labels, capture.curve_labels if capture else none])
        self.captured = torch.cat([self.captured, capture.captured if capture else none >= 0])
        self.ahead = torch.cat([self.ahead, capture.ahead if capture else none])
        self.examined = torch.cat([self.examined, none])
        for way in ways:
            self.book.record((first + way.rows).tolist(), way.result())
        self._note_errors(torch.arange(first, len(self.labels), device=self.labels.device))
        self._settle()
        self._look_for_curves(last=budget >= self.protocol.max_steps)

    def _recorder(self, first: int, count: int, budget: int) -> list[LastSteps]:
        """An observer of the ways of the second generation, which end where they enter the regions that the first has shown."""
        wanted = min(count, RECORDED_WAYS)
        fits = wanted * (budget + 1) * self.transit.latent_dim <= _TRAIL_NUMBERS
        if not self.protocol.trails or first != PILOT or wanted < FEWEST or not fits:
            return []
        return [LastSteps(torch.arange(wanted), budget + 1)]

    def _new_capture(self, count: int) -> Capture | None:
        if not self.protocol.capture:
            return None
        return Capture(self.library, self.curve_search, self._trails(), count)

    def _trails(self) -> Trails | None:
        sets, curves = self.library.sets, self.curve_search.curves
        points = [known.points.flatten(1) for known in sets]
        points += [torch.from_numpy(known.curve.points).to(self.fine.device) for known in curves]
        if not points:
            return None
        fates = [*range(len(sets)), *(-2 - number for number in range(len(curves)))]
        owner = torch.tensor(fates).repeat_interleave(torch.tensor([len(part) for part in points]))
        stable = [known.stable == 1 for known in sets] + [known.stable == 1 for known in curves]
        attracting = frozenset(fate for fate, attracts in zip(fates, stable, strict=True) if attracts)
        limits = LimitPoints(torch.cat([part.to(torch.float64) for part in points]), owner, attracting)
        return self.book.trails(self._fates(), limits)

    def _fates(self) -> Tensor:
        """One number per orbit: its set, −2 − c for the closed curve c, −1 for none."""
        return torch.where(self.curve_labels >= 0, -2 - self.curve_labels, self.labels)

    def _continue(
        self,
        chosen: Tensor,
        field: LatentField,
        tolerance: float,
        budget: int,
        *,
        ending: bool = True,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Iterate the chosen orbits further from where they are, up to ``budget`` steps in all."""
        chosen = chosen[self.orbits.steps[chosen] < budget]
        if not len(chosen):
            return
        done = self.orbits.steps[chosen]
        rules = replace(self.protocol, tolerance=tolerance, max_steps=budget - int(done.max()))
        starts = as_starts(self.orbits.points[chosen])
        capture = self._new_capture(len(chosen)) if ending else None
        with self.progress.stage("following orbits further", len(chosen)):
            further = run_orbits(field, starts, rules, observers, self.spread, self.progress, catcher=capture)
        self.orbits = _updated(self.orbits, chosen, further)
        self.labels[chosen], self.curve_labels[chosen], self.captured[chosen] = -1, -1, False
        self.ahead[chosen] = -1
        if capture:
            self.labels[chosen], self.curve_labels[chosen] = capture.labels, capture.curve_labels
            self.captured[chosen], self.ahead[chosen] = capture.captured, capture.ahead
        self._note_errors(chosen)
        self._settle()

    def _note_errors(self, rows: Tensor) -> None:
        """The distance of a captured orbit to its attractor is known, not estimated."""
        rows = rows[self.captured[rows] & (self.labels[rows] >= 0)]
        if len(rows):
            ends = torch.stack([known.points[0] for known in self.library.sets])[self.labels[rows]]
            self.orbits.error[rows] = (
                (self.orbits.points[rows].to(ends) - ends).flatten(1).norm(dim=1).to(torch.float64)
            )

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
            points, steps = self.orbits.points[chosen], self.orbits.steps[chosen]
            fresh = self.examined[chosen] != steps  # polishing the same point again would find the same
            self.labels[chosen] = self.library.absorb(points, self.orbits.error[chosen], period, fresh)
            self.examined[chosen] = steps
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
                at = self.library.at_unstable(self.orbits.points[chosen], period, AT_UNSTABLE * self.spread)
                self.labels[chosen] = at
                self.orbits.status[chosen[at >= 0]] = int(Status.CONVERGED if period == 1 else Status.PERIODIC)

    def _whole(self, tails: LastSteps, moving: Tensor) -> list[Tensor]:
        """The recorded ends of those orbits that still move, unless they are too short to show a curve."""
        still = torch.isin(moving[tails.rows.to(moving.device)], self._pending(*_MOVING)).tolist()
        return [path for path, on in zip(tails.result(), still, strict=True) if on and len(path) >= RECORDED]

    def _look_for_curves(self, tails: Sequence[Tensor] = (), *, last: bool = False) -> None:
        """The last look is thorough; earlier ones only save what orbits on a curve would cost until then."""
        moving = self._pending(*_MOVING)
        if not len(moving) or self.protocol.max_steps < RECORDED:  # a record would be longer than orbits may be
            return
        search = self.curve_search
        affordable = int(_CURVE_SHARE * int(self.orbits.steps.sum()) / PROBE_COST) - search.fruitless
        patience = PATIENCE if last else min(PATIENCE, affordable if search.fruitless else PROBES)
        self.curve_labels[moving] = search.assign(self.orbits.points[moving], patience, tails)

    def _audit(self) -> Audit:
        """Follow a sample of captured orbits to the end. A disagreement shrinks all regions, and what was captured outside
        of them goes on; so does what was captured in a region that later shrank because a neighbour was found. If that does
        not help, nothing that was captured is believed: all of it is followed to the end."""
        for rounds in range(1, _AUDIT_ROUNDS + 1):
            self._release_outsiders()
            captured = self.captured & ((self.labels >= 0) | (self.curve_labels >= 0))
            rows = audited(captured, self.protocol.audit, seed=rounds)
            given = self._fates()[rows]
            points = self.orbits.points[rows].clone()
            on_curve = given <= -2
            found = torch.full_like(given, -1)
            if bool(on_curve.any()):
                later = _LATER + int(self.ahead[rows][on_curve].max().clamp(min=0))
                found[on_curve] = -2 - self.curve_search.watch(points[on_curve], later=later)
                found[on_curve & (found == -1)] = -1
            self._continue(rows[~on_curve], self.fine, FINE_TOLERANCE, self.protocol.max_steps, ending=False)
            found[~on_curve] = self.labels[rows[~on_curve]]
            agreed = found == given
            if bool(agreed.all()):
                break
            self.library.shrink_regions(_SHRINK)
            self.book.share *= _SHRINK
        abandoned = not bool(agreed.all())
        if abandoned:
            rest = (self.captured & (self.labels >= 0)).nonzero().squeeze(1)
            self._continue(rest, self.fine, FINE_TOLERANCE, self.protocol.max_steps, ending=False)
        return Audit(
            captured=int(captured.sum()),
            checked=len(rows),
            agreed=int(agreed.sum()),
            rounds=rounds,
            abandoned=abandoned,
        )

    def _release_outsiders(self) -> None:
        """Orbits that today's regions and trails would not have captured where they were go on."""
        outside = torch.cat([self._outside_regions(), self._beside_trails()])
        self._continue(outside, self.transit, self.protocol.tolerance, self.protocol.max_steps)

    def _outside_regions(self) -> Tensor:
        known = self.library.regions_for(1)
        rows = (self.captured & (self.labels >= 0) & (self.ahead < 0)).nonzero().squeeze(1)
        if known is None or not len(rows):
            return rows[:0]
        regions, numbers = known
        place = torch.full((len(self.library.sets),), -1, dtype=torch.int64, device=rows.device)
        place[numbers] = torch.arange(len(numbers), device=rows.device)
        region = place[self.labels[rows]]
        rows, region = rows[region >= 0], region[region >= 0]
        return rows[~regions.inside(self.orbits.points[rows].flatten(1), region)]

    def _beside_trails(self) -> Tensor:
        rows = (self.captured & (self.ahead >= 0)).nonzero().squeeze(1)
        trails = self._trails()
        if trails is None or not len(rows):
            return rows
        index, _, on = trails.look(self.orbits.points[rows].flatten(1))
        return rows[~on | (trails.fate[index] != self._fates()[rows])]

    def _name_what_moves(self) -> tuple[str, ...]:
        """How some of the orbits move that found no limit set, at a small share of what they have cost."""
        rows = self._pending(*_MOVING)
        affordable = int(_NAMING_SHARE * self._work().map / (1 + JVP_WEIGHT))
        steps = min(_NAMING_STEPS, affordable)
        if not len(rows) or steps < LEAST_STEPS:
            return ()
        followed = motion(self.transit, self.orbits.points[rows[: min(_NAMED, affordable // steps)]], steps=steps)
        self.library.cost += followed.cost
        return (followed.sentence,)

    def _say_what_is_guessed(self) -> tuple[str, ...]:
        """How many labels rest on trails, which are no evidence where a fork has been passed unseen."""
        guessed = int((self.ahead >= 0).sum())
        if not guessed:
            return ()
        return (
            f"{guessed:,} of {len(self.labels):,} starts were given their set because they kept to the way of an earlier start "
            "(Protocol.trails). That is not certain: a branch that no recorded start took is not seen.",
        )

    def _work(self) -> Cost:
        return self.orbits.cost + self.library.cost + self.curve_search.cost

    def _finished_orbits(self) -> Orbits:
        status = self.orbits.status.clone()
        status[self.curve_labels >= 0] = int(Status.QUASIPERIODIC)
        # A claim that no limit set confirms is a place where the orbit lingers, not a limit.
        unconfirmed = (self.labels < 0) & (self.curve_labels < 0)
        claims = [int(Status.CONVERGED), int(Status.PERIODIC), int(Status.CAPTURED)]
        status[unconfirmed & torch.isin(status, torch.tensor(claims, dtype=torch.uint8, device=status.device))] = int(
            Status.SLOW
        )
        period = torch.where(self.curve_labels >= 0, 0, self.orbits.period)
        steps = self.orbits.steps + self.ahead.clamp(min=0)
        return replace(
            self.orbits, steps=steps, status=status, period=period, protocol=self.protocol, cost=self._work()
        )


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
