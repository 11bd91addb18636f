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
from separatrix.limitsets._motion import FLAT, Exponents, lyapunov_exponents
from separatrix.limitsets._records import LONGEST
from separatrix.limitsets._sets import Kind
from separatrix.numerics._closed_curve import (
    MIN_POINTS,
    THINNESS,
    ClosedCurve,
    closed_curve,
    distance_to_curve,
    nearest_chord,
)
from separatrix.numerics.counter_random import gaussian

NEAR = 5e-3  # of the diameter: nearer than that to an attracting curve, for a while, an orbit moves on it
LATER = 256  # steps after which an orbit that is audited must still be near its curve
WATCHED = 32  # consecutive steps an orbit must stay near a curve to be counted as moving on it
MOST_LOOPS = 8  # visited in turn
TEST_SHARE = 0.01  # of the evaluations so far that tests of curves may cost which turned out to be none
PUSH = 1e-2  # displacement of the stability test, as a share of the diameter
SAME = 2e-3  # two certified curves closer than this share of the diameter are one
NEARBY = 5e-2  # a record this near to an attracting curve, all along, is on its way to it
_TESTS_AT_LEAST = 8000.0  # evaluations for them, however short the search; twice as many for records of full length
_NEUTRAL = 4  # loops, none of which attracts, after which no more are certified
_PUSHED = 16
_RETURN_STEPS = 256
_TURNED = 500  # steps that tangents are carried along a curve
_BOW = 0.1  # how far a curve may bend away from a chord of its polygon, as a share of the chord
_DECAY = 1e-6  # to which the distance to a curve of thin basin must fall, at its mean rate, while an orbit is watched
_CREEP = 2e-5  # of the diameter: a record whose early half lies farther from the loop of its late half still moves


class CurveSearch:
    """Certifies closed curves from records of orbits and adds them to a catalogue."""

    def __init__(self, field: LatentField, catalogue: Catalogue) -> None:
        self.field, self.catalogue = field, catalogue
        self.cost = Cost()
        self._in_vain = 0.0  # evaluations spent on tests of what turned out to be no curve

    def examine(self, path: Tensor, spent: float) -> int:
        """Return the number of the curve that the record ``(t, *latent)`` of one orbit runs on, −1 for none; a longer record may tell more.

        ``spent`` evaluations is what the whole search has cost so far.

        Cost: none, unless the record passes for a new curve; then up to 4096 evaluations and 500 steps with two tangents.
        """
        orbit = path.flatten(1).to("cpu", torch.float64).numpy()
        if not np.isfinite(orbit).all():
            return -1
        for number, known in self.catalogue.curves():
            if _along(orbit, known.loops, SAME):
                return number
        loops = _certified(orbit)
        if not loops or _creeps(orbit, loops):
            return -1
        joint = np.concatenate([loop.points for loop in loops])
        if any(_along(joint, known.loops, SAME) for _, known in self.catalogue.curves()):
            return -1
        beside = any(one.stable == 1 and _along(joint, one.loops, NEARBY) for _, one in self.catalogue.curves())
        patience = _TESTS_AT_LEAST * (2 if len(orbit) >= LONGEST else 1)
        if self._in_vain > max(TEST_SHARE * spent, patience):
            return -1
        if len(self.catalogue.curves()) >= _NEUTRAL and all(one.stable != 1 for _, one in self.catalogue.curves()):
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
        exponents = self._exponents(loops) if max(loop.thinness for loop in loops) > THINNESS else None
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
        if exponents.neutral != 0 or not across < -FLAT:
            return self._described(loops, rate, stable)
        watched = max(WATCHED, math.ceil(math.log(_DECAY) / across))
        return self._described(loops, math.exp(across), 1, watched)

    def _described(self, loops: list[ClosedCurve], rate: float, stable: int, watched: int = WATCHED) -> LimitSet:
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
            watched=watched,
        )

    def _displaced(self, loops: list[ClosedCurve]) -> tuple[float, int]:
        """Displace points in random directions: the factor per step by which their distance changes, and whether they come back.

        1: all did; 0: one went away; −1: neither.
        """
        period, diameter = len(loops), max(loop.diameter for loop in loops)
        corners = np.concatenate([loop.points[:: max(1, period * len(loop.points) // _PUSHED)] for loop in loops])
        direction = gaussian(seed=0, first=0, count=len(corners), width=corners.shape[1])
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        pushed = torch.from_numpy(corners + PUSH * diameter * direction)
        paths = self._followed(pushed.reshape(len(corners), *self.field.latent_shape), 0, _RETURN_STEPS)
        if not np.isfinite(paths).all():
            return math.inf, 0
        flat = paths.reshape(-1, paths.shape[-1])
        distance = _distance(flat, loops).reshape(paths.shape[:2])
        start, end, worst = distance[:, 0], distance[:, -1], distance.max(axis=0)
        # The part of the return above the curve's own resolution gives the rate.
        resolution = max(loop.length / len(loop.points) * max(loop.thinness, 1e-3) for loop in loops)
        falling = worst > 10 * resolution
        steps = max(int(np.argmin(falling)) if not falling.all() else _RETURN_STEPS - 1, 1)
        rate = float((max(worst[steps], 1e-300) / worst[0]) ** (1 / steps))
        if bool((end <= 0.2 * start.max()).all()):
            return min(rate, 1.0), 1
        return rate, 0 if bool((end > 2 * start.max()).any()) else -1

    def stay(self, points: Tensor, numbers: Tensor) -> Tensor:
        """``(n,)`` bool: are orbits that are at ``(n, *latent)`` still near their closed curves after many more steps?

        Cost: 288 evaluations each.
        """
        paths = self._followed(points, LATER, WATCHED) if len(points) else ()
        near = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        for row, (path, number) in enumerate(zip(paths, numbers.tolist(), strict=True)):
            loops = self.catalogue.sets[number].loops
            allowed = NEAR * max(loop.diameter for loop in loops)
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
        exponents = lyapunov_exponents(field, point, count=2, steps=_TURNED, differences=differences)
        self.cost += exponents.cost
        return exponents


def _certified(orbit: NDArray[np.float64]) -> list[ClosedCurve]:
    """The loops that a record ``(t, k)`` visits in turn, as few as will do; empty if it is on none."""
    for period in range(1, min(MOST_LOOPS, len(orbit) // MIN_POINTS) + 1):
        loops = []
        for phase in range(period):
            loop = closed_curve(orbit[phase::period])
            if loop is None:
                break
            loops.append(loop)
        if len(loops) == period and _apart(loops):
            return loops
    return []


def _apart(loops: list[ClosedCurve]) -> bool:
    """Is no loop the next one over again, as each is where the record creeps?"""
    return all(
        float(np.median(distance_to_curve(after.points, loop.points))) > NEARBY * loop.diameter
        for loop, after in itertools.pairwise(loops)
    )


def _creeps(orbit: NDArray[np.float64], loops: list[ClosedCurve]) -> bool:
    """Does the early half of a record lie beside the loop of the late half, by more than the bow of a smooth loop over its chords?"""
    if loops[0].thinness > THINNESS:
        return False  # sorted by laps, which differ by rounding
    path, time = orbit[:: len(loops)], np.arange(len(orbit[:: len(loops)]))
    half = len(path) // 2
    late = path[half:][np.argsort(loops[0].rotation * time[half:] % 1.0, kind="stable")]
    distance, chord = nearest_chord(path[:half], late)
    beside = np.maximum(distance - chord**2 * np.pi / (2 * loops[0].length), 0)
    return float(np.median(beside)) > _CREEP * loops[0].diameter


def _distance(points: NDArray[np.float64], loops: Sequence[ClosedCurve]) -> NDArray[np.float64]:
    distance: NDArray[np.float64] = np.min([distance_to_curve(points, loop.points) for loop in loops], axis=0)
    return distance


def _along(path: NDArray[np.float64], loops: tuple[ClosedCurve, ...], tolerance: float) -> bool:
    """Is every point within this share of the diameter of a loop, or within the bow that its polygon cuts off there?"""
    near = np.zeros(len(path), dtype=bool)
    for loop in loops:
        distance, chord = nearest_chord(path, loop.points)
        near |= distance <= tolerance * loop.diameter + _BOW * chord
    return bool(near.all())
