"""When is an orbit finished, and how did it end? The stop rules, on all active orbits at once.

The state of an orbit is a few numbers and one earlier point (its *anchor*), never its path:

* the ratio of successive steps over a short window estimates the contraction rate r, and ‖step‖/(1 − r) the distance to
  the limit; a small step alone is not nearness;
* returns to the anchor, lap after lap in the same number of steps, are a cycle once the ratio of their gaps says that it
  is near; a point approached from alternating sides returns as well, but not closer than it is to itself half a lap on;
* divergence is judged by the limit: an orbit that leaves every bounded region until its numbers overflow or its budget ends has
  diverged, and so has one that marches straight on without slowing down. Being far out is no proof: the transient of a
  strongly non-normal sink may take an orbit any number of spreads away before it comes back.

Most steps of most orbits are long, far from every earlier point and far from the end of the budget: nothing can come of
them. They are only noted down (a few operations per step, however many orbits there are).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import torch
from torch import Tensor

from separatrix.orbits._looks import Closely, worth
from separatrix.orbits._status import Status
from separatrix.protocol import Protocol

_TINY = torch.finfo(torch.float64).tiny  # keeps logarithms and quotients finite


@dataclass
class OrbitState:
    """Per-orbit memory of the judge, first axis = active orbit; see `Judge`."""

    log_steps: Tensor  # (b, window + 2) natural logarithms of the last steps, a ring by step number
    rate: Tensor  # (b,) last rate measured above the precision floor; up to date where ``stalled`` > 0
    streak: Tensor  # (b,) steps of the present quiet stretch that met the stop rule
    stalled: Tensor  # (b,) consecutive steps at the precision floor
    due: Tensor  # (b,) step at which the anchor moves or the budget ends, whichever is first
    anchor: Tensor  # (b, *latent) an earlier point of the orbit
    anchor_step: Tensor  # (b,) when it was there
    anchor_log_step: Tensor  # (b,) how long its step was then
    path: Tensor  # (b,) path length since the anchor
    period: Tensor  # (b,) time of the last return to an anchor, 0 for none
    gap: Tensor  # (b,) distance of that return
    closest: Tensor  # (b,) nearest that the orbit has come to its anchor since, before returning to it
    budget: Tensor  # (b,) int64 steps after which the orbit ends in any case

    @classmethod
    def fresh(cls, z: Tensor, protocol: Protocol, t: Tensor) -> Self:
        """For orbits at step ``t`` ``(b,)``, of which nothing earlier is known."""
        ring = protocol.stopping.window + 2  # so that the rate of the step before the last can still be told
        zeros = torch.zeros(len(z), dtype=torch.float64, device=z.device)
        integers = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return cls(
            log_steps=zeros.new_full((len(z), ring), torch.nan),
            rate=torch.full_like(zeros, torch.nan),
            streak=integers.clone(),
            stalled=integers.clone(),
            due=integers.clone(),
            anchor=z.clone(),
            anchor_step=t.clone(),
            anchor_log_step=torch.full_like(zeros, torch.inf),
            path=zeros.clone(),
            period=integers.clone(),
            gap=torch.full_like(zeros, torch.inf),
            closest=torch.full_like(zeros, torch.inf),
            budget=integers + protocol.max_steps,
        )

    def keep(self, chosen: Tensor | slice) -> Self:
        """Only the chosen orbits."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def joined(self, *others: Self) -> Self:
        """These orbits and the others."""
        parts = (self, *others)
        return type(self)(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(self)))


@dataclass
class StepReport:
    """It tells what the judge found at one step, per active orbit; `Judge.complete` fills in what is only asked of ends."""

    status: Tensor  # (b,) uint8
    residual: Tensor  # (b,) float64 ‖f(z_t) − z_t‖
    floor: Tensor  # (b,) float64 precision floor of the step
    rate: Tensor | None = None  # (b,) float64
    error: Tensor | None = None  # (b,) float64
    period: Tensor | None = None  # (b,) int64

    def where(self, chosen: Tensor, other: Self) -> Self:
        """Take this report on the chosen rows and the other one on the rest; both are complete."""
        columns = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return type(self)(*(torch.where(chosen, mine, theirs) for mine, theirs in columns))


class _Cycle(NamedTuple):
    """Orbits seen to return."""

    confirmed: Tensor  # (b,) bool: on a cycle of ``state.period`` steps
    error: Tensor  # (b,) float64 distance to it


class Judge:
    """Applies a protocol's stop rule; holds no per-orbit state itself."""

    def __init__(self, protocol: Protocol, spread: float, centre: Tensor) -> None:
        self.protocol, self.rules = protocol, protocol.stopping
        self.centre = centre
        self.spread = spread
        self.tolerance = protocol.tolerance * spread
        squared = protocol.stop == "squared_step"
        self._short = protocol.tolerance**0.5 if squared else self.tolerance  # steps no longer are looked at closely

    def step(self, state: OrbitState, t: Tensor, z: Tensor, f_z: Tensor) -> StepReport:
        """Update ``state`` in place with the step from z_t to f(z_t) and say which orbits are finished."""
        flat, image = z.flatten(1), f_z.flatten(1)
        length = (image - flat).norm(dim=1).to(torch.float64)
        floor = (self.rules.floor_in_eps * torch.finfo(z.dtype).eps * flat.norm(dim=1)).to(torch.float64)
        gap = (image - state.anchor.flatten(1)).norm(dim=1).to(torch.float64)
        state.log_steps.scatter_(1, _slot(state, t), _log(length))
        state.path += length
        report = StepReport(torch.full_like(t, int(Status.RUNNING), dtype=torch.uint8), length, floor)
        eventful = torch.minimum(length, gap) <= floor.clamp(min=self._short)
        eventful |= (t >= state.due) | ~length.isfinite()
        if worth(eventful):
            self._look(state, t, z, f_z, gap, report)
        else:
            state.streak.zero_()
            state.stalled.zero_()
            state.closest = torch.minimum(state.closest, gap)
        return report

    def complete(self, state: OrbitState, t: Tensor, report: StepReport) -> None:
        """Fill in the columns that `step` left open, from the state after it."""
        if report.rate is None:
            report.rate = _rate(state, t)
        if report.error is None:
            report.error = self._error(report.rate, report.residual, report.floor)
        if report.period is None:
            report.period = torch.ones_like(t)

    def _look(self, state: OrbitState, t: Tensor, z: Tensor, f_z: Tensor, gap: Tensor, report: StepReport) -> None:
        """All rules, for all orbits."""
        rules, status, length, floor = self.rules, report.status, report.residual, report.floor
        image = f_z.flatten(1)
        at_floor = length <= floor
        self._update_rate(state, t, at_floor, floor)
        error = self._error(state.rate, length, floor)
        # At rest to the last digit since the start: there is no rate to extrapolate with, and nothing to add.
        at_rest = length == 0
        error = torch.where(at_rest | (at_floor & state.rate.isnan()), length, error)
        state.stalled = torch.where(at_floor, state.stalled + 1, 0)

        period = torch.ones_like(t)
        if self.protocol.stop == "squared_step":
            status.masked_fill_(length.square() < self.protocol.tolerance, int(Status.CONVERGED))
        else:
            # A rate measured across a long jump says nothing about the place the orbit has jumped to (an orbit that lands
            # near an unstable point moves away from it), so the whole window must be quiet. In a quiet window a step
            # that grows, as non-normal maps make it do, is no evidence either way.
            quiet = _longest_step(state, last=t) <= self.tolerance
            # A fast direction that has just died out must not hide a slow one: the last two steps count as well.
            latest = (length / state.log_steps.gather(1, _slot(state, t - 2)).squeeze(1).exp()).sqrt()
            small = error <= self.tolerance
            met = small & (length <= self.tolerance * (1 - latest))
            state.streak = torch.where(quiet, state.streak + met, 0)
            stuck = state.stalled >= rules.stall_patience
            status.masked_fill_(stuck, int(Status.SLOW))
            settled = stuck & (error <= max(rules.stall_error * self.spread, self.tolerance))
            settled |= (state.streak >= rules.patience) | at_rest
            settled |= (state.stalled >= rules.rest_patience) & small
            status.masked_fill_(settled, int(Status.CONVERGED))
            cycle = self._look_for_cycle(state, t, image, length, floor, gap)
            if cycle is not None:
                returned = cycle.confirmed & (status == int(Status.RUNNING))
                status.masked_fill_(returned, int(Status.PERIODIC))
                period = torch.where(returned, state.period, period)
                error = torch.where(returned, cycle.error, error)
        out_of_budget = (t >= state.budget) & (status == int(Status.RUNNING))
        broken = ~length.isfinite()
        if worth(unfinished := out_of_budget | broken):
            why = self._why_unfinished(state, t, image, length)
            away = (z.flatten(1) - self.centre).norm(dim=1) > self.protocol.divergence * self.spread
            why = torch.where(broken, int(Status.NONFINITE), why).masked_fill(away, int(Status.DIVERGED))
            status.copy_(torch.where(unfinished, why, status))
            period.masked_fill_(unfinished, 0)
        self._move_anchor(state, t, z, length)
        report.rate, report.error, report.period = state.rate, error, period

    def _error(self, rate: Tensor, length: Tensor, floor: Tensor) -> Tensor:
        """Estimated distance to the limit."""
        positive = length.clamp(min=_TINY)
        # The rounding of two steps shows in their ratio: near the floor a rate of 1 must not pass for 0.99999.
        slowest = rate + floor / (self.rules.floor_in_eps * self.rules.window * positive)
        return torch.where(slowest < 1, length / (1 - slowest), torch.inf)

    @staticmethod
    def _update_rate(state: OrbitState, t: Tensor, at_floor: Tensor, floor: Tensor) -> None:
        """Below the floor the ratio of steps is noise: the last rate measured above it, if there is one, stays valid."""
        before = torch.where(state.stalled > 0, state.rate, _rate(state, t - 1))
        was_above = _longest_step(state, last=t - 1) > floor
        state.rate = torch.where(at_floor & ~(before.isnan() & was_above), before, _rate(state, t))

    def _look_for_cycle(
        self, state: OrbitState, t: Tensor, image: Tensor, length: Tensor, floor: Tensor, gap: Tensor
    ) -> _Cycle | None:
        """Is f(z), back at the anchor lap after lap, on a cycle? And how far is it from it?

        Gaps that shrink by r per lap leave the cycle at gap/(1 − r). It is a cycle of this period, and not of a divisor of it
        or a point, only if the orbit does not come nearly as close to the anchor within a lap.
        """
        elapsed = t + 1 - state.anchor_step
        back = (gap <= self.tolerance) | (gap <= floor)
        back &= (elapsed > 1) & (elapsed <= self.protocol.max_period) & (self.rules.apart * gap < state.closest)
        if not worth(back):
            state.closest = torch.minimum(state.closest, gap)
            return None
        again = back & (state.period == elapsed)
        ratio = gap / state.gap.clamp(min=_TINY)
        error = torch.where(ratio < 1, gap / (1 - ratio), torch.inf)
        error = torch.where((gap <= floor) & (state.gap <= floor), gap, error)
        confirmed = again & (error <= floor.clamp(min=self.tolerance))
        confirmed &= self.rules.apart * error < state.closest
        state.closest = torch.where(back, state.closest, torch.minimum(state.closest, gap))
        next_lap = back & ~confirmed
        if worth(next_lap):
            state.period = torch.where(next_lap, elapsed, state.period)
            state.gap = torch.where(next_lap, gap, state.gap)
            # The next lap starts here: the anchor becomes the point of this return.
            self._set_anchor(state, next_lap, image.reshape(state.anchor.shape), t + 1, length)
        return _Cycle(confirmed, error)

    def _move_anchor(self, state: OrbitState, t: Tensor, z: Tensor, length: Tensor) -> None:
        least = self.rules.anchor_life
        life = torch.maximum((state.anchor_step // 4).clamp(min=least), state.period)
        last = state.budget - 2 * self.rules.window  # what the end is compared with must lie before its window
        old = (t - state.anchor_step >= life) & (t < last)
        if worth(old):
            state.period = torch.where(old, 0, state.period)
            self._set_anchor(state, old, z, t, length)
            state.path = torch.where(old, length, state.path)  # the anchor's own step belongs to its path
            state.closest = torch.where(old, length, state.closest)
            life = torch.where(old, (t // 4).clamp(min=least), life)
        due = state.anchor_step + life
        state.due = torch.where(due < last, due, state.budget)

    @staticmethod
    def _set_anchor(state: OrbitState, where: Tensor, z: Tensor, t: Tensor, length: Tensor) -> None:
        chosen = Closely(where)
        chosen.put(state.anchor, chosen.of(z))
        state.anchor_step = torch.where(where, t, state.anchor_step)
        state.anchor_log_step = torch.where(where, _log(length).squeeze(1), state.anchor_log_step)
        state.path = torch.where(where, 0.0, state.path)
        state.closest = torch.where(where, torch.inf, state.closest)

    def _why_unfinished(self, state: OrbitState, t: Tensor, image: Tensor, length: Tensor) -> Tensor:
        """Status of orbits whose budget is used up."""
        rules = self.rules
        straight = (image - state.anchor.flatten(1)).norm(dim=1) / state.path.clamp(min=1e-300)
        marching = (straight >= rules.straight) & (state.path >= self.spread) & ~(state.rate < 1 - rules.unslowed)
        # Along a connection between saddles bounded orbits are slow and straight as well.
        marching &= (image - self.centre).norm(dim=1) > rules.far * self.spread
        age = (t - state.anchor_step).clamp(min=1)
        decay = (_log(length).squeeze(1) - state.anchor_log_step) / age
        # Contraction shows as: every recent step is shorter than the mean since the anchor, and that than the first.
        mean = state.path / (age + 1)
        recent = _longest_step(state, last=t)
        shrinking = (recent < mean) & (mean < state.anchor_log_step.exp()) & (state.rate < 1)
        small = length < rules.small_step * self.spread
        shrinking &= small | (t < 2 * rules.window)
        algebraic = -decay * t <= rules.algebraic
        status = torch.full_like(t, int(Status.WANDERING), dtype=torch.uint8)
        status.masked_fill_(shrinking & ~algebraic, int(Status.BUDGET))
        status.masked_fill_(shrinking & algebraic & small, int(Status.SLOW))
        return status.masked_fill_(marching, int(Status.DIVERGED))


def _slot(state: OrbitState, t: Tensor) -> Tensor:
    """``(b, 1)``: where step t is in the ring."""
    return (t % state.log_steps.shape[1]).unsqueeze(1)


def _log(length: Tensor) -> Tensor:
    """``(b, 1)``."""
    return length.clamp(min=_TINY).log().unsqueeze(1)


def _rate(state: OrbitState, t: Tensor) -> Tensor:
    """Mean ratio of successive steps over the window that ends with step t, the newest in the ring or the one before it;
    NaN while there is one step only."""
    span = t.clamp(max=state.log_steps.shape[1] - 2)
    ratio = (state.log_steps.gather(1, _slot(state, t)) - state.log_steps.gather(1, _slot(state, t - span))).squeeze(1)
    return (ratio / span).exp()


def _longest_step(state: OrbitState, last: Tensor) -> Tensor:
    """Longest step of the window that ends with step ``last``, the newest in the ring or the one before it."""
    outside = torch.cat((_slot(state, last + 1), _slot(state, last + 2)), dim=1)
    return state.log_steps.scatter(1, outside, -torch.inf).nan_to_num(nan=-torch.inf).amax(dim=1).exp()
