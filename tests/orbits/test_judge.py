"""How an orbit ends, on maps whose behaviour is known: each status from its own kind of motion, and no other."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import separatrix as sx
from separatrix import LatentField, Protocol, Status

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
few = settings(max_examples=8, deadline=None, derandomize=True)


def field_of(function, k=1, dtype=torch.float64):
    return LatentField.from_map(function, latent_shape=(k,), dtype=dtype)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def turn(angle, factor=1.0):
    c, s = factor * math.cos(angle), factor * math.sin(angle)
    matrix = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    return lambda z: z @ matrix.to(z).T


def onto_circle(angle, rate=0.5):
    """Turns by ``angle`` while the radius goes to 1: every orbit ends on the unit circle."""
    rotate = turn(angle)

    def function(z):
        r = z.norm(dim=1, keepdim=True)
        return rotate(z / r) * (1 + rate * (r - 1))

    return function


@few
@given(rho=st.floats(0.3, 0.99), start=st.floats(0.5, 5), others=st.lists(st.floats(0, 1), min_size=2, max_size=4))
def test_the_error_estimate_is_the_distance_within_a_factor_of_three(rho, start, others):
    """Distance to the limit of z ← Az with eigenvalues ρ and others, well below ρ so that ρ has taken over at the end."""
    rates = torch.tensor([rho, *(0.8 * rho * share for share in others)], dtype=torch.float64)
    starts = start * torch.stack([torch.ones_like(rates), -torch.ones_like(rates), rates + 0.1])
    orbits = sx.iterate(field_of(lambda z: z * rates, len(rates)), starts)
    assert set(orbits.counts) == {Status.CONVERGED}
    ratio = orbits.error / orbits.points.norm(dim=1)
    assert ratio.min() > 1 / 3
    assert ratio.max() < 3
    assert (orbits.error <= 1e-5 * orbits.spread).all()


@few
@given(rho=st.floats(0.3, 0.995), float32=st.booleans())
def test_the_rate_is_the_contraction_rate(rho, float32):
    dtype = torch.float32 if float32 else torch.float64
    orbits = sx.iterate(field_of(lambda z: rho * z, dtype=dtype), column(-2, -1, 1, 3))
    assert set(orbits.counts) == {Status.CONVERGED}
    assert (orbits.rate - rho).abs().max() < (1e-3 if float32 else 1e-6)


@pytest.mark.parametrize("rho", [0.3, 0.9, 0.98])
@pytest.mark.parametrize("shift", [0.0, 10.0, -1000.0])
def test_far_from_the_origin_the_end_point_is_as_good_as_float32_allows(rho, shift):
    """Rounding freezes the orbit at some distance from the limit; the estimate says how far, and the status is honest."""
    field = field_of(lambda z: shift + rho * (z - shift), dtype=torch.float32)
    orbits = sx.iterate(field, column(-2, -1, 1, 3) + shift)
    assert set(orbits.counts) <= {Status.CONVERGED, Status.SLOW}
    distance = (orbits.points.double() - shift).abs().flatten()
    unit = 2.0**-23 * abs(shift) / (1 - rho)
    assert (distance <= 3 * orbits.error + unit).all()
    assert (distance[orbits.reached] <= 1e-3 * orbits.spread).all()


@pytest.mark.parametrize("rho", [-0.3, -0.9, -0.98, -0.99])
def test_flipping_towards_a_fixed_point_is_not_a_cycle(rho):
    """z ← ρz with ρ near −1 comes back almost to where it was two steps before, but it is on its way to 0."""
    orbits = sx.iterate(field_of(lambda z: rho * z), column(-2, -0.5, 1, 3))
    assert set(orbits.counts) == {Status.CONVERGED}
    assert (orbits.period == 1).all()
    assert orbits.points.abs().max() <= 1e-4 * orbits.spread


@pytest.mark.parametrize(("p", "q"), [(1, 2), (1, 3), (2, 5), (3, 7), (5, 12), (11, 31), (1, 63), (27, 64), (1, 64)])
def test_periods_up_to_the_longest_looked_for(p, q):
    orbits = sx.iterate(field_of(onto_circle(2 * math.pi * p / q), 2), sx.starts.gaussian(12, seed=q))
    assert set(orbits.counts) == {Status.PERIODIC}
    assert (orbits.period == q).all()
    assert (orbits.points.norm(dim=1) - 1).abs().max() <= 1e-4


@pytest.mark.parametrize(("p", "q"), [(1, 65), (1, 128), (32, 67)])
def test_periods_just_above_are_not_given_a_wrong_number(p, q):
    """A step of constant length does not shrink: such an orbit wanders, for all that the protocol can see."""
    field, starts = field_of(onto_circle(2 * math.pi * p / q), 2), sx.starts.gaussian(40, seed=q)
    orbits = sx.iterate(field, starts, Protocol(max_steps=600))
    assert set(orbits.counts) == {Status.WANDERING}
    assert (orbits.period == 0).all()
    assert (sx.iterate(field, starts, Protocol(max_period=q)).period == q).all()


@few
@given(rate=st.floats(-0.93, 0.93))
def test_a_cycle_is_found_however_fast_it_attracts(rate):
    """The circle map above with a radius that contracts at ``rate``: the cycle's distance falls like rate^t."""
    orbits = sx.iterate(field_of(onto_circle(2 * math.pi / 3, rate), 2), sx.starts.gaussian(6, seed=1))
    assert set(orbits.counts) == {Status.PERIODIC}
    assert (orbits.period == 3).all()


@pytest.mark.parametrize("golden", [0.6180339887, 0.41421356, 0.7320508])
def test_irrational_turns_are_not_periodic(golden):
    orbits = sx.iterate(field_of(turn(2 * math.pi * golden), 2), sx.starts.gaussian(6), Protocol(max_steps=600))
    assert set(orbits.counts) == {Status.WANDERING}


@pytest.mark.parametrize("function", [torch.tanh, lambda z: z / (1 + z.abs())], ids=["cubic", "quadratic"])
def test_slow_is_what_decays_like_a_power(function):
    orbits = sx.iterate(field_of(function), column(-1, 0.5, 1), Protocol(max_steps=900))
    assert set(orbits.counts) == {Status.SLOW}


def test_budget_is_what_still_contracts():
    field, starts = field_of(lambda z: 0.99 * z), column(-1, 1, 2)
    orbits = sx.iterate(field, starts, Protocol(max_steps=900))
    assert set(orbits.counts) == {Status.BUDGET}
    assert (orbits.steps == 900).all()
    assert set(sx.iterate(field, starts).counts) == {Status.CONVERGED}


def test_wandering_is_chaos():
    """Chaos neither contracts towards something nor comes to rest, whatever its last few steps happen to look like."""
    starts = 0.05 + 0.9 * (0.6180339887498949 * torch.arange(100, dtype=torch.float64)[:, None] % 1)
    orbits = sx.iterate(field_of(lambda x: 4 * x * (1 - x)), starts, Protocol(max_steps=1000))
    assert set(orbits.counts) == {Status.WANDERING}
    assert (orbits.steps == 1000).all()


def test_landing_on_a_repeller_is_not_convergence():
    """One step takes x = 1 − ε to 4ε(1 − ε), next to the repelling 0: the steps there are small, and *grow* fourfold."""
    starts = 1 - column(1e-9, 1e-10, 1e-11, 1e-12)
    field = field_of(lambda x: 4 * x * (1 - x))
    path = [starts]
    for _ in range(15):
        path.append(field(path[-1]))
    assert (path[15] > 1e-4).all(), "they are on their way out"
    orbits = sx.iterate(field, starts, Protocol(max_steps=40))
    assert Status.CONVERGED not in orbits.counts


@pytest.mark.parametrize("function", [lambda z: 2 * z, lambda z: z + 1, lambda z: -1.5 * z, lambda z: z * z.abs() * 3])
def test_diverged_is_what_leaves(function):
    orbits = sx.iterate(field_of(function), column(1, 1.5, 2), Protocol(max_steps=1000))
    assert set(orbits.counts) == {Status.DIVERGED}


def test_a_transient_of_any_height_is_not_divergence():
    """A Jordan block of ten with ρ = 0.8 and 5 above the diagonal: orbits rise more than 10⁶ spreads before they fall to the sink."""
    block = 0.8 * torch.eye(10, dtype=torch.float64) + 5 * torch.diag(torch.ones(9, dtype=torch.float64), 1)
    starts = torch.randn(20, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    highest = torch.stack([starts @ torch.linalg.matrix_power(block, n).T for n in range(100)]).norm(dim=2).max()
    field = field_of(lambda z: z @ block.to(z).T, 10)
    orbits = sx.iterate(field, starts)
    assert highest > 1e6 * orbits.spread
    assert set(orbits.counts) == {Status.CONVERGED}
    assert orbits.points.norm(dim=1).max() < 1e-3 * orbits.spread
    limits = sx.find_attractors(field, starts)
    assert limits.labels.tolist() == [0] * 20
    assert limits.stable.tolist() == [1]


def test_a_long_way_is_not_divergence():
    """All starts far from the only attractor: the march is long and straight, and ends."""
    orbits = sx.iterate(field_of(lambda z: 0.97 * z), 1e4 + column(-1, 0, 1))
    assert set(orbits.counts) == {Status.CONVERGED}


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_nonfinite_is_nan_or_infinity(value):
    field = field_of(lambda z: torch.where(z.abs() < 0.1, value, 0.5 * z))
    orbits = sx.iterate(field, column(-1, 1, 2))
    assert set(orbits.counts) == {Status.NONFINITE}
    assert orbits.points.isfinite().all()


def test_a_slow_passage_is_not_an_end():
    """Near the ghost of a fold the step falls to 1e-4 and grows again; no orbit may end there."""
    orbits = sx.iterate(
        field_of(lambda z: torch.where(z < 1, z + 1e-4 + 0.1 * z**2, 0.5 * z + 1)), column(-1, -0.5, 0.9)
    )
    assert set(orbits.counts) == {Status.CONVERGED}
    assert (orbits.points - 2).abs().max() < 1e-4


def test_a_start_on_a_fixed_point_is_at_its_end():
    orbits = sx.iterate(field_of(lambda z: 0.5 * z), column(0, 1, 0))
    assert set(orbits.counts) == {Status.CONVERGED}
    assert orbits.error[[0, 2]].tolist() == [0, 0]
    assert orbits.steps[[0, 2]].max() <= 16


def test_a_start_that_is_within_the_tolerance_ends_with_the_patience_of_the_rule():
    """What lies before the start is not known, and is no long step. Steps 0 to 2 tell the rate over one step and over two; from there on so many must agree."""
    orbits = sx.iterate(field_of(lambda z: 0.5 * z), column(1e-7, 1, -1))
    assert orbits.steps[0] == 1 + Protocol().stopping.patience
    assert orbits.status[0] == Status.CONVERGED


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_protocol_means_the_same_in_all_units(scale):
    starts = scale * column(-2, -1, 0.5, 1.5)
    orbits = sx.iterate(field_of(lambda z: scale * torch.tanh(2 * z / scale)), starts)
    assert set(orbits.counts) == {Status.CONVERGED}
    assert torch.allclose(orbits.points.abs() / scale, column(*[0.957504] * 4), rtol=0, atol=2e-5)


def test_the_squared_step_rule_is_the_papers_rule():
    rules = Protocol(stop="squared_step", tolerance=1e-6, max_steps=3000)
    orbits = sx.iterate(field_of(torch.tanh), column(1.0), rules)
    z, steps = 1.0, 0
    while (math.tanh(z) - z) ** 2 >= 1e-6:
        z, steps = math.tanh(z), steps + 1
    assert orbits.steps.item() == steps
    assert orbits.points.item() == pytest.approx(z, abs=1e-14)
    assert orbits.status.item() == Status.CONVERGED


def test_looser_tolerance_never_takes_longer():
    starts = column(-3, -1, 0.2, 2)
    steps = [
        sx.iterate(field_of(lambda z: torch.tanh(2 * z)), starts, Protocol(tolerance=tolerance)).steps
        for tolerance in (1e-2, 1e-4, 1e-6, 1e-8)
    ]
    for loose, tight in itertools.pairwise(steps):
        assert (loose <= tight).all()
        assert (loose < tight).any()
