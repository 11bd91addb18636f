"""This file leads from a few measurements to a protocol: rules in plain sight, each with the sentence that gives its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from separatrix.cost import VJP_WEIGHT
from separatrix.orbits import Fates, Status
from separatrix.protocol import Protocol

PATIENCE = 3600.0  # seconds for a thousand starts; a search that would take longer is to be tried small first
_STARTS = 1000
_FIRST_LOOK = 600.0  # seconds that a first search may take
_FEWEST_STARTS = 20
_MARGIN = 2  # a budget is this many times the predicted number of steps
_LARGEST_BUDGET = 1_000_000
_JACOBIANS = 1  # of a candidate that is polished, at least: one at the end
_LOST = (Status.DIVERGED, Status.NONFINITE)


@dataclass(frozen=True)
class Advice:
    """It tells how to search a field.

    Attributes:
        preset: ``"default"`` or ``"paper-foundation"``.
        protocol: the suggested rules, complete.
        steps: of one orbit: T = log ε/log ρ, in which a distance of one spread shrinks to the tolerance ε at the
            largest ρ where the pilot orbits ended, or the pilot's own median where that is more. None if ρ is 1 or more, or
            unknown.
        seconds: for the orbits of a thousand starts on this machine, roughly.
        starts: a thousand, or as many as take about ten minutes.
        reasons: sentences.
        polishing: map evaluations that it takes to polish each candidate, at least: one Jacobian, 2k for k latent
            dimensions. None where they are not formed (k above 512) or the protocol does not
            polish. A search has a candidate or more for each limit set; how many cannot be known before.
        prediction: the steps in words, with where they come from.
        more_than: ``steps`` is only known to be exceeded: some pilot orbits still moved then, which ρ does not explain.
    """

    preset: str
    protocol: Protocol
    steps: int | None
    seconds: float
    starts: int
    reasons: tuple[str, ...]
    polishing: int | None = None
    prediction: str = ""
    more_than: bool = False


def predicted_steps(radius: float, tolerance: float) -> int | None:
    """T = log ε/log ρ; None where ρ ≥ 1 or unknown.

    >>> predicted_steps(0.5, 1e-5), predicted_steps(0.0, 1e-5), predicted_steps(1.01, 1e-5)
    (17, 1, None)
    """
    if not 0 <= radius < 1:
        return None
    return 1 if radius < tolerance else math.ceil(math.log(tolerance) / math.log(radius))


def advise(
    rules: Protocol,
    *,
    radii: Sequence[float],
    statuses: Mapping[Status, int],
    pilot_steps: int,
    steps_median: float,
    per_second: float,
    rounding: float | None,
    latent_dim: int,
    quantised: bool = False,
) -> Advice:
    """A protocol from what a pilot saw.

    Args:
        rules: the protocol to begin with.
        radii: ρ(J) where the pilot orbits ended.
        statuses: how many of them ended how.
        pilot_steps: the pilot's budget.
        steps_median: of the pilot orbits that reached a limit set; NaN if none did.
        per_second: map evaluations per second.
        rounding: typical error of f as a share of the spread; None if unknown.
        latent_dim: number of latent coordinates k.
        quantised: f is piecewise constant, so ρ, which is 0 almost everywhere, predicts nothing.

    >>> advice = advise(Protocol(), radii=[0.999], statuses={Status.BUDGET: 16}, pilot_steps=200,
    ...                 steps_median=float("nan"), per_second=1e4, rounding=1e-7, latent_dim=32)
    >>> advice.preset, advice.steps, advice.protocol.max_steps
    ('default', 11508, 25000)
    """
    orbits = sum(statuses.values())
    reached = sum(count for status, count in statuses.items() if status.reached_limit_set)
    lost = sum(statuses.get(status, 0) for status in _LOST)
    moving = orbits - reached - lost
    slowest = math.nan if quantised else max(radii, default=math.nan)
    by_rate = predicted_steps(slowest, rules.tolerance)
    # ρ is mostly that of the limit sets that were reached. Orbits that have outlasted its T by more than the time in which
    # their end is judged go elsewhere, so it says nothing about them.
    outlasted = bool(moving) and by_rate is not None and by_rate <= pilot_steps
    refuted = outlasted and by_rate is not None and _MARGIN * by_rate <= pilot_steps
    more_than = outlasted or (quantised and bool(moving))
    steps, prediction = _prediction(
        by_rate, steps_median, pilot_steps, moving, more_than=more_than, quantised=quantised
    )
    why = f" and do not contract (ρ up to {slowest:.4g})"
    if quantised:
        why = ", and f is piecewise constant, so ρ says nothing about how long"
    elif refuted:
        why = f", though ρ = {slowest:.4g} {'where others arrived' if reached else 'at the end points'} predicts {by_rate:,} steps"
    preset, per_orbit = "default", float(rules.max_steps)
    reasons = [f"Within {pilot_steps} steps {Fates.of_statuses(statuses).told('pilot orbit')}."]
    if lost:
        which = max(_LOST, key=lambda status: statuses.get(status, 0))
        reasons.append(f"{lost} were lost ({which.sentence}): {which.remedy}.")
    if moving and steps is not None and by_rate is not None and not refuted:
        # Until the end of an orbit is certain takes longer than T, which shows where even the pilot is longer than that.
        per_orbit = min(_MARGIN * by_rate if outlasted else steps, _LARGEST_BUDGET)
        late = f", and up to {per_orbit:,} until the end is certain" if outlasted else ""
        reasons.append(f"{moving} still move and contract: ρ = {slowest:.4g} predicts about {by_rate:,} steps{late}.")
        if _MARGIN * per_orbit > rules.max_steps:
            rules = replace(rules, max_steps=_rounded_up(int(_MARGIN * per_orbit)))
            reasons.append(f"That needs a larger budget: {rules.max_steps:,} steps.")
    elif moving and not (refuted and reached) and _seconds(moving / orbits * rules.max_steps, per_second) > PATIENCE:
        hours = _seconds(moving / orbits * rules.max_steps, per_second) / 3600
        preset, rules = "paper-foundation", Protocol.paper_foundation()
        per_orbit = rules.max_steps
        reasons.append(
            f"{moving} still move{why}; to follow them to the default budget "
            f"would take {hours:,.0f} hours for a thousand starts: look at {rules.max_steps} steps of a few starts "
            "first, and at the status of every orbit, before believing any count."
        )
    elif moving:
        reasons.append(
            f"{moving} still move{why}; the budget of {rules.max_steps:,} steps, with which they are counted here, will "
            "show whether they ever settle."
        )
    if rounding is None:
        reasons.append(
            "No float64 copy of the model can be made, so limit sets are polished only to its own precision."
        )
    elif rounding > rules.tolerance and rules.stop == "error":
        rules = replace(rules, precision="float64")
        reasons.append(
            f"Rounding moves f(z) by {rounding:.1g} of the spread, more than the tolerance {rules.tolerance:g}: "
            "iterate in float64."
        )
    settled = reached * (0.0 if math.isnan(steps_median) else steps_median)
    seconds = _seconds((settled + moving * per_orbit) / orbits, per_second)
    return Advice(
        preset,
        rules,
        steps,
        seconds,
        _affordable(seconds),
        tuple(reasons),
        _polishing(rules, latent_dim),
        prediction,
        more_than=more_than,
    )


def _prediction(
    by_rate: int | None, steps_median: float, pilot_steps: int, moving: int, *, more_than: bool, quantised: bool
) -> tuple[int | None, str]:
    """The steps of an orbit, and the words for them: never fewer than the pilot has shown."""
    if more_than:
        return pilot_steps, f"more than {pilot_steps:,}: {moving} pilot orbits still moved then"
    seen = 0 if math.isnan(steps_median) else math.ceil(steps_median)
    if quantised:
        # Without orbits that arrived there is nothing to say: ρ is no rate here.
        words = f"about {seen:,}, the median of the pilot orbits" if seen else "unknown"
        return seen or None, f"{words} (f is piecewise constant, so ρ predicts none)"
    if by_rate is None:
        return None, "unknown, the map does not contract there"
    if seen > by_rate:
        return seen, f"about {seen:,}, the median of the pilot orbits (log ε/log ρ gives {by_rate:,})"
    return by_rate, f"about {by_rate:,}, by log ε/log ρ"


def _polishing(rules: Protocol, latent_dim: int) -> int | None:
    return (
        int(_JACOBIANS * VJP_WEIGHT * latent_dim)
        if rules.polish and latent_dim <= rules.polishing.dense_limit
        else None
    )


def _seconds(steps: float, per_second: float) -> float:
    """For a thousand starts that take so many steps on average."""
    return _STARTS * steps / per_second


def _affordable(seconds: float) -> int:
    """Starts for a first look, to one significant digit, given the time for a thousand."""
    if seconds <= _FIRST_LOOK:
        return _STARTS
    count = max(_FEWEST_STARTS, int(_STARTS * _FIRST_LOOK / seconds))
    unit = int(10 ** (len(str(count)) - 1))
    return count // unit * unit


def _rounded_up(number: int) -> int:
    """Round up to two significant digits, halves of the first: 23 016 becomes 25 000."""
    unit = 5 * int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // unit) * unit
