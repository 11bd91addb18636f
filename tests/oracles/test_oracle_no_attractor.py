"""Systems in which nothing attracts: none may be reported, and every orbit must say what it saw."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from known_sets import NOT_ATTRACTING, index_of, iterated, oracle_of, quiet_search, searched

import separatrix as sx
from separatrix import Protocol, Status
from separatrix.errors import ConvergenceWarning, NotConvergedError
from separatrix.limitsets import Kind
from separatrix.testing import oracles

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")


@pytest.mark.parametrize("name", NOT_ATTRACTING)
def test_no_attractor_is_reported(name):
    limits = searched(name)
    assert (limits.stable != 1).all()
    assert len(limits.attractors) == 0


@pytest.mark.parametrize("name", NOT_ATTRACTING)
def test_statuses(name):
    expected = oracle_of(name).statuses
    orbits = iterated(name)
    if name == "translation":
        assert not orbits.reached.any()
        assert orbits.status.ne(int(Status.SLOW)).all(), "its steps do not shrink"
    elif expected == {Status.SLOW}:
        assert not orbits.reached.any(), "test_algebraic_decay_is_called_slow says more"
    else:
        assert set(orbits.counts) <= expected


@pytest.mark.parametrize("name", ["doubling", "translation"])
def test_escaping_orbits_have_no_limit_set(name):
    limits = searched(name)
    assert len(limits) == 0
    assert (limits.labels == -1).all()
    assert limits.labels.shape == (len(oracle_of(name).starts),)


def test_translation_diverges_by_the_end_of_its_budget():
    """It never overflows; what tells divergence from a long way is that it has not come back by the end."""
    oracle = oracles.translation()
    orbits = sx.iterate(oracle.field, oracle.starts, Protocol(divergence=100.0, max_steps=2000))
    assert set(orbits.counts) == {Status.DIVERGED}
    distance = (orbits.points - oracle.starts.mean(0)).norm(dim=1) / orbits.spread
    assert distance.min() > 100
    assert orbits.steps.tolist() == [2000] * len(orbits)


def test_doubling_is_followed_until_its_numbers_overflow():
    """From z of order 1 a step of 2^n is no float64 number whose square is, for n from about 512 on."""
    orbits = iterated("doubling")
    assert orbits.steps.min() > 500
    assert orbits.steps.max() < 520
    assert orbits.points.isfinite().all()


@pytest.mark.parametrize("turns", [Fraction(1, 2), Fraction(1, 3), Fraction(2, 5), Fraction(3, 7), Fraction(5, 64)])
def test_rotations_are_periodic_and_attract_nothing(turns):
    oracle = oracles.rotation(turns)
    orbits = sx.iterate(oracle.field, oracle.starts)
    assert set(orbits.counts) == {Status.PERIODIC}
    assert (orbits.period == turns.denominator).all()
    limits = quiet_search(oracle)
    assert (limits.stable != 1).all()
    assert not (limits.kind == int(Kind.CLOSED_CURVE)).any()


@pytest.mark.parametrize("name", ["PCA autoencoder", "projection"])
def test_a_continuum_is_one_continuum(name):
    oracle, limits = oracle_of(name), searched(name)
    (known,) = oracle.limit_sets
    assert [Kind(int(kind)) for kind in limits.kind] == [Kind.CONTINUUM]
    assert int(limits.stable) != 1
    assert int(limits.unstable_directions) == 0
    assert known.defect(limits.points).max() < 1e-9
    ones = (limits.eigenvalues[0] - 1).abs() < 1e-6
    zeros = limits.eigenvalues[0].abs() < 1e-6
    assert int(ones.sum()) == int((known.eigenvalues == 1).sum())
    assert int(zeros.sum()) == int((known.eigenvalues == 0).sum())


@pytest.mark.parametrize(("name", "steps"), [("PCA autoencoder", 0), ("projection", 1)])
def test_a_projection_arrives_in_one_step(name, steps):
    oracle, orbits = oracle_of(name), iterated(name)
    assert set(orbits.counts) == {Status.CONVERGED}
    expected = oracle.starts if steps == 0 else oracle.field(oracle.starts)
    assert (orbits.points - expected).abs().max() < 1e-13
    assert orbits.residual.max() < 1e-13
    assert (orbits.steps >= steps).all()
    assert (orbits.steps <= steps + 4).all(), "a few more steps show that nothing moves any more"


@pytest.mark.parametrize("max_steps", [80, 500])
def test_tanh_is_not_converged_where_its_steps_are_small(max_steps):
    """After 80 steps the orbits are still 0.14 away, and their steps are 0.001."""
    oracle = oracles.neutral_tanh()
    orbits = sx.iterate(oracle.field, oracle.starts, Protocol(max_steps=max_steps))
    assert not orbits.reached.any()
    far = oracle.starts.abs().flatten() > 0.5
    assert orbits.points.abs().flatten()[far].min() > (0.13 if max_steps == 80 else 0.05)


@pytest.mark.parametrize("name", ["tanh(z)", "Hopfield, beta 2"])
def test_algebraic_decay_is_called_slow(name):
    oracle = oracle_of(name)
    orbits = sx.iterate(oracle.field, oracle.starts, Protocol(max_steps=1000))
    assert not orbits.reached.any()
    # 1/distance² grows by a constant per step: an orbit that begins very near 0 has hardly moved after 1000 steps.
    (neutral,) = oracle.limit_sets
    shrunk = neutral.defect(orbits.points) < 0.5 * neutral.defect(oracle.field(oracle.starts))
    assert shrunk.float().mean() > 0.8
    assert (orbits.status[shrunk] == int(Status.SLOW)).all()
    assert (orbits.steps >= 999).all()
    assert ((orbits.rate > 0.99) & (orbits.rate < 1.01)).all()


def test_chaos_has_no_stable_set_of_any_kind():
    for oracle in (oracles.logistic(4.0), oracles.henon()):
        protocol = Protocol(max_steps=1200)
        orbits = sx.iterate(oracle.field, oracle.starts, protocol)
        assert set(orbits.counts) == {Status.WANDERING}, oracle.name
        assert (orbits.period == 0).all()
        limits = quiet_search(oracle, protocol=protocol)
        assert (limits.stable != 1).all()
        assert not ((limits.hits > 0) & (limits.kind <= int(Kind.CLOSED_CURVE))).any()


@pytest.mark.parametrize("call", [sx.iterate, sx.find_attractors])
def test_what_does_not_converge_warns_or_raises(call):
    oracle = oracles.neutral_tanh(count=5)
    with pytest.warns(ConvergenceWarning, match="5"):
        call(oracle.field, oracle.starts, Protocol(max_steps=200))
    with pytest.raises(NotConvergedError):
        call(oracle.field, oracle.starts, Protocol(max_steps=200), throw=True)


@pytest.mark.parametrize("count", [1, 5])
def test_starts_on_a_saddle_stay_and_are_not_called_attracted(count):
    oracle = oracles.tanh_product()
    limits = quiet_search(oracle, torch.zeros(count, 1, dtype=torch.float64))
    assert len(limits) == 1
    assert Kind(int(limits.kind)) == Kind.FIXED_POINT
    assert limits.points.item() == pytest.approx(0, abs=1e-12)
    assert int(limits.stable) == 0
    assert int(limits.unstable_directions) == 1
    assert limits.eigenvalues[0, 0].item() == pytest.approx(2, abs=1e-6)
    assert len(limits.attractors) == 0
    assert len(limits.saddles) == 1


def test_saddles_reached_along_their_stable_manifold():
    """z₁ = 0 is invariant: those starts end on (0, ±x*) for ever, and these are saddles."""
    oracle = oracles.tanh_product(dim=2)
    starts = oracle.starts.clone()
    starts[::2, 0] = 0.0
    limits = quiet_search(oracle, starts)
    stable = {index_of(limits, known) for known in oracle.attractors}
    saddles = {
        index_of(limits, known)
        for known in oracle.limit_sets
        if known.unstable_directions == 1 and float(known.points[0, 0]) == 0
    }
    assert (len(stable), len(saddles), len(limits)) == (4, 2, 6)
    assert {int(i) for i in limits.labels[::2]} == saddles
    assert {int(i) for i in limits.labels[1::2]} == stable
    assert all(int(limits.stable[i]) == 0 and int(limits.unstable_directions[i]) == 1 for i in saddles)
