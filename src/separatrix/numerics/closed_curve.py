"""Is a recorded orbit quasi-periodic motion on a closed curve, and if so, which curve?

On an invariant closed curve with irrational rotation number α the orbit is z_t = γ(αt mod 1) for a continuous loop γ.
So: find α, sort the points by phase αt mod 1, and look whether neighbours in *phase* are neighbours in *space* along a
smooth loop. A spiral, a torus of higher dimension and chaos all fail, because points of nearly equal phase then lie apart.
α comes from numerical analysis of the fundamental frequency (Laskar 1993): the maximum of the windowed Fourier power,
whose error falls like T⁻⁴, far below the T⁻² that sorting needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

HARMONICS = 6  # the strongest Fourier peak may be any of the first harmonics of α
THINNESS = 0.05  # median distance from a point to the chord of its neighbours, as a share of the median gap
LARGEST_GAP = 0.05  # largest gap between neighbours, as a share of the length: a larger one tears the loop
CLUMPED = 1e-3  # median gap, as a share of the mean gap, below which the points sit in clumps: a long cycle
LEAST_LAPS = 3.0  # fewer laps cannot show that a lap repeats the one before: a slow spiral looks the same
MIN_POINTS = 256


@dataclass(frozen=True)
class ClosedCurve:
    """A loop through orbit points.

    Attributes:
        points: ``(T, k)`` the orbit's points in their order along the curve.
        rotation: α in (0, 1), turns per step.
        length: length of the polygon.
        thinness: median distance of a point to the chord of its neighbours over the median gap; 0 for a perfect curve.
    """

    points: NDArray[np.float64]
    rotation: float
    length: float
    thinness: float

    @property
    def diameter(self) -> float:
        """Largest extent along a coordinate axis of the best-fitting box, a lower bound of the true diameter."""
        centred = self.points - self.points.mean(axis=0)
        return float(2 * np.linalg.norm(centred, axis=1).max())


def closed_curve(orbit: NDArray[np.float64]) -> ClosedCurve | None:
    """The closed curve an orbit ``(T, k)`` runs on, or None if it does not run on one (T ≥ 256, transient removed).

    >>> turns = 2 * np.pi * 0.618033988749895 * np.arange(600)
    >>> curve = closed_curve(np.stack([np.cos(turns), 0.5 * np.sin(turns)], axis=1))
    >>> round(min(curve.rotation, 1 - curve.rotation), 7)
    0.381966
    """
    count = len(orbit)
    if count < MIN_POINTS or not np.isfinite(orbit).all():
        return None
    centred = orbit - orbit.mean(axis=0)
    if np.abs(centred).max() <= 1e-12 * (1 + np.abs(orbit).max()):
        return None
    peak = _strongest_frequency(centred)
    candidates = [((peak + j) / m) % 1.0 for m in range(1, HARMONICS + 1) for j in range(m)]
    best = min(candidates, key=lambda alpha: _tour_length(orbit, alpha))
    if min(best, 1 - best) * count < LEAST_LAPS:
        return None
    return _verified(orbit, best)


def _order(count: int, rotation: float) -> NDArray[np.intp]:
    return np.argsort((rotation * np.arange(count)) % 1.0, kind="stable")


def _tour_length(orbit: NDArray[np.float64], rotation: float) -> float:
    tour = orbit[_order(len(orbit), rotation)]
    return float(np.linalg.norm(np.roll(tour, -1, axis=0) - tour, axis=1).sum())


def _verified(orbit: NDArray[np.float64], rotation: float) -> ClosedCurve | None:
    tour = orbit[_order(len(orbit), rotation)]
    following, before = np.roll(tour, -1, axis=0), np.roll(tour, 1, axis=0)
    gaps = np.linalg.norm(following - tour, axis=1)
    typical = float(np.median(gaps))
    if typical <= CLUMPED * gaps.mean() or gaps.max() > LARGEST_GAP * gaps.sum():
        return None
    thinness = float(np.median(_distance_to_chord(tour, before, following))) / typical
    if thinness > THINNESS or _drift(orbit, rotation) > THINNESS:
        return None
    return ClosedCurve(points=tour, rotation=rotation, length=float(gaps.sum()), thinness=thinness)


def _drift(orbit: NDArray[np.float64], rotation: float) -> float:
    """Median distance of the later half of an orbit to the loop of its earlier half, over that loop's median gap.

    A spiral whose rotation number is nearly rational lines its points up radially and passes for thin; but its later
    points lie inside its earlier ones.
    """
    half = len(orbit) // 2
    early = orbit[:half][_order(half, rotation)]
    gap = float(np.median(np.linalg.norm(np.roll(early, -1, axis=0) - early, axis=1)))
    return float(np.median(distance_to_curve(orbit[half:], early))) / max(gap, 1e-300)


def _distance_to_chord(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance from each point to the segment from ``start`` to ``end`` of its row."""
    along = end - start
    share = np.sum((points - start) * along, axis=-1) / np.maximum(np.sum(along**2, axis=-1), 1e-300)
    foot = start + np.clip(share, 0, 1)[..., None] * along
    distance: NDArray[np.float64] = np.linalg.norm(points - foot, axis=-1)
    return distance


def distance_to_curve(points: NDArray[np.float64], curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from each of ``(n, k)`` points to the closed polygon ``(T, k)``, exact near it.

    The two segments at the nearest corner are measured; for a curve sampled more densely than it bends that is exact.

    >>> square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> distance_to_curve(np.array([[0.4, -0.25]]), square).tolist()
    [0.25]
    """
    from sklearn.neighbors import NearestNeighbors

    corner = NearestNeighbors(n_neighbors=1).fit(curve).kneighbors(points, return_distance=False)[:, 0]
    count = len(curve)
    after = _distance_to_chord(points, curve[corner], curve[(corner + 1) % count])
    before = _distance_to_chord(points, curve[corner], curve[(corner - 1) % count])
    return np.minimum(after, before)


def _strongest_frequency(centred: NDArray[np.float64]) -> float:
    """Frequency in (0, 1/2], in turns per step, of the largest windowed Fourier power summed over coordinates."""
    count = len(centred)
    time = np.arange(count)
    window = (1 - np.cos(2 * np.pi * (time + 0.5) / count))[:, None] ** 2
    weighted = centred * window
    power = np.square(np.abs(np.fft.rfft(weighted, axis=0))).sum(axis=1)
    power[:2] = 0  # slow drift is not rotation
    coarse = int(power.argmax()) / count

    def negative_power(frequency: float) -> float:
        wave = np.exp(-2j * np.pi * frequency * time)
        return -float(np.square(np.abs(wave @ weighted)).sum())

    bracket = (coarse - 1 / count, coarse + 1 / count)
    found = minimize_scalar(negative_power, bounds=bracket, method="bounded", options={"xatol": 1e-14})
    return float(found.x)
