"""Closed curves: orbits that never converge because they go round and round on one invariant loop.

Counting their end points as attractors turns one set into hundreds. One orbit is recorded and certified
(`separatrix.numerics.closed_curve`); the others only have to stay near the certified curve for a while. Recording the end
of a long run costs nothing; a probe of its own is sent only where there is no such record.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.cost import Cost
from separatrix.field import LatentField
from separatrix.limitsets.motion import FLAT, Exponents, lyapunov_exponents
from separatrix.numerics.closed_curve import THINNESS, ClosedCurve, closed_curve, distance_to_curve, nearest_chord
from separatrix.numerics.counter_random import gaussian

TRANSIENT = 200  # steps dropped before recording
RECORDED = 1000  # steps recorded
PROBE_COST = TRANSIENT + RECORDED  # evaluations
PROBES = 4  # orbits recorded together
PATIENCE = 24  # records in a row that show no new curve before the search is given up
TAIL = 2 * RECORDED  # steps recorded of orbits that run anyway
TAIL_NUMBERS = 2**26  # coordinates recorded at most: 256 MiB in float32
WATCHED = 32  # consecutive steps an orbit must stay near a curve to be counted as moving on it
NEAR = 5e-3  # "near", as a share of the curve's diameter
PUSH = 1e-2  # displacement of the stability test, as a share of the diameter
SAME = 2e-3  # two certified curves closer than this share of the diameter are one
_PUSHED = 16
_RETURN_STEPS = 256
_REFUSALS = 2  # in one look: where there is one band of chaos that passes for a curve there are many
_TURNED = RECORDED // 2  # steps that tangents are carried along a curve
_BOW = 0.1  # how far a curve may bend away from a chord of its polygon, as a share of the chord
_DECAY = 1e-6  # to which the distance to a curve of thin basin must fall, at its mean rate, while an orbit is watched


@dataclass(frozen=True)
class KnownCurve:
    """A certified invariant closed curve.

    Attributes:
        curve: the ordered points.
        rate: factor per step by which the distance of a displaced point to the curve changes (exp of the second
            Lyapunov exponent where the curve attracts).
        stable: 1 if it attracts: all displaced points came back, or, where the basin is thinner than that, all directions
            but the one along it contract (second Lyapunov exponent < 0). Otherwise 0 if a displaced point went away, −1
            if none did.
        watched: consecutive steps near it after which an orbit is counted as moving on it.
    """

    curve: ClosedCurve
    rate: float
    stable: int
    watched: int = WATCHED


class CurveSearch:
    """Finds closed curves among orbits that keep moving, and tells which orbits move on them."""

    def __init__(self, field: LatentField) -> None:
        self.field = field
        self.curves: list[KnownCurve] = []
        self.cost = Cost()
        self.fruitless = 0  # probes so far that showed no new curve, and tests at the price of probes

    def to_record(self, points: Tensor) -> Tensor:
        """Which of ``(n, *latent)`` orbits to record while they run on, far from each other, as many as memory allows."""
        flat = points.flatten(1).to("cpu", torch.float64).numpy()
        free = _sorted_finite(flat)
        chosen: list[int] = []
        while len(chosen) < PATIENCE and (len(chosen) + PROBES) * TAIL * flat.shape[1] <= TAIL_NUMBERS and len(free):
            chosen += _far_apart(flat, free, chosen)
            free = free[~np.isin(free, chosen)]
        return torch.tensor(chosen, dtype=torch.int64)

    def assign(self, points: Tensor, patience: int = PATIENCE, recorded: Sequence[Tensor] = ()) -> Tensor:
        """Curve number for each of ``(n, *latent)`` moving points, −1 for those on no closed curve.

        New curves are certified from the ``recorded`` stretches of orbits ``(t, *latent)``, then from probe orbits, each as
        far from the earlier ones as possible, until ``patience`` records in a row show nothing new. Which orbits are probed
        depends on where they are, not on their order.
        Cost: PROBE_COST evaluations per probe, WATCHED per orbit and curve-finding round.
        """
        labels = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
        flat = points.flatten(1).to("cpu", torch.float64).numpy()
        paths = [path.flatten(1).to("cpu", torch.float64).numpy() for path in recorded]
        before = self.cost.total
        learned = self._learn(paths)
        fruitless = 0 if learned else len(paths) + self._in_vain(before)
        if learned:
            labels = self.watch(points)
        free = _sorted_finite(flat)
        free = free[labels.cpu().numpy()[free] < 0]
        probed: list[int] = []
        while fruitless < patience and len(free):
            before = self.cost.total
            probes = _far_apart(flat, free, probed)
            probed += probes
            if self._learn(list(self._record(points[probes], TRANSIENT, RECORDED))):
                fruitless = 0
                rest = (labels < 0).nonzero().squeeze(1)
                labels[rest] = self.watch(points[rest])
                if all(known.stable != 1 for known in self.curves):
                    break  # a family of neutral loops: every orbit has its own, there is no end to certifying them
            else:
                fruitless += self._in_vain(before)
            free = free[(labels.cpu().numpy()[free] < 0) & ~np.isin(free, probed)]
        return labels

    def _learn(self, paths: list[NDArray[np.float64]]) -> bool:
        new, refused = False, 0
        news = (path for path in paths if not any(_along(path, known, NEAR) for known in self.curves))
        candidates = [curve for path in news if (curve := closed_curve(path)) is not None]
        for curve in sorted(candidates, key=lambda candidate: candidate.thinness):
            if refused == _REFUSALS:
                break
            if self._known(curve):
                continue
            tested = self._tested(curve)
            if tested is None:
                refused += 1
            else:
                self.curves.append(tested)
                new = True
        return new

    def _in_vain(self, before: float) -> int:
        """Count, and return, what was spent since on records and tests that showed no new curve, in probes."""
        probes = round((self.cost.total - before) / PROBE_COST)
        self.fruitless += probes
        return probes

    def _known(self, curve: ClosedCurve) -> bool:
        return any(_along(curve.points, known, SAME) for known in self.curves)

    def _record(self, points: Tensor, skipped: int, kept: int) -> NDArray[np.float64]:
        """``(n, kept, k)`` consecutive points after a transient."""
        path = []
        z = points.to(self.field.device, self.field.dtype)
        with self.field.guest():
            for step in range(skipped + kept):
                if step >= skipped:
                    path.append(z.flatten(1).to("cpu", torch.float64))
                z = self.field.bare(z)
        self.cost += Cost(map=len(points) * (skipped + kept))
        return torch.stack(path, dim=1).numpy()

    def _tested(self, curve: ClosedCurve) -> KnownCurve | None:
        """Does it attract, and is it a curve at all?

        One of the two largest Lyapunov exponents on a closed curve is 0, the first if it attracts. Narrow bands of chaos pass for
        curves that do not attract, and for those that had to be sorted by their laps, which must attract to be believed.
        """
        exponents = self._exponents(curve) if curve.thinness > THINNESS else None
        if exponents is not None and exponents.neutral != 0:
            return None
        known = self._displaced(curve)
        if known.stable == 1:
            return known
        exponents = exponents or self._exponents(curve)
        if exponents is None:
            return known
        if exponents.neutral is None:
            return None
        across = float(exponents.values[1])
        if known.stable == -1 or exponents.neutral != 0 or not across < -FLAT:
            return known
        watched = max(WATCHED, math.ceil(math.log(_DECAY) / across))
        return KnownCurve(curve, math.exp(across), 1, watched)

    def _displaced(self, curve: ClosedCurve) -> KnownCurve:
        """Displace points of the curve in random directions and see whether they come back."""
        corners = curve.points[:: max(1, len(curve.points) // _PUSHED)][:_PUSHED]
        direction = gaussian(seed=0, first=0, count=len(corners), width=corners.shape[1])
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        pushed = torch.from_numpy(corners + PUSH * curve.diameter * direction)
        paths = self._record(pushed.reshape(len(corners), *self.field.latent_shape), 0, _RETURN_STEPS)
        if not np.isfinite(paths).all():
            return KnownCurve(curve, np.inf, 0)
        distance = np.stack([distance_to_curve(path, curve.points) for path in paths])
        start, end = distance[:, 0], distance[:, -1]
        # The part of the return above the curve's own resolution gives the rate.
        resolution = curve.length / len(curve.points) * max(curve.thinness, 1e-3)
        falling = distance.max(axis=0) > 10 * resolution
        steps = max(int(np.argmin(falling)) if not falling.all() else _RETURN_STEPS - 1, 1)
        worst = distance.max(axis=0)
        rate = float((max(worst[steps], 1e-300) / worst[0]) ** (1 / steps))
        if bool((end <= 0.2 * start.max()).all()):
            return KnownCurve(curve, min(rate, 1.0), 1)
        return KnownCurve(curve, rate, 0 if bool((end > 2 * start.max()).any()) else -1)

    def _exponents(self, curve: ClosedCurve) -> Exponents | None:
        """The two largest Lyapunov exponents from a point of the curve; None where they cannot be had."""
        if self.field.latent_dim < 2 or not self.field.differentiable:
            return None
        point = torch.from_numpy(curve.points[:1]).reshape(1, *self.field.latent_shape)
        exponents = lyapunov_exponents(self.field, point, count=2, steps=_TURNED)
        self.cost += exponents.cost
        return exponents

    def watch(self, points: Tensor, later: int = 0) -> Tensor:
        """Which curve each orbit stays near for WATCHED steps, beginning ``later`` steps from here; −1 for none."""
        labels = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
        if not self.curves or not len(points):
            return labels
        worst = np.zeros((len(self.curves), len(points)))
        for first in range(0, len(points), 256):
            block = slice(first, first + 256)
            paths = self._record(points[block], later, WATCHED)
            flat = paths.reshape(-1, paths.shape[-1])
            finite = np.isfinite(flat).all(axis=1)
            for number, known in enumerate(self.curves):
                distance = np.full(len(flat), np.inf)
                if finite.any():
                    distance[finite] = distance_to_curve(flat[finite], known.curve.points)
                worst[number, block] = distance.reshape(paths.shape[:2]).max(axis=1)
        for number, known in enumerate(self.curves):
            gap = known.curve.length / len(known.curve.points)
            allowed = NEAR * known.curve.diameter if known.stable == 1 else gap
            near = (worst[number] <= allowed) & (worst.argmin(axis=0) == number)
            labels[torch.from_numpy(near).to(labels.device)] = number
        return labels


def _along(path: NDArray[np.float64], known: KnownCurve, tolerance: float) -> bool:
    """Is every point within this share of the diameter of the curve, or within the bow that its polygon cuts off there?"""
    if not np.isfinite(path).all():
        return False
    distance, chord = nearest_chord(path, known.curve.points)
    return bool((distance <= tolerance * known.curve.diameter + _BOW * chord).all())


def _sorted_finite(flat: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the finite rows, by their coordinates: an order that does not depend on that of the rows."""
    finite = np.flatnonzero(np.isfinite(flat).all(axis=1))
    return finite[np.lexsort(flat[finite].T[::-1])] if len(finite) else finite


def _far_apart(flat: NDArray[np.float64], free: NDArray[np.intp], probed: list[int]) -> list[int]:
    """Up to PROBES of the ``free`` rows, each the farthest from all before it (Gonzalez 1985); the first from the centre."""
    earlier = flat[probed] if probed else flat[free].mean(axis=0, keepdims=True)
    gap = np.min([np.linalg.norm(flat[free] - point, axis=1) for point in earlier], axis=0)
    chosen: list[int] = []
    while len(chosen) < min(PROBES, len(free)):
        place = int(gap.argmax())
        chosen.append(int(free[place]))
        after = np.linalg.norm(flat[free] - flat[chosen[-1]], axis=1)
        gap = np.minimum(gap, after) if probed or len(chosen) > 1 else after
        gap[place] = -1  # never twice, also where all points are one
    return chosen
