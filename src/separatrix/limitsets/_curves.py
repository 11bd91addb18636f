"""Closed curves: orbits that never converge because they go round and round on one invariant loop, or on several in turn.

Counting their end points as attractors turns one set into hundreds. Orbits that have moved for long are recorded while they run, which
costs no evaluations (`separatrix.limitsets._records`); here a record is certified (`separatrix.numerics._closed_curve`), and a new
curve is tested for stability. A curve is counted only when its record has *settled*: an orbit that still creeps towards a curve lies on
a loop of its own meanwhile, which is no limit set. After a Neimark–Sacker bifurcation of a cycle of period p the curves are those of
f^p: one set of p loops, visited in turn.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.cost import Cost
from separatrix.field import LatentField
from separatrix.limitsets._catalogue import Catalogue, LimitSet
from separatrix.limitsets._motion import Exponents, lyapunov_exponents
from separatrix.limitsets._sets import Kind
from separatrix.numerics import ClosedCurve, closed_curve, distance_to_curve
from separatrix.numerics._closed_curve import nearest_chord
from separatrix.numerics.counter_random import gaussian
from separatrix.protocol import Curves, Loops


class CurveSearch:
    """Certifies closed curves from records of orbits and adds them to a catalogue."""

    def __init__(self, field: LatentField, catalogue: Catalogue) -> None:
        self.field, self.catalogue = field, catalogue
        self.rules, self.loop_rules = catalogue.protocol.curves, catalogue.protocol.loops
        self.cost = Cost()
        self._in_vain = 0.0  # evaluations spent on tests of what turned out to be no curve

    def examine(self, path: Tensor, spent: float) -> int:
        """Return the number of the curve that the record ``(t, *latent)`` of one orbit runs on, −1 for none; a longer record may tell more.

        ``spent`` evaluations is what the whole search has cost so far.

        Cost: none, unless the record passes for a new curve; then up to 4096 evaluations and 500 steps with two tangents.
        """
        rules, orbit = self.rules, path.flatten(1).to("cpu", torch.float64).numpy()
        if not np.isfinite(orbit).all():
            return -1
        for number, known in self.catalogue.curves():
            if _along(orbit, known.loops, rules.same, rules.bow):
                return number
        loops = _certified(orbit, rules, self.loop_rules)
        if not loops or self._creeps(orbit, loops):
            return -1
        joint = np.concatenate([loop.points for loop in loops])
        if any(_along(joint, known.loops, rules.same, rules.bow) for _, known in self.catalogue.curves()):
            return -1
        attracting = [one for _, one in self.catalogue.curves() if one.stable == 1]
        beside = any(_along(joint, one.loops, rules.beside, rules.bow) for one in attracting)
        patience = rules.tests_at_least * (2 if len(orbit) >= rules.longest_record else 1)
        if self._in_vain > max(rules.test_share * spent, patience):
            return -1
        if len(self.catalogue.curves()) >= rules.neutral_loops and all(
            one.stable != 1 for _, one in self.catalogue.curves()
        ):
            return -1  # a family of neutral loops: every orbit has its own, there is no end to certifying them
        before = self.cost.total
        found = self._tested(loops)
        if found is None or (beside and found.stable != 1):
            self._in_vain += self.cost.total - before
            return -1
        return self.catalogue.add_curve(found)

    def _tested(self, loops: list[ClosedCurve]) -> LimitSet | None:
        """Does it attract, and is it a curve at all?

        One of the two largest Lyapunov exponents on a closed curve is 0, the first if it attracts. Narrow bands of chaos pass for
        curves that do not attract, and for those that had to be sorted by their laps, which must attract to be believed.
        """
        exponents = self._exponents(loops) if self._by_laps(loops) else None
        if exponents is not None and exponents.neutral != 0:
            return None
        rate, stable = self._displaced(loops)
        if stable == 1:
            return self._described(loops, rate, 1)
        exponents = exponents or self._exponents(loops)
        if exponents is None:
            return self._described(loops, rate, stable)
        if exponents.neutral is None:
            return None
        across = float(exponents.values[1])
        if exponents.neutral != 0 or not across < -self.rules.flat:
            return self._described(loops, rate, stable)
        return self._described(loops, math.exp(across), 1, math.ceil(math.log(self.rules.decay) / across))

    def _described(self, loops: list[ClosedCurve], rate: float, stable: int, watched: int = 0) -> LimitSet:
        field = self.catalogue.field
        points = torch.from_numpy(np.concatenate([loop.points for loop in loops])).to(field.device, field.dtype)
        unknown = torch.full((1,), torch.nan, dtype=torch.complex128, device=field.device)
        return LimitSet(
            kind=Kind.CLOSED_CURVE,
            period=0 if len(loops) == 1 else len(loops),
            points=points.reshape(-1, *field.latent_shape),
            residual=math.nan,
            error=0.0,
            eigenvalues=unknown,
            radius=rate,
            norm=math.nan,
            stable=stable,
            unstable_directions=0 if stable == 1 else -1,
            loops=tuple(loops),
            watched=max(self.rules.watched, watched),
        )

    def _displaced(self, loops: list[ClosedCurve]) -> tuple[float, int]:
        """Displace points in random directions: the factor per step by which their distance changes, and whether they come back.

        1: all did; 0: one went away; −1: neither.
        """
        rules, period, diameter = self.rules, len(loops), max(loop.diameter for loop in loops)
        corners = np.concatenate([loop.points[:: max(1, period * len(loop.points) // rules.pushed)] for loop in loops])
        direction = gaussian(seed=0, first=0, count=len(corners), width=corners.shape[1])
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        pushed = torch.from_numpy(corners + rules.push * diameter * direction)
        paths = self._followed(pushed.reshape(len(corners), *self.field.latent_shape), 0, rules.return_steps)
        if not np.isfinite(paths).all():
            return math.inf, 0
        flat = paths.reshape(-1, paths.shape[-1])
        distance = _distance(flat, loops).reshape(paths.shape[:2])
        start, end, worst = distance[:, 0], distance[:, -1], distance.max(axis=0)
        # The part of the return above the curve's own resolution gives the rate.
        resolution = max(loop.length / len(loop.points) * max(loop.thinness, 1e-3) for loop in loops)
        falling = worst > rules.resolved * resolution
        steps = max(int(np.argmin(falling)) if not falling.all() else rules.return_steps - 1, 1)
        rate = float((max(worst[steps], 1e-300) / worst[0]) ** (1 / steps))
        if bool((end <= rules.returned * start.max()).all()):
            return min(rate, 1.0), 1
        return rate, 0 if bool((end > rules.left * start.max()).any()) else -1

    def _by_laps(self, loops: list[ClosedCurve]) -> bool:
        """Were the points sorted by laps, which differ by rounding?"""
        return max(loop.thinness for loop in loops) > self.loop_rules.thinness

    def _creeps(self, orbit: NDArray[np.float64], loops: list[ClosedCurve]) -> bool:
        """Does the early half of a record lie beside the loop of the late half, by more than the bow of a smooth loop over its chords?"""
        if self._by_laps(loops[:1]):
            return False
        path, time = orbit[:: len(loops)], np.arange(len(orbit[:: len(loops)]))
        half = len(path) // 2
        late = path[half:][np.argsort(loops[0].rotation * time[half:] % 1.0, kind="stable")]
        distance, chord = nearest_chord(path[:half], late)
        beside = np.maximum(distance - chord**2 * np.pi / (2 * loops[0].length), 0)
        return float(np.median(beside)) > self.rules.creep * loops[0].diameter

    def stay(self, points: Tensor, numbers: Tensor) -> Tensor:
        """``(n,)`` bool: are orbits that are at ``(n, *latent)`` still near their closed curves after many more steps?

        Cost: 288 evaluations each.
        """
        paths = self._followed(points, self.rules.later, self.rules.watched) if len(points) else ()
        near = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        for row, (path, number) in enumerate(zip(paths, numbers.tolist(), strict=True)):
            loops = self.catalogue.sets[number].loops
            allowed = self.rules.near * max(loop.diameter for loop in loops)
            near[row] = bool(np.isfinite(path).all()) and bool((_distance(path, loops) <= allowed).all())
        return near

    def _followed(self, points: Tensor, skipped: int, kept: int) -> NDArray[np.float64]:
        """``(n, kept, k)`` consecutive points after so many steps that are not looked at."""
        path = []
        z = points.to(self.field.device, self.field.dtype)
        with self.field.guest():
            for step in range(skipped + kept):
                if step >= skipped:
                    path.append(z.flatten(1).to("cpu", torch.float64))
                z = self.field.bare(z)
        self.cost += Cost(map=len(points) * (skipped + kept))
        return torch.stack(path, dim=1).numpy()

    def _exponents(self, loops: list[ClosedCurve]) -> Exponents | None:
        """The two largest Lyapunov exponents from a point of the curve; None where they cannot be had."""
        field = self.catalogue.field
        differences = field.dtype == torch.float64
        if field.latent_dim < 2 or not (field.differentiable or differences):
            return None
        point = torch.from_numpy(loops[0].points[:1]).reshape(1, *field.latent_shape)
        exponents = lyapunov_exponents(
            field, point, count=2, steps=self.rules.turned, differences=differences, rules=self.rules
        )
        self.cost += exponents.cost
        return exponents


def _certified(orbit: NDArray[np.float64], rules: Curves, loop_rules: Loops) -> list[ClosedCurve]:
    """The loops that a record ``(t, k)`` visits in turn, as few as will do; empty if it is on none."""
    for period in range(1, min(rules.most_loops, len(orbit) // loop_rules.least_points) + 1):
        loops = []
        for phase in range(period):
            loop = closed_curve(orbit[phase::period], loop_rules)
            if loop is None:
                break
            loops.append(loop)
        if len(loops) == period and _apart(loops, rules.beside):
            return loops
    return []


def _apart(loops: list[ClosedCurve], tolerance: float) -> bool:
    """Is no loop the next one over again, as each is where the record creeps?"""
    return all(
        float(np.median(distance_to_curve(after.points, loop.points))) > tolerance * loop.diameter
        for loop, after in itertools.pairwise(loops)
    )


def _distance(points: NDArray[np.float64], loops: Sequence[ClosedCurve]) -> NDArray[np.float64]:
    distance: NDArray[np.float64] = np.min([distance_to_curve(points, loop.points) for loop in loops], axis=0)
    return distance


def _along(path: NDArray[np.float64], loops: tuple[ClosedCurve, ...], tolerance: float, bow: float) -> bool:
    """Is every point within this share of the diameter of a loop, or within the bow that its polygon cuts off there?"""
    near = np.zeros(len(path), dtype=bool)
    for loop in loops:
        distance, chord = nearest_chord(path, loop.points)
        near |= distance <= tolerance * loop.diameter + bow * chord
    return bool(near.all())
