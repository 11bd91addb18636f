"""The search behind `find_attractors`, in rounds: admit, step, settle.

Everything that still needs steps lives in one of two pools: orbits in the model's own precision, and orbits in float64 whose claim to
have arrived is to be confirmed or whose capture is audited. In a *round*

1. **admit**: once no more than a quarter of the orbits admitted so far are unsettled, four times as many new starts join them. So
   what the first have shown captures most of the others;
2. **step**: every row makes up to R steps against the catalogue as it was at the head of the round. An orbit ends when it is captured
   in a verified region (`Capture`), when its estimated error is small (a *claim*), when it has left all bounds, or when its budget is
   used up. The orbit itself is never touched;
3. **settle**: polish the claims in float64, add what is new to the catalogue, send the claimants on in float64 until the region of an
   *attracting* set captures them (a slow passage near a saddle looks exactly like convergence), examine records of the oldest rows for
   closed curves.

What is known changes only between rounds. So labels depend on the starts, the seed and the protocol, and not on the batch size, the
order of the rows within a round, or the clock; and a round can be computed in parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from separatrix.cost import JVP_WEIGHT, Cost
from separatrix.engines import Engine, Keeping
from separatrix.field import LatentField, Raised
from separatrix.limitsets._assemble import assemble
from separatrix.limitsets._capture import Frozen
from separatrix.limitsets._capture_auditor import CaptureAuditor
from separatrix.limitsets._catalogue import Catalogue, LimitSet
from separatrix.limitsets._claims import settle_claims
from separatrix.limitsets._curves import CurveSearch
from separatrix.limitsets._ledger import MOVING, Claims, Ledger
from separatrix.limitsets._motion import LEAST_STEPS, motion
from separatrix.limitsets._parts import Crew, Fields, Followed, Part, Round, cut
from separatrix.limitsets._records import Records
from separatrix.limitsets._regions import StepNorms
from separatrix.limitsets._sets import Kind, LimitSets
from separatrix.limitsets._statistical import Library, StatisticalCapture, pays
from separatrix.limitsets._watch import CurveWatch
from separatrix.numerics import ClosedCurve
from separatrix.numerics import spread as spread_of
from separatrix.orbits import Status
from separatrix.orbits._iterate import centre_of
from separatrix.orbits._judge import Judge, OrbitState
from separatrix.orbits._pool import Columns, Queue, Rows, width_for
from separatrix.protocol import GROUPS, Protocol
from separatrix.starts import Starts
from separatrix.storage import NO_CHECKPOINT, Checkpoint
from separatrix.work import Progress

# What is said of moving orbits is a note, and counts nothing.
_NAMED = 4  # moving orbits whose motion is measured
_NAMING_STEPS = 256
_NAMING_SHARE = 0.05  # of the evaluations spent so far
_GOOD = 16  # starts from all over the sample, of which the model must take one where it raises an exception for all rows of a batch
_STATE = (  # what a search is made of between two rounds …
    CaptureAuditor, Catalogue, Claims, ClosedCurve, Columns, Cost, CurveSearch, CurveWatch, Judge, Kind, Ledger, Library, LimitSet,
    OrbitState, Protocol, Queue, Raised, Records, Rows, StatisticalCapture, StepNorms, *GROUPS.values(),
)  # fmt: skip
_GIVEN = {"transit", "fine", "protocol", "progress", "checkpoint", "crew"}  # … beside these


class Search:
    """One search: the pools, the sets known so far, and one ledger row per orbit.

    Attributes:
        native: orbits under way in the model's own precision.
        claimants: those under way in float64, whose claim is to be confirmed or whose capture is audited.
    """

    native: Rows
    claimants: Rows

    def __init__(
        self,
        transit: LatentField,
        fine: LatentField,
        protocol: Protocol,
        progress: Progress,
        checkpoint: Checkpoint = NO_CHECKPOINT,
        engine: Engine | Keeping | None = None,
    ) -> None:
        self.transit, self.fine, self.protocol = transit, fine, protocol
        self.progress, self.checkpoint = progress, checkpoint
        self.crew = Crew(Fields((transit, fine)), engine)

    def run(self, source: Starts) -> LimitSets:
        """Go from starts to limit sets."""
        with self.progress.stage("following orbits", len(source)):
            return self._run(source)

    def _run(self, source: Starts) -> LimitSets:
        given = {"transit": self.transit, "fine": self.fine, "protocol": self.protocol, "source": source}
        state = self.checkpoint.begin(given, _STATE)
        if state is None:
            self.crew.forget()
            self._begin(source)
        else:
            self._go_on(state)
        while True:
            while self._admit() or len(self.native) or len(self.claimants):
                self._step()
                self._settle()
                self._report()
                if self.checkpoint.due:
                    self.checkpoint.keep(self._state())
                    self.crew.forget()
            audits, withdrawn = self.auditor.reopened(self.ledger, self.catalogue, self.watch.curves)
            if self.statistical is not None and not len(audits):  # whose orbits have no label until they have ended
                withdrawn = torch.cat([withdrawn, self.statistical.withdrawn(self.ledger)])
            if not len(audits) + len(withdrawn):
                break
            self.claimants = self._joined_by(self.claimants, audits)
            self.native = self._joined_by(self.native, withdrawn)
        notes = (*self._name_what_moves(), *([self.raised.sentence] if self.raised else []))
        ledger, cost = self.ledger, self._spent()
        orbits = ledger.orbits(self.spread, self.protocol, cost)
        limits = assemble(self.catalogue, orbits, ledger.set)
        audit = self.auditor.result() if self.protocol.capture else None
        if audit is not None and self.statistical is not None:
            audit = replace(audit, statistical=self.statistical.seen(ledger))
        return replace(limits, audit=audit, notes=notes)

    def _begin(self, source: Starts) -> None:
        rules, transit = self.protocol, self.transit
        sample = source.block(transit, 0, min(len(source), rules.stopping.spread_sample))
        self.spread, self.centre = spread_of(sample), centre_of(sample)
        self.good, self.raised = sample[torch.linspace(0, len(sample) - 1, _GOOD).long()], Raised()
        self.catalogue = Catalogue(self.fine, rules, self.spread, torch.finfo(transit.dtype).eps)
        self.auditor = CaptureAuditor(rules.audit if rules.capture else 0.0, rules.auditing)
        self.ledger = Ledger.blank(len(source), sample[:1].to(self.fine.dtype))
        self.watch = CurveWatch(transit, self.catalogue, rules)
        self.statistical: StatisticalCapture | None = None
        if rules.capture and pays(len(source), transit.latent_dim, rules.max_wrong, rules.statistics):
            self.statistical = StatisticalCapture(len(source), transit.device, rules.max_wrong, rules.statistics)
        order = None if self.statistical is None else self.statistical.order
        self.queue = Queue(transit, source, width_for(transit), order, None if order is None else self.ledger.ends)
        self.native = Rows.fresh(*self.queue.take(0), rules)
        self.claimants = Rows.fresh(self.native.orbit, self.native.z.to(self.fine.dtype), rules)
        self.coarse_judge = Judge(rules, self.spread, self.centre)
        second = replace(rules, tolerance=rules.stopping.second_look)
        self.fine_judge = Judge(second, self.spread, self.centre.to(torch.float64))
        self.evaluations = self.surplus = self.reported = 0
        self.round = rules.rounds.steps
        self.ended = torch.zeros(0, dtype=torch.int64, device=self.native.orbit.device)

    def _state(self) -> dict[str, Any]:
        """All that another process needs to go on after this round, and what has been found out about memory."""
        sizes = [(field.batches.usual, field.batches.fits) for field in (self.transit, self.fine)]
        return {"sizes": sizes} | {name: value for name, value in vars(self).items() if name not in _GIVEN}

    def _go_on(self, state: dict[str, Any]) -> None:
        for field, found in zip((self.transit, self.fine), state.pop("sizes"), strict=True):
            field.batches.usual, field.batches.fits = found
        vars(self).update(state)
        self.progress.advance(self.reported)

    # -- admit -------------------------------------------------------------------------------------------------------

    def _admit(self) -> int:
        """Count how many new starts the next round begins with."""
        self.fresh = 0
        if not len(self.queue):
            return 0
        admitted = self.queue.taken
        under_way = len(self.native) + len(self.claimants)
        admissible = len(self.ledger)
        if self.statistical is not None:
            if admitted == self.statistical.admissible and not under_way:
                self.statistical.next_part(self.ledger, self.catalogue)
            admissible = self.statistical.admissible
        unsettled = int((self.ledger.looked[self.native.orbit] == 0).sum()) + len(self.claimants)
        rules = self.protocol.rounds
        if admitted and unsettled > rules.unsettled * admitted:
            return 0
        room = (
            min(rules.most_under_way, max(rules.pilot, rules.numbers_under_way // self.transit.latent_dim)) - under_way
        )
        wanted = rules.growth * admitted if admitted else rules.pilot
        if not self.protocol.capture:
            wanted = len(self.queue)
        self.fresh = max(0, min(wanted, room, admissible - admitted))
        return self.fresh

    # -- step --------------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Every row makes up to R steps, in parts; what ends is in ``self.ended``."""
        if not self.fresh and not len(self.queue):
            self.round = min(2 * self.round, self.protocol.rounds.longest)
        parts = list(self._parts())
        none = [self.native.keep(slice(0, 0)), self.claimants.keep(slice(0, 0))]
        paused: tuple[list[Rows], list[Rows]] = ([none[0]], [none[1]])
        ended = [self.native.orbit[:0]]
        head = Round(
            self.round,
            (self.coarse_judge, self.fine_judge),
            Frozen.of(self.catalogue) if self.protocol.capture else None,
            None if self.statistical is None else self.statistical.library,
            self.good,
        )
        for followed in self.crew.follow(parts, head):
            paused[followed.fine].append(followed.paused)
            ended.append(self._ended(followed))
        self.native, self.claimants = (_in_order(rows) for rows in paused)
        self.ended = torch.cat(ended).sort().values

    def _parts(self) -> Iterator[Part]:
        """All rows of this round: those that go on, and those that begin."""
        index, z = self.queue.take(self.fresh)
        rows = self.native.joined(Rows.fresh(index, z, self.protocol)) if len(index) else self.native
        for orbit, part in cut(rows, self.transit, self.protocol.rounds):
            guess = None if self.statistical is None else self.statistical.guess(orbit, part.z)
            yield Part(False, orbit, part, self.ledger.followed[orbit], self.watch.records.part(orbit), guess)
        for orbit, part in cut(self.claimants, self.fine, self.protocol.rounds):
            yield Part(True, orbit, part, self.ledger.followed[orbit])

    def _ended(self, followed: Followed) -> Tensor:
        """Take over what became of a part, and return the orbits that have ended."""
        self.evaluations += followed.evaluations
        self.surplus += followed.surplus
        self.raised.add(followed.raised)
        orbit, rows = followed.orbit, followed.ended
        ended = orbit[rows]
        self.ledger.end(ended, followed.ends, rows)
        self.ledger.capture(ended, followed.set[rows])
        if followed.records is not None:
            self.watch.records.put(orbit, followed.records)
        if self.statistical is not None and followed.guess is not None:
            self.statistical.put(orbit, followed.guess)
            self.ledger.sample(ended, followed.guess.set[rows])
        return ended

    # -- settle ------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Settle what the ends of this round show."""
        ledger = self.ledger
        self._note_arrival(self.ended[ledger.captured[self.ended] | ledger.likely[self.ended]])
        audits = self.auditor.draw(ledger, self.ended)
        open_rows = self.ended[ledger.set[self.ended] < 0]
        claims = ledger.among(open_rows, Status.CONVERGED, Status.PERIODIC, Status.SLOW)
        onward = settle_claims(self.catalogue, ledger, claims)
        for orbit, number in self.watch.found(ledger, self.native, self.ended, self._spent().total - self.surplus):
            self._on_curve(orbit, number)
        self.watch.watch(ledger, self.native)
        self.claimants = self._joined_by(self.claimants, torch.cat([audits, onward]))

    def _joined_by(self, pool: Rows, rows: Tensor) -> Rows:
        """The pool with these orbits, which go on from where they ended."""
        ends = self.ledger.ends
        return pool.joined(Rows.fresh(rows, ends.points[rows].to(pool.z), self.protocol, ends.steps[rows]))

    def _report(self) -> None:
        """Tell how many starts are done with; one whose claim is being confirmed, or that is audited, is not."""
        done = self.queue.taken - len(self.native) - len(self.claimants)
        self.progress.advance(max(0, done - self.reported))
        self.reported = max(done, self.reported)

    def _note_arrival(self, rows: Tensor) -> None:
        """The distance of a captured orbit to its set is known, not estimated, and so is the period.

        An orbit whose claim is confirmed ends where it made it.
        """
        if len(rows):
            claimants, points = self.ledger.claimed(rows)
            near = self.catalogue.distance(points, self.ledger.set[claimants]) <= self.catalogue.nearby
            self.ledger.confirm(claimants, near)
            self.ledger.captured[claimants[near]] = False
            ends, numbers = self.ledger.ends, self.ledger.set[rows]
            ends.error[rows] = self.catalogue.distance(ends.points[rows], numbers)
            ends.period[rows] = torch.tensor([one.period for one in self.catalogue.sets], device=rows.device)[numbers]
            self.ledger.on_curve[rows] = (
                torch.isin(numbers, self.catalogue.curve_numbers()) & self.ledger.captured[rows]
            )

    def _on_curve(self, orbit: int, number: int) -> None:
        """This orbit, whose record shows a closed curve, has ended."""
        ledger, at = self.ledger, (self.native.orbit == orbit).nonzero().squeeze(1)
        ledger.set[orbit], ledger.captured[orbit], ledger.on_curve[orbit] = number, False, True
        if len(at):
            rows = self.native.keep(at)
            ends = ledger.ends
            ends.points[orbit], ends.steps[orbit] = rows.z[0].to(ends.points), rows.t[0]
            ends.status[orbit], ends.period[orbit] = int(Status.QUASIPERIODIC), 0
            with self.transit.guest():
                ends.residual[orbit] = (self.transit.bare(rows.z) - rows.z).flatten().norm().to(torch.float64)
            self.evaluations += 1
            self.native = self.native.keep(self.native.orbit != orbit)

    # -- what is said at the end -------------------------------------------------------------------------------------

    def _name_what_moves(self) -> tuple[str, ...]:
        """Tell how some of the orbits move that found no limit set, at a small share of what they have cost."""
        rows = self.ledger.among((self.ledger.set < 0).nonzero().squeeze(1), *MOVING)
        affordable = int(_NAMING_SHARE * (self._spent().map - self.surplus) / (1 + JVP_WEIGHT))
        steps = min(_NAMING_STEPS, affordable)
        if not len(rows) or steps < LEAST_STEPS:
            return ()
        points = self.ledger.ends.points[rows[: min(_NAMED, affordable // steps)]]
        followed = motion(self.transit, points, steps=steps)
        self.catalogue.cost += followed.cost
        return (followed.sentence,)

    def _spent(self) -> Cost:
        return Cost(map=self.evaluations) + self.catalogue.cost + self.watch.cost


def _in_order(parts: list[Rows]) -> Rows:
    rows = parts[0].joined(*parts[1:])
    return rows.keep(rows.orbit.argsort())
