"""What must not matter does not: coordinates, units, order of starts, batch size, company in the batch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from known_sets import assert_found, oracle_of, plain_labels, quiet_search

import separatrix as sx
from separatrix import Protocol, Status
from separatrix.testing import oracles
from separatrix.testing.oracles import conjugated
from separatrix.testing.oracles._record import normal, orthogonal

FEW = settings(max_examples=4, deadline=None, derandomize=True)

MIXED = {
    "cube": lambda: oracles.tanh_product(dim=3, count=60),
    "two cycles": lambda: oracles.negated_tanh_product(dim=2, count=60),
    "four-cycle": lambda: oracles.logistic(3.5, count=40),
    "tilted well": lambda: oracles.tilted_well(tilt=0.2, count=60),
    "Newton": lambda: oracles.newton_cube_roots(count=60),
    "memories": lambda: oracles.hopfield(beta=4.0, dim=3, count=60),
}
ANY = pytest.mark.parametrize("make", MIXED.values(), ids=MIXED.keys())


def columns_agree(a: sx.LimitSets, b: sx.LimitSets) -> None:
    """The same sets in the same order, and the same columns."""
    assert len(a) == len(b)
    for name in ("kind", "period", "stable", "unstable_directions", "hits"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    assert (a.points - b.points).abs().max() <= 1e-9
    for i in range(len(a)):
        assert (a.trace(i) - b.trace(i)).abs().max() <= 1e-9
    assert (a.spectral_radius - b.spectral_radius).abs().max() <= 1e-6


@ANY
@FEW
@given(
    seed=st.integers(0, 1000),
    stretch=st.floats(1, 3),
    log_scale=st.floats(-3, 3),
    shift=st.floats(-5, 5),
)
def test_conjugation_moves_sets_and_keeps_the_rest(make, seed, stretch, log_scale, shift):
    oracle = make()
    k, scale = oracle.field.latent_dim, 10.0**log_scale
    stretches = torch.linspace(1, stretch, k, dtype=torch.float64)
    matrix = scale * orthogonal(k, seed) @ torch.diag(stretches) @ orthogonal(k, seed + 1)
    offset = shift * scale * normal(1, seed + 2, k)[0]
    moved = conjugated(oracle, matrix, offset)
    limits = sx.find_attractors(moved.field, moved.starts)
    size = scale * (1 + float(offset.norm()) / scale)
    index = torch.tensor([assert_found(limits, known, moved.field, scale=size) for known in moved.attractors])
    assert len(limits.attractors) == len(oracle.attractors)
    assert torch.equal(limits.labels, index[plain_labels(oracle, oracle.starts, steps=600)])


@ANY
@FEW
@given(exponent=st.integers(-30, 30))
def test_units_change_nothing_at_all(make, exponent):
    """In units of a power of two every operation is the same to the last bit, so every step count must be."""
    oracle = make()
    unit = 2.0**exponent
    protocol = Protocol(max_steps=1000)
    moved = conjugated(oracle, unit * torch.eye(oracle.field.latent_dim, dtype=torch.float64))
    plain, scaled = sx.iterate(oracle.field, oracle.starts, protocol), sx.iterate(moved.field, moved.starts, protocol)
    assert torch.equal(plain.status, scaled.status)
    assert torch.equal(plain.steps, scaled.steps)
    assert torch.equal(plain.period, scaled.period)
    assert (plain.points * unit - scaled.points).abs().max() <= 1e-12 * unit
    found, moved_found = (
        sx.find_attractors(oracle.field, oracle.starts, protocol),
        sx.find_attractors(moved.field, moved.starts, protocol),
    )
    assert torch.equal(found.labels, moved_found.labels)
    assert (found.points * unit - moved_found.points).abs().max() <= 1e-9 * unit


@ANY
@FEW
@given(seed=st.integers(0, 1000))
def test_permuting_the_starts_permutes_the_labels(make, seed):
    oracle = make()
    order = normal(1, seed, len(oracle.starts))[0].argsort()
    limits = sx.find_attractors(oracle.field, oracle.starts)
    shuffled = sx.find_attractors(oracle.field, oracle.starts[order])
    columns_agree(limits, shuffled)
    assert torch.equal(shuffled.labels, limits.labels[order])
    a, b = sx.iterate(oracle.field, oracle.starts), sx.iterate(oracle.field, oracle.starts[order])
    assert torch.equal(a.steps[order], b.steps)
    assert torch.equal(a.status[order], b.status)
    assert (a.points[order] - b.points).abs().max() <= 1e-12


@ANY
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batch_size_changes_nothing(make, batch_size):
    oracle = make()
    limits = sx.find_attractors(oracle.field, oracle.starts)
    batched = sx.find_attractors(oracle.field, oracle.starts, batch_size=batch_size)
    columns_agree(limits, batched)
    assert torch.equal(limits.labels, batched.labels)
    a, b = (
        sx.iterate(oracle.field, oracle.starts),
        sx.iterate(oracle.field, oracle.starts, batch_size=batch_size),
    )
    assert torch.equal(a.steps, b.steps)
    assert torch.equal(a.status, b.status)
    assert (a.points - b.points).abs().max() <= 1e-12


@ANY
def test_finished_company_changes_nothing(make):
    """Orbits that are at their goal from the first step, put before, between and after the others."""
    oracle = make()
    goal = torch.cat([known.points for known in oracle.attractors])
    half = len(oracle.starts) // 2
    company = torch.cat([goal, oracle.starts[:half], goal, oracle.starts[half:], goal])
    others = torch.ones(len(company), dtype=torch.bool)
    for first in (0, len(goal) + half, len(company) - len(goal)):
        others[first : first + len(goal)] = False
    assert torch.equal(company[others], oracle.starts)

    limits, accompanied = (
        sx.find_attractors(oracle.field, oracle.starts),
        sx.find_attractors(oracle.field, company),
    )
    match = torch.tensor([assert_found(limits, known, oracle.field) for known in oracle.attractors])
    other = torch.tensor([assert_found(accompanied, known, oracle.field) for known in oracle.attractors])
    renumber = torch.full((len(limits),), -1).scatter(0, match, other)
    assert len(limits) == len(accompanied)
    assert torch.equal(renumber[limits.labels], accompanied.labels[others])

    # Company also changes the spread, the unit of the default rule: the last step or two may differ, no more.
    a, b = sx.iterate(oracle.field, oracle.starts), sx.iterate(oracle.field, company)
    assert torch.equal(a.status, b.status[others])
    assert torch.equal(a.period, b.period[others])
    assert (a.steps - b.steps[others]).abs().max() <= 2 * int(a.period.max())


@pytest.mark.parametrize("name", ["cube", "tilted well", "Newton", "memories"])
def test_finished_company_changes_nothing_at_all_in_absolute_units(name):
    oracle = MIXED[name]()
    company = torch.cat([oracle.starts[:25], *(known.points for known in oracle.attractors), oracle.starts[25:]])
    others = torch.ones(len(company), dtype=torch.bool)
    others[25 : 25 + len(oracle.attractors)] = False
    protocol = Protocol(stop="squared_step", tolerance=1e-14)
    a, b = sx.iterate(oracle.field, oracle.starts, protocol), sx.iterate(oracle.field, company, protocol)
    assert torch.equal(a.steps, b.steps[others])
    assert torch.equal(a.status, b.status[others])
    assert (a.points - b.points[others]).abs().max() <= 1e-12
    assert (b.steps[~others] <= 3).all(), "company was to be finished"


def test_starts_as_a_description_are_the_same_starts():
    oracle = MIXED["cube"]()
    limits = sx.find_attractors(oracle.field, oracle.starts)
    described = sx.find_attractors(oracle.field, sx.starts.points(oracle.starts))
    columns_agree(limits, described)
    assert torch.equal(limits.labels, described.labels)


def fates(z):
    """Five systems side by side on the line; each start keeps to its own."""
    with_cycle, with_chaos = z - 1, z - 2
    image = torch.where(z < -1, 2 * z, 0.5 * z)
    image = torch.where((z >= 1) & (z <= 2), 1 + 3.2 * with_cycle * (1 - with_cycle), image)
    image = torch.where((z > 2) & (z < 3), 2 + 4 * with_chaos * (1 - with_chaos), image)
    return torch.where(z > 4, torch.sqrt(3 - z), image)


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_every_fate_in_one_batch(batch_size):
    """Orbits that finish at very different times, each by another rule, do not get into each other's way."""
    field = sx.LatentField.from_map(fates, latent_shape=(1,), dtype=torch.float64)
    bands = {
        Status.DIVERGED: (-2.0, -1.1),
        Status.CONVERGED: (-0.9, 0.9),
        Status.PERIODIC: (1.05, 1.95),
        Status.WANDERING: (2.05, 2.95),
        Status.NONFINITE: (4.1, 5.0),
    }
    rows = [low + (high - low) * torch.linspace(0.017, 0.971, 5).double() for low, high in bands.values()]
    starts = torch.stack(rows, dim=1).reshape(-1, 1)  # interleaved
    expected = torch.tensor([int(status) for status in bands]).repeat(5)
    protocol = Protocol(max_steps=600)
    orbits = sx.iterate(field, starts, protocol, batch_size=batch_size)
    assert orbits.status.tolist() == expected.tolist()
    assert orbits.period.reshape(5, 5)[:, 1:3].tolist() == [[1, 2]] * 5
    assert orbits.steps[expected == int(Status.NONFINITE)].max() <= 2
    assert orbits.points[expected == int(Status.NONFINITE)].isfinite().all(), "the last point that was one"

    oracle = oracles.Oracle(name="fates", field=field, starts=starts, limit_sets=(), statuses=frozenset())
    limits = quiet_search(oracle, protocol=protocol)
    assert sorted(limits.attractors.period.tolist()) == [1, 2]
    labels = limits.attractors.labels.reshape(5, 5)
    assert (labels[:, [0, 3, 4]] == -1).all()
    one, two = (int((limits.attractors.period == p).nonzero()) for p in (1, 2))
    assert (labels[:, 1] == one).all()
    assert (labels[:, 2] == two).all()
    assert limits.attractors.points[one].item() == pytest.approx(0, abs=1e-9)
    cycle = oracle_of("logistic 3.2").attractors[0].points.flatten()
    assert limits.attractors.trace(two).flatten().sort().values.tolist() == pytest.approx(
        (1 + cycle.sort().values).tolist(), abs=1e-9
    )
    assert math.isclose(float(limits.attractors.spectral_radius[two]), 0.16, abs_tol=1e-6)
