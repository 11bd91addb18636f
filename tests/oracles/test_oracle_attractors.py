"""`find_attractors` finds exactly the known attractors: positions, periods, multipliers, who ends where."""

from __future__ import annotations

import pytest
import torch
from known_sets import (
    ATTRACTING,
    assert_found,
    iterated,
    multiset_distance,
    oracle_of,
    plain_labels,
    searched,
)

import separatrix as sx
from separatrix import Protocol, Status
from separatrix.limitsets import Kind
from separatrix.testing import oracles


@pytest.mark.parametrize("name", ATTRACTING)
def test_exactly_the_known_attractors(name):
    oracle, limits = oracle_of(name), searched(name)
    found = [assert_found(limits, known, oracle.field) for known in oracle.attractors]
    assert sorted(found) == torch.nonzero(limits.stable == 1).flatten().tolist()
    assert len(limits.attractors) == len(oracle.attractors)


@pytest.mark.parametrize("name", ATTRACTING)
def test_every_start_is_labelled_by_where_it_goes(name):
    oracle, limits = oracle_of(name), searched(name)
    index = torch.tensor([assert_found(limits, known, oracle.field) for known in oracle.attractors])
    assert torch.equal(limits.labels, index[plain_labels(oracle, oracle.starts)])


@pytest.mark.parametrize("name", ATTRACTING)
def test_hits_and_order(name):
    limits = searched(name)
    counted = torch.bincount(limits.labels[limits.labels >= 0], minlength=len(limits))
    assert torch.equal(limits.hits, counted)
    assert (limits.hits.diff() <= 0).all(), "most hits first"
    assert torch.equal(limits.fractions, counted.double() / len(limits.labels))
    assert len(limits.labels) == len(limits.orbits) == len(oracle_of(name).starts)


@pytest.mark.parametrize("name", ATTRACTING)
def test_statuses_of_the_search(name):
    oracle, limits = oracle_of(name), searched(name)
    assert set(limits.orbits.counts) <= oracle.statuses
    assert limits.orbits.reached.all()


@pytest.mark.parametrize("name", ATTRACTING)
def test_plain_iteration_ends_near_what_it_reached(name):
    """The stop rule's promise: the estimated distance is below the tolerance, and the estimate is honest."""
    oracle, orbits = oracle_of(name), iterated(name)
    assert set(orbits.counts) <= oracle.statuses - {Status.CAPTURED}
    truth = torch.stack([known.defect(orbits.points) for known in oracle.attractors]).min(dim=0).values
    assert (orbits.error <= Protocol().tolerance * orbits.spread * (1 + 1e-12)).all()
    assert (truth <= 10 * Protocol().tolerance * orbits.spread).all()
    assert orbits.spread == pytest.approx(
        float((oracle.starts - oracle.starts.mean(0)).square().flatten(1).sum(1).mean().sqrt()), rel=1e-9
    )
    (period,) = {known.period for known in oracle.attractors}
    assert (orbits.period == period).all()


@pytest.mark.parametrize("name", ATTRACTING)
def test_the_reported_residual_is_that_of_the_reported_point(name):
    oracle, orbits = oracle_of(name), iterated(name)
    image = orbits.points
    for _ in range(int(orbits.period[0])):
        image = oracle.field(image)
    again = (image - orbits.points).flatten(1).norm(dim=1)
    floor = 1e-14 * (1 + orbits.points.flatten(1).norm(dim=1))
    assert ((again - orbits.residual).abs() <= 1e-9 * again + floor).all()


@pytest.mark.parametrize("name", ATTRACTING)
def test_steps_are_applications_of_the_map(name):
    oracle, orbits = oracle_of(name), iterated(name)
    replay = oracle.starts.clone()
    for step in range(int(orbits.steps.max())):
        moving = orbits.steps > step
        replay[moving] = oracle.field(replay[moving])
    assert (replay - orbits.points).abs().max() <= 1e-10


def test_estimates_on_a_linear_map_are_exact():
    orbits = iterated("scaling by 0.9")
    truth = orbits.points.norm(dim=1)
    assert torch.allclose(orbits.rate, torch.full_like(orbits.rate, 0.9), rtol=0, atol=1e-6)
    assert torch.allclose(orbits.error, truth, rtol=1e-4, atol=0)
    assert torch.allclose(orbits.residual, 0.1 * truth, rtol=1e-9, atol=1e-15)


def test_stable_is_not_the_same_as_contracting():
    oracle, limits = oracle_of("non-normal"), searched("non-normal")
    index = assert_found(limits, oracle.limit_sets[0], oracle.field)
    assert float(limits.spectral_radius[index]) == pytest.approx(0.5, abs=1e-6)
    assert float(limits.spectral_norm[index]) == pytest.approx(10.024938, abs=1e-6)
    assert int(limits.stable[index]) == 1


def test_a_complex_pair_is_not_read_by_its_real_part():
    limits = searched("rotation-scaling")
    assert float(limits.spectral_radius[0]) == pytest.approx(0.9, abs=1e-9)
    pair = torch.tensor([complex(0.45, 0.9 * 0.75**0.5), complex(0.45, -0.9 * 0.75**0.5)], dtype=torch.complex128)
    assert multiset_distance(limits.eigenvalues[0], pair) < 1e-9


@pytest.mark.parametrize("name", ["product of three tanh(2z)", "logistic 3.5", "Newton for z³ = 1", "tilted well"])
def test_float32_models_get_float64_answers(name):
    oracle = oracle_of(name)
    limits = sx.find_attractors(oracle.field.to(dtype=torch.float32), oracle.starts.float())
    assert limits.points.dtype == torch.float64
    # Only maps whose parameters are Python numbers: captured tensors are themselves rounded to float32.
    found = [assert_found(limits, known, oracle.field, multiplier=1e-5) for known in oracle.attractors]
    assert len(limits.attractors) == len(found)


def test_a_trivial_field_is_called_trivial():
    trivial = oracles.scaling(rho=0.01, dim=5)
    assert any("trivial" in note.lower() for note in sx.find_attractors(trivial.field, trivial.starts).notes)
    assert not any("trivial" in note.lower() for note in searched("product of three tanh(2z)").notes)


def test_views_renumber_their_labels():
    oracle = oracles.tanh_product(dim=2)
    on_saddles = oracle.starts.clone()
    on_saddles[:40, 0] = 0.0
    limits = sx.find_attractors(oracle.field, on_saddles)
    attractors, saddles = limits.attractors, limits.saddles
    assert (attractors.labels[:40] == -1).all()
    assert (attractors.labels[40:] >= 0).all()
    assert (saddles.labels[:40] >= 0).all()
    assert (saddles.labels[40:] == -1).all()
    for view in (attractors, saddles):
        kept = view.labels >= 0
        ends = oracle.field(oracle.field(view.points))[view.labels[kept]]
        z = on_saddles[kept]
        for _ in range(200):
            z = oracle.field(z)
        assert (z - ends).abs().max() < 1e-9
    assert len(limits.of_kind(Kind.FIXED_POINT)) == len(limits)
