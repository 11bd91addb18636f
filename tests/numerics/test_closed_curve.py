"""Closed curves are certified whatever their shape, dimension and rotation number, and nothing else is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.numerics._closed_curve import closed_curve, distance_to_curve
from separatrix.protocol import Loops

GOLDEN = (math.sqrt(5) - 1) / 2
T = 1000


def phases(rotation, count=T, start=0.0):
    return 2 * np.pi * (rotation * np.arange(count) + start)


def circle(rotation, count=T):
    turns = phases(rotation, count)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


def warped(turns):
    """A loop in five dimensions with corners of the speed and several harmonics."""
    u = turns + 0.3 * np.sin(turns)
    return np.stack(
        [np.cos(u), 0.4 * np.sin(u), 0.2 * np.cos(2 * u), 0.1 * np.sin(3 * u), 3 + 0.05 * np.cos(u)], axis=1
    )


def embedded(points, dim=40, seed=0):
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, points.shape[1])))[0]
    return points @ basis.T + 7.0


def iterated(step, start, count=T, skipped=500):
    z, path = np.asarray(start, dtype=float), []
    for t in range(skipped + count):
        if t >= skipped:
            path.append(z)
        z = step(z)
    return np.array(path).reshape(count, -1)


def same_rotation(found, exact, tolerance=1e-6):
    """A loop may be walked either way round: α and 1 − α are one motion."""
    gap = abs(found - exact) % 1
    mirrored = abs(found + exact) % 1
    return min(gap, 1 - gap, mirrored, 1 - mirrored) < tolerance


IRRATIONAL = [
    GOLDEN,
    math.sqrt(2) - 1,
    math.e - 2,
    1 / (2 * math.pi),
    GOLDEN / 10,
    0.5 - 0.003 * math.sqrt(2),
    1 / 3 + 1e-3 * math.sqrt(3),
    2 / 5 + 2e-3 * math.sqrt(2),
    1 / 4 + 1e-3 * math.sqrt(5),
    0.012 * math.sqrt(2),
]


@pytest.mark.parametrize("rotation", IRRATIONAL)
@pytest.mark.parametrize("shape", ["circle", "warped", "embedded"])
def test_a_curve_is_certified(rotation, shape):
    turns = phases(rotation)
    orbit = {"circle": circle(rotation), "warped": warped(turns), "embedded": embedded(warped(turns))}[shape]
    curve = closed_curve(orbit)
    assert curve is not None
    assert same_rotation(curve.rotation, rotation)
    assert sorted(map(tuple, curve.points)) == sorted(map(tuple, orbit)), "the points are the orbit's, in another order"
    dense = {
        "circle": lambda: circle(1 / 20_000, 20_000),
        "warped": lambda: warped(phases(1 / 20_000, 20_000)),
        "embedded": lambda: embedded(warped(phases(1 / 20_000, 20_000))),
    }[shape]()
    length = np.linalg.norm(np.diff(dense, axis=0, append=dense[:1]), axis=1).sum()
    assert curve.length == pytest.approx(length, rel=0.02)
    assert distance_to_curve(dense[::50], curve.points).max() < 0.02 * curve.diameter


@settings(max_examples=30, deadline=None, derandomize=True)
@given(rotation=st.floats(0.01, 0.99), skew=st.floats(0.1, 1.0))
def test_circles_with_any_rotation_that_fills_them(rotation, skew):
    """Only where 1000 points leave a gap in the loop (a rational of small denominator is very near) may it be refused."""
    orbit = circle(rotation) * np.array([1.0, skew])
    gaps = np.diff(np.sort((rotation * np.arange(T)) % 1), append=1.0)
    curve = closed_curve(orbit)
    if gaps.max() < 0.01 and np.median(gaps) > 0.02 / T:
        assert curve is not None
        assert same_rotation(curve.rotation, rotation)
        assert curve.diameter == pytest.approx(2, rel=1e-2)
    elif gaps.max() > 0.06 or np.median(gaps) < 1e-4 / T:
        assert curve is None, "a loop with a hole in it, or a cycle"


def test_a_rotation_whose_half_leaves_long_chords():
    """The later half lies in the gaps of the earlier one, on the bow of the circle over chords of ten median gaps."""
    curve = closed_curve(circle(0.8474671100890087))
    assert curve is not None
    assert same_rotation(curve.rotation, 0.8474671100890087)


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-7])
def test_rounding_of_the_transit_does_no_harm(noise):
    orbit = circle(GOLDEN) + noise * np.random.default_rng(0).standard_normal((T, 2))
    assert closed_curve(orbit.astype(np.float32).astype(np.float64)) is not None


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_units_and_origin_do_not_matter(scale, offset):
    curve = closed_curve(scale * (warped(phases(GOLDEN)) + offset))
    assert curve is not None
    assert same_rotation(curve.rotation, GOLDEN)


REFUSED = {
    "two-torus": np.stack([f(phases(r)) for r in (GOLDEN, math.sqrt(2) - 1) for f in (np.cos, np.sin)], axis=1),
    "thin two-torus": np.stack(
        [np.cos(phases(GOLDEN)), np.sin(phases(GOLDEN)), 0.05 * np.cos(phases(math.sqrt(2) - 1))], axis=1
    ),
    "white noise": np.random.default_rng(1).standard_normal((T, 3)),
    "white noise in one dimension": np.random.default_rng(2).standard_normal((T, 1)),
    "random walk": np.random.default_rng(3).standard_normal((T, 2)).cumsum(axis=0),
    "noisy circle": circle(GOLDEN) + 0.05 * np.random.default_rng(4).standard_normal((T, 2)),
    "logistic chaos": iterated(lambda x: 4 * x * (1 - x), [0.3]),
    "embedded logistic chaos": embedded(
        np.hstack([(x := iterated(lambda x: 3.9 * x * (1 - x), [0.3])), x**2, np.sin(5 * x)]), dim=6
    ),
    "Hénon": iterated(lambda z: np.array([1 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]]), [0.1, 0.1]),
    "embedded Hénon": embedded(iterated(lambda z: np.array([1 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]]), [0.1, 0.1]), 8),
    "cycle of 5": circle(2 / 5),
    "cycle of 64": circle(27 / 64),
    "cycle of 97": circle(13 / 97),
    "cycle of 16 reached at a rate": circle(3 / 16) * (1 + 0.1 * 0.99 ** np.arange(T))[:, None],
    "fixed point": np.ones((T, 3)),
    "convergence": np.outer(0.99 ** np.arange(T), [1.0, -2.0]),
    "spiral, quick": circle(GOLDEN) * (0.995 ** np.arange(T))[:, None],
    "spiral, slow": circle(GOLDEN) * (0.9995 ** np.arange(T))[:, None],
    "spiral, outwards": circle(GOLDEN) * (1.001 ** np.arange(T))[:, None],
    "spiral, slow turning": circle(0.004 * math.sqrt(2)) * (0.9995 ** np.arange(T))[:, None],
    "spiral, two turns": circle(0.0021) * (0.9995 ** np.arange(T))[:, None],
    "straight march": np.outer(np.arange(T, dtype=float), [1.0, 0.5]),
    "figure of NaN": np.full((T, 2), np.nan),
    "infinite once": np.where(np.arange(T)[:, None] == 77, np.inf, circle(GOLDEN)),
    "half a turn": circle(0.0005),
    "back and forth on a line": np.cos(phases(GOLDEN))[:, None] + np.random.default_rng(5).standard_normal((T, 1)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_closed_curve_is_refused(name):
    assert closed_curve(REFUSED[name]) is None


@pytest.mark.parametrize("rate", [0.998, 0.9995, 0.9999])
@pytest.mark.parametrize("rotation", [GOLDEN, math.sqrt(2) - 1, 0.0314159])
def test_a_spiral_is_no_curve_at_any_speed(rate, rotation):
    """The radius falls by a tenth or more over the record: far above the spacing of the points along a turn."""
    assert closed_curve(circle(rotation) * (rate ** np.arange(T))[:, None]) is None


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.95, 0.98, 0.99, 0.995, 1.001])
def test_quick_spirals_are_no_curves_at_any_rotation(rate):
    """The later half lies close to the innermost turns of the earlier half, but not the other way round."""
    for rotation in np.random.default_rng(0).uniform(0.005, 0.995, 25):
        assert closed_curve(circle(rotation) * (rate ** np.arange(T))[:, None]) is None


def test_a_rotation_that_looks_like_a_cycle_is_not_certified():
    """π − 3 is within 3e-7 of 16/113: in 1000 steps such an orbit is 113 clumps, and nobody can tell it from a cycle."""
    assert closed_curve(circle(math.pi - 3)) is None


def test_too_few_points_prove_nothing():
    assert closed_curve(circle(GOLDEN, Loops.least_points - 1)) is None
    assert closed_curve(circle(GOLDEN, Loops.least_points)) is not None


def test_a_curve_that_crosses_itself_is_one_curve():
    """A figure of eight in the plane is a loop all the same (it may come from a loop in higher dimensions)."""
    turns = phases(GOLDEN)
    curve = closed_curve(np.stack([np.sin(turns), np.sin(2 * turns), 0.3 * np.cos(turns)], axis=1))
    assert curve is not None
    assert same_rotation(curve.rotation, GOLDEN)


def test_a_higher_harmonic_may_be_the_strongest():
    turns = phases(GOLDEN)
    orbit = np.stack([0.3 * np.cos(turns) + np.cos(2 * turns), 0.3 * np.sin(turns) + np.sin(2 * turns)], axis=1)
    curve = closed_curve(orbit)
    assert curve is not None
    assert same_rotation(curve.rotation, GOLDEN)


@pytest.mark.parametrize("laps", [3.4, 3.55, 3.84, 4.14, 4.36, 4.96, 9.3])
@pytest.mark.parametrize("creep", [0.0, 0.5, 0.8, 0.9])
def test_a_few_laps_of_creeping_and_jumping(creep, laps):
    """θ → θ + a(1 − c·cos θ) creeps where cos θ is near 1: many strong harmonics, and few laps to tell them apart."""
    step = 2 * math.pi * laps / T / math.sqrt(1 - creep**2)
    angle = iterated(lambda x: x + step * (1 - creep * np.cos(x)), [0.3])[:, 0]
    curve = closed_curve(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    assert curve is not None
    long = iterated(lambda x: x + step * (1 - creep * np.cos(x)), [0.3], 100_000)[:, 0]
    assert same_rotation(curve.rotation, (long[-1] - long[0]) / (2 * math.pi) / 99_999, tolerance=5e-6)
    assert curve.length == pytest.approx(2 * math.pi, rel=5e-3)


def test_distance_to_a_polygon_is_exact():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    points = np.array([[0.5, 0.5], [2.0, 0.0], [1.0, 0.3], [0.0, 0.0], [-0.1, -0.1]])
    exact = [0.5, 1.0, 0.0, 0.0, 0.1 * math.sqrt(2)]
    assert distance_to_curve(points, square) == pytest.approx(exact, abs=1e-12)


def test_distance_to_a_fine_circle():
    curve = circle(1 / 5000, 5000)
    radii = np.array([0.5, 0.9, 0.999, 1.0, 1.0001, 1.5])
    points = radii[:, None] * np.array([math.cos(0.3), math.sin(0.3)])
    assert distance_to_curve(points, curve) == pytest.approx(np.abs(radii - 1), abs=1e-6)


def slow_passage(count, bottleneck, noise, seed=0, growth=0.0, wobble=0.0):
    """A loop with a slow place at which noise decides how long a lap takes, in three dimensions; α does not exist.

    θ' = θ + 0.06 (1 + bottleneck + cos θ) and noise; ``growth`` makes it a spiral, ``wobble`` winds it round a torus.
    """
    rng = np.random.default_rng(seed)
    theta, points = 0.0, []
    for t in range(count):
        radius = 1 + growth * t + wobble * np.cos(0.0137 * t)
        height = 0.3 * np.sin(2 * theta) + wobble * np.sin(0.0137 * t)
        points.append((radius * np.cos(theta), radius * np.sin(theta), height))
        theta += 0.06 * (1 + bottleneck + np.cos(theta)) + noise * abs(rng.standard_normal())
    return np.array(points)


@pytest.mark.parametrize("seed", range(3))
def test_a_loop_whose_laps_take_different_times(seed):
    curve = closed_curve(slow_passage(2000, 0.01, 3e-3, seed))
    assert curve is not None
    t = np.linspace(0, 2 * np.pi, 20_001)
    exact = np.stack([np.cos(t), np.sin(t), 0.3 * np.sin(2 * t)], axis=1)
    assert 0.95 < curve.length / np.linalg.norm(np.diff(exact, axis=0), axis=1).sum() < 1.1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("growth", "wobble"), [(1e-4, 0.0), (-1e-4, 0.0), (0.0, 0.03)])
def test_a_slow_spiral_or_torus_with_uneven_laps_is_none(seed, growth, wobble):
    assert closed_curve(slow_passage(2000, 0.01, 3e-3, seed, growth, wobble)) is None


@pytest.mark.parametrize(("zigzag", "the_same"), [(0.05, True), (0.08, False)])
def test_a_lap_more_than_a_tenth_longer_than_the_others_is_not_the_loop_again(zigzag, the_same):
    """One quick lap of 23 steps among seven of 251 goes from side to side, never far from the others, and is 5 or 13 % longer."""
    angles = [2 * np.pi * (np.arange(251) + lap / 8) / 251 for lap in range(8)]
    angles[3] = np.concatenate([[0.0], np.linspace(0.45, 2 * np.pi, 22, endpoint=False)])
    radii = [np.ones(len(angle)) for angle in angles]
    radii[3][2:-1] += zigzag * (-1.0) ** np.arange(20)
    angle, radius = np.concatenate(angles), np.concatenate(radii)
    orbit = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert (closed_curve(orbit) is not None) == the_same


def test_chaos_that_goes_round_is_none():
    """Roessler's band (a = b = 0.2, c = 5.7), in steps so small that they follow the orbit."""
    z, points = np.array([1.0, 1.0, 0.0]), []

    def flow(z):
        return np.array([-z[1] - z[2], z[0] + 0.2 * z[1], 0.2 + z[2] * (z[0] - 5.7)])

    for _ in range(12_000):
        k1 = flow(z)
        k2 = flow(z + 0.025 * k1)
        z = z + 0.05 * flow(z + 0.025 * k2)
        points.append(z)
    assert closed_curve(np.array(points[2000::2])) is None
