"""Is a recorded orbit quasi-periodic motion on a closed curve, and if so, which curve?

On an invariant closed curve with irrational rotation number α the orbit is z_t = γ(αt mod 1) for a continuous loop γ.
So: find α, sort the points by phase αt mod 1, and look whether neighbours in *phase* are neighbours in *space* along a
smooth loop. A spiral, a torus of higher dimension and chaos all fail, because points of nearly equal phase then lie apart.
α comes from numerical analysis of the fundamental frequency (Laskar 1993): the maximum of the windowed Fourier power,
whose error falls like T⁻⁴, far below the T⁻² that sorting needs. With three or four laps it does not fall fast enough;
slow rotation is then timed by its returns. Where laps pass a saddle so near that rounding decides how long they take, there
is no α: slow motion is then sorted by the distance travelled since the last return.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from separatrix.protocol import DEFAULT, Loops
from separatrix.words import one_line


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

    __repr__ = one_line

    @property
    def diameter(self) -> float:
        """Largest extent along a coordinate axis of the best-fitting box, a lower bound of the true diameter."""
        centred = self.points - self.points.mean(axis=0)
        return float(2 * np.linalg.norm(centred, axis=1).max())


def closed_curve(orbit: NDArray[np.float64], rules: Loops = DEFAULT.loops) -> ClosedCurve | None:
    """The closed curve an orbit ``(T, k)`` runs on, or None if it does not run on one (T ≥ 256, transient removed).

    >>> turns = 2 * np.pi * 0.618033988749895 * np.arange(600)
    >>> curve = closed_curve(np.stack([np.cos(turns), 0.5 * np.sin(turns)], axis=1))
    >>> round(min(curve.rotation, 1 - curve.rotation), 7)
    0.381966
    """
    count = len(orbit)
    if count < rules.least_points or not np.isfinite(orbit).all():
        return None
    centred = orbit - orbit.mean(axis=0)
    if np.abs(centred).max() <= 1e-12 * (1 + np.abs(orbit).max()):
        return None
    peak = _strongest_frequency(centred)
    turns = np.arange(count, dtype=np.float64)
    candidates = [((peak + j) / m) % 1.0 for m in range(1, rules.harmonics + 1) for j in range(m)]
    best = min(candidates, key=lambda alpha: _tour_length(orbit, alpha * turns % 1.0))
    curve = None
    if min(best, 1 - best) * count >= rules.least_laps:
        best = min(best, _from_returns(orbit, best, rules), key=lambda alpha: _tour_length(orbit, alpha * turns % 1.0))
        curve = _verified(orbit, best * turns % 1.0, best, rules.thinness, rules)
    if curve is None and (laps := _laps(orbit, rules)) is not None:
        first, last, phase, rotation = laps
        curve = _verified(orbit[first:last], phase, rotation, rules.lap_thinness, rules)
    return curve


def _laps(orbit: NDArray[np.float64], rules: Loops) -> tuple[int, int, NDArray[np.float64], float] | None:
    """For motion so slow that its steps follow the curve: (first, last, phases of the steps between, turns per step).

    A lap leads from one passage at the fastest place to the next; the phase is the share of its length travelled so far.
    None if there are too few laps, too few steps in one, or if their lengths differ.
    """
    steps = np.diff(orbit, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    gate = int(lengths.argmax())
    away = np.linalg.norm(orbit[:-1] - orbit[gate], axis=1)
    near = np.flatnonzero((away[1:-1] <= away[:-2]) & (away[1:-1] < away[2:]) & (away[1:-1] <= lengths[gate])) + 1
    if len(near) < rules.least_laps + 1 or np.diff(near).min() * rules.slow < 1:
        return None
    travelled = np.concatenate(([0.0], np.cumsum(lengths)))
    # A passage falls between two steps: where, along the direction of the motion there?
    passed = travelled[near] - (orbit[near] - orbit[gate]) @ steps[gate] / lengths[gate]
    lap = np.diff(passed)
    if np.abs(lap / np.median(lap) - 1).max() > rules.even:
        return None
    first, last = int(near[0]), int(near[-1])
    place = travelled[first:last]
    number = np.clip(np.searchsorted(passed, place, side="right") - 1, 0, len(lap) - 1)
    phase = (place - passed[number]) / lap[number] % 1.0
    return first, last, phase, len(lap) / (last - first)


def _from_returns(orbit: NDArray[np.float64], rotation: float, rules: Loops) -> float:
    """The rotation number from the last return to each of the first points, laps over time; for slow rotation only.

    With few laps, or a shape of many strong harmonics (slow creep, quick jump), the spectral peak is pulled aside by
    its neighbours. The time of a return is read between steps, on the chord nearest to the first point.
    """
    slow, count = min(rotation, 1 - rotation), len(orbit)
    if slow > rules.slow:
        return rotation
    lap = 1 / slow
    rates = []
    for start in range(0, int(lap), max(1, int(lap) // rules.returns)):
        laps = int((count - 2 - start) / lap - 0.25)
        if laps < 1:
            break
        middle = start + laps * lap
        first, last = int(middle - lap / 4), min(int(middle + lap / 4), count - 2)
        begin, end = orbit[first : last + 1], orbit[first + 1 : last + 2]
        along = end - begin
        share = np.sum((orbit[start] - begin) * along, axis=1) / np.maximum(np.sum(along**2, axis=1), 1e-300)
        share = np.clip(share, 0, 1)
        nearest = int(np.linalg.norm(orbit[start] - begin - share[:, None] * along, axis=1).argmin())
        rates.append(laps / (first + nearest + share[nearest] - start))
    if not rates:
        return rotation
    return float(np.median(rates)) if rotation < 0.5 else 1 - float(np.median(rates))


def _in_order(orbit: NDArray[np.float64], phase: NDArray[np.float64]) -> NDArray[np.float64]:
    tour: NDArray[np.float64] = orbit[np.argsort(phase, kind="stable")]
    return tour


def _tour_length(orbit: NDArray[np.float64], phase: NDArray[np.float64]) -> float:
    tour = _in_order(orbit, phase)
    return float(np.linalg.norm(np.roll(tour, -1, axis=0) - tour, axis=1).sum())


def _verified(
    orbit: NDArray[np.float64], phase: NDArray[np.float64], rotation: float, thinnest: float, rules: Loops
) -> ClosedCurve | None:
    tour = _in_order(orbit, phase)
    following, before = np.roll(tour, -1, axis=0), np.roll(tour, 1, axis=0)
    gaps = np.linalg.norm(following - tour, axis=1)
    typical = float(np.median(gaps))
    if typical <= rules.clumped * gaps.mean() or gaps.max() > rules.largest_gap * gaps.sum():
        return None
    thinness = float(np.median(_distance_to_chord(tour, before, following))) / typical
    if thinness > thinnest or _drift(orbit, phase, rules) > rules.thinness:
        return None
    if gaps.sum() > rules.detour * _shortest_tree(tour):
        return None
    return ClosedCurve(points=tour, rotation=rotation, length=float(gaps.sum()), thinness=thinness)


def _shortest_tree(points: NDArray[np.float64]) -> float:
    """Length of the minimum spanning tree: of a densely sampled loop, the loop without its largest gap."""
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import pdist, squareform

    return float(minimum_spanning_tree(squareform(pdist(points))).sum())


def _drift(orbit: NDArray[np.float64], phase: NDArray[np.float64], rules: Loops) -> float:
    """Median distance of each half of an orbit to the loop of the other half, over that loop's median gap; the larger.

    A spiral whose rotation number is nearly rational lines its points up radially and passes for thin; but its later
    points lie inside its earlier ones.
    """
    half = len(orbit) // 2
    early, late = orbit[:half], orbit[half:]
    return max(
        _distance_in_gaps(late, _in_order(early, phase[:half]), rules),
        _distance_in_gaps(early, _in_order(late, phase[half:]), rules),
    )


def _distance_in_gaps(points: NDArray[np.float64], loop: NDArray[np.float64], rules: Loops) -> float:
    """Median distance of the points to a loop over its median gap, less the bow of a smooth loop over its chords.

    A rotation number near a rational leaves chords much longer than the median gap, and the bow over them is no drift.
    It is taken as twice that of a circle, 2·c²·2π/8L for a chord c of a loop of length L, unless the chords are so long
    that a slow spiral hides in their bows.
    """
    gaps = np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1)
    gap, length = max(float(np.median(gaps)), 1e-300), max(float(gaps.sum()), 1e-300)
    distance, chord = nearest_chord(points, loop)
    if gap > rules.nearly_clumped * gaps.mean():
        distance = distance - np.square(np.minimum(chord, rules.longest_bow * length)) * np.pi / (2 * length)
    return float(np.median(np.maximum(distance, 0))) / gap


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
    return nearest_chord(points, curve)[0]


def nearest_chord(
    points: NDArray[np.float64], curve: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of each point to the nearer of the two chords at its nearest corner, and the length of that chord."""
    from sklearn.neighbors import NearestNeighbors

    corner = NearestNeighbors(n_neighbors=1).fit(curve).kneighbors(points, return_distance=False)[:, 0]
    here, after, before = (curve[(corner + shift) % len(curve)] for shift in (0, 1, -1))
    ahead, behind = _distance_to_chord(points, here, after), _distance_to_chord(points, here, before)
    other = np.where((ahead <= behind)[:, None], after, before)
    length: NDArray[np.float64] = np.linalg.norm(other - here, axis=1)
    return np.minimum(ahead, behind), length


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
    found = scipy.optimize.minimize_scalar(negative_power, bounds=bracket, method="bounded", options={"xatol": 1e-14})
    return float(found.x)
