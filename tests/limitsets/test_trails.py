"""Trails: clearance from other fates, evidence that an orbit follows one, and searches that are the same with and without them."""

from __future__ import annotations

import math

import pytest
import torch

import separatrix as sx
from separatrix import LatentField
from separatrix.limitsets.trails import (
    EVERY,
    FEWEST,
    IN_A_ROW,
    MOST_POINTS,
    SHARE,
    UNKNOWN,
    Following,
    LimitPoints,
    TrailBook,
    Trails,
)
from separatrix.testing import oracles


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def limits(*points, attracting=(0, 1)):
    return LimitPoints(column(*points), torch.arange(len(points)), frozenset(attracting))


def book(*paths, spread=10.0):
    made = TrailBook(spread, fewest=1)
    made.record(range(len(paths)), paths)
    return made


def at(trails: Trails, value: float) -> int:
    return int((trails.points[:, 0] - value).abs().argmin())


def test_clearance_is_the_smallest_distance_still_to_come():
    """One way goes 0, 2, 4, 6; the other rests at 5 and 5.5. Before the fork at 4 clearance is 1 (4 is 1 from 5); past it, ½."""
    trails = book(column(0.0, 2.0, 4.0, 6.0), column(5.0, 5.5)).trails(torch.tensor([0, 1]), limits(6.0, 5.5))
    clearance = {value: float(trails.clearance[at(trails, value)]) for value in (0.0, 2.0, 4.0, 6.0)}
    assert clearance == {0.0: 0.5, 2.0: 0.5, 4.0: 0.5, 6.0: 0.5}
    trails = book(column(0.0, 4.0, 7.0, 9.0), column(5.0, 5.5)).trails(torch.tensor([0, 1]), limits(9.0, 5.5))
    clearance = [float(trails.clearance[at(trails, value)]) for value in (0.0, 4.0, 7.0, 9.0)]
    assert clearance == [1.0, 1.0, 1.5, 3.5]
    assert trails.radius.tolist() == pytest.approx((SHARE * trails.clearance).tolist())
    assert [int(trails.ahead[at(trails, value)]) for value in (0.0, 4.0, 7.0, 9.0)] == [3, 2, 1, 0]


def test_clearance_is_at_most_the_spread():
    trails = book(column(0.0, 1.0), spread=0.25).trails(torch.tensor([0]), limits(1.0, attracting=(0,)))
    assert trails.clearance.tolist() == [0.25, 0.25]


def test_orbits_of_unknown_fate_and_all_limit_sets_are_kept_away_from():
    ways = column(0.0, 4.0), column(1.0, 1.0)
    unknown = book(*ways).trails(torch.tensor([0, UNKNOWN]), limits(4.0, attracting=(0,)))
    assert float(unknown.clearance[at(unknown, 0.0)]) == 1.0
    assert not bool(unknown.look(column(1.0))[2])
    same = book(*ways).trails(torch.tensor([0, 0]), limits(4.0, attracting=(0,)))
    assert float(same.clearance[at(same, 0.0)]) == 10.0
    saddle = book(*ways).trails(torch.tensor([0, 0]), limits(4.0, 3.5, attracting=(0,)))
    assert float(saddle.clearance[at(saddle, 0.0)]) == 0.5


def test_ways_onto_unstable_sets_lead_nowhere():
    assert book(column(0.0, 1.0)).trails(torch.tensor([0]), limits(1.0, attracting=())) is None
    assert TrailBook(1.0).trails(torch.tensor([0]), limits(1.0)) is None


def test_a_few_ways_are_not_enough():
    made = TrailBook(10.0)
    made.record(range(FEWEST - 1), [column(0.0, 1.0)] * (FEWEST - 1))
    fates = torch.zeros(FEWEST, dtype=torch.int64)
    assert made.trails(fates, limits(1.0, attracting=(0,))) is None
    made.record([FEWEST - 1], [column(0.0, 1.0)])
    assert made.trails(fates, limits(1.0, attracting=(0,))) is not None


def test_fates_that_are_learned_later_are_taken_up():
    made = book(column(0.0, 1.0), column(9.0, 8.0))
    before = made.trails(torch.tensor([0, UNKNOWN]), limits(1.0, attracting=(0,)))
    after = made.trails(torch.tensor([0, 1]), limits(1.0, 8.0))
    assert before.fate.tolist().count(UNKNOWN) == 2
    assert after.fate.tolist().count(1) == 2
    assert made.trails(torch.tensor([0, 1]), limits(1.0, 8.0)) is after
    made.share *= 0.25
    assert made.trails(torch.tensor([0, 1]), limits(1.0, 8.0)).radius.max() == pytest.approx(0.25 * after.radius.max())


def test_long_records_are_thinned_and_keep_their_ends():
    count = 3 * MOST_POINTS
    trails = book(torch.linspace(0, 1, count, dtype=torch.float64)[:, None]).trails(
        torch.tensor([0]), limits(1.0, attracting=(0,))
    )
    assert len(trails.points) <= MOST_POINTS
    assert float(trails.points.max()) == 1.0
    assert int(trails.ahead.max()) == pytest.approx(count, rel=1e-3)


def test_paths_that_are_broken_are_not_recorded():
    made = book(column(0.0, math.nan), column(0.0, 1.0))
    assert len(made.trails(torch.tensor([0, 0]), limits(1.0, attracting=(0,))).points) == 2


def follow(trails, path):
    """At which step of the path, if any, the evidence suffices."""
    seen = Following.none(1, torch.device("cpu"))
    for step, z in enumerate(path):
        accepted, place = seen.see(trails, torch.tensor([0]), torch.tensor([[z]], dtype=torch.float64))
        assert bool(accepted) == (int(place) >= 0)
        if bool(accepted):
            return step
    return None


def test_evidence_takes_its_looks():
    way = column(*(0.9**t for t in range(60)))
    trails = book(way, spread=1.0).trails(torch.tensor([0]), limits(0.0, attracting=(0,)))
    assert follow(trails, [1.001 * 0.9**t for t in range(60)]) == EVERY * IN_A_ROW - 1
    assert follow(trails, [3.0] * 60) is None
    assert follow(trails, [math.nan] * 60) is None
    # One look off the trail and the count begins again.
    interrupted = [1.001 * 0.9**t for t in range(60)]
    interrupted[3] = 3.0
    assert follow(trails, interrupted) == EVERY * IN_A_ROW + 3


def test_an_orbit_that_falls_behind_is_not_on_the_trail():
    """It is near enough all the time, but drifts away from the recorded way."""
    way = torch.stack([torch.linspace(0, 1, 41), torch.zeros(41)], dim=1).to(torch.float64)
    made = book(way, spread=1.0)
    sets = LimitPoints(way[-1:], torch.tensor([0]), frozenset({0}))
    trails = made.trails(torch.tensor([0]), sets)
    for drift, expected in ((-1e-4, True), (1e-4, False)):
        seen = Following.none(1, torch.device("cpu"))
        taken = [
            bool(seen.see(trails, torch.tensor([0]), (z + torch.tensor([0.0, 0.02 + drift * t]))[None])[0])
            for t, z in enumerate(way)
        ]
        assert any(taken) == expected


def cost_and_labels(field, starts, trails):
    limits = sx.find_attractors(field, starts, sx.Protocol(trails=trails))
    return limits.cost.total, limits


@pytest.mark.parametrize("name", ["wells", "newton", "spirals"])
def test_a_search_ends_on_the_same_sets_with_fewer_evaluations(name):
    field, starts = {
        "wells": lambda: (
            LatentField.from_map(lambda z: torch.tanh(1.05 * z), latent_shape=2, dtype=torch.float64),
            sx.starts.box(1000, [-1, -1], [1, 1], seed=3),
        ),
        "newton": lambda: (oracles.newton_cube_roots().field, oracles.newton_cube_roots(count=1000).starts),
        "spirals": lambda: (_spirals(), sx.starts.gaussian(1000, seed=1)),
    }[name]()
    plain_cost, plain = cost_and_labels(field, starts, trails=False)
    cost, limits = cost_and_labels(field, starts, trails=True)
    assert len(limits.attractors) == len(plain.attractors)
    ends = [found.points[found.labels].flatten(1) for found in (limits, plain)]
    agree = (ends[0] - ends[1]).norm(dim=1) < 1e-6 * plain.spread
    assert float(agree.double().mean()) >= 0.999
    assert cost <= plain_cost
    assert limits.audit.agreed == limits.audit.checked
    if name != "newton":  # where everything is over in a dozen steps
        assert cost < 0.8 * plain_cost
    # A step count is what the orbit would have had: its own steps and those that were left on the trail.
    assert float(limits.orbits.steps.double().mean()) == pytest.approx(
        float(plain.orbits.steps.double().mean()), rel=0.15
    )


def _spirals():
    """Two spiral sinks at ±1 of a twisted double well: long channels that wind into each other."""

    def function(z):
        x, y = z[:, :1], z[:, 1:]
        return torch.cat([x + 0.02 * (x - x**3) - 0.08 * y, y - 0.02 * y + 0.08 * (x**3 - x)], dim=1).clamp(-3, 3)

    return LatentField.from_map(function, latent_shape=2, dtype=torch.float64)


def test_a_fork_that_shows_later_releases_those_who_passed_it():
    """All recorded orbits end at 0. When a set is found beside their trail, those captured near it are asked again."""
    made = book(column(4.0, 2.0, 1.0, 0.5), spread=10.0)
    before = made.trails(torch.tensor([0]), limits(0.0, attracting=(0,)))
    assert bool(before.look(column(2.05))[2])
    after = made.trails(torch.tensor([0]), limits(0.0, 2.1, attracting=(0,)))
    assert not bool(after.look(column(2.05))[2])


def test_one_start_that_is_lost_does_not_end_the_trails():
    """A start of the second generation is NaN, as encodings of broken inputs are; the others still make trails."""

    def encode(x):
        return torch.where(x[:, :1] > 50, torch.nan, torch.tanh(1.05 * x))

    field = LatentField(encode, lambda z: z, latent_shape=(2,), dtype=torch.float64)
    data = sx.starts.gaussian(1000, seed=2).block(field, 0, 1000)
    data[40] = 100.0
    costs = []
    for trails in (False, True):
        with pytest.warns(sx.errors.ConvergenceWarning, match="NONFINITE"):
            costs.append(cost_and_labels(field, sx.starts.encoded(data), trails)[0])
    assert costs[1] < 0.8 * costs[0]


@pytest.mark.parametrize(("minority", "seed"), [(0.005, 1), (0.01, 2), (0.02, 0)])
def test_a_late_fork_deceives_trails_and_not_the_default(minority, seed):
    """No recorded orbit may have taken the smaller branch. The default labels every start right; with trails nothing is claimed."""
    oracle = oracles.late_fork(minority, count=1000, seed=seed)
    limits = sx.find_attractors(oracle.field, oracle.starts)
    threshold = 2 * minority - 1
    side = torch.where(oracle.starts[:, 1] > threshold, 2.0, -2.0)
    assert bool((limits.labels >= 0).all())
    assert (limits.points[limits.labels][:, 1] - threshold - side).abs().max() < 1e-9
    assert limits.notes == ()
    guessed = sx.find_attractors(oracle.field, oracle.starts, sx.Protocol(trails=True))
    assert guessed.cost.total < 0.6 * limits.cost.total
    (note,) = guessed.notes
    assert "of 1,000 starts were given their set because they kept to the way of an earlier start" in note
    assert "not certain" in note
