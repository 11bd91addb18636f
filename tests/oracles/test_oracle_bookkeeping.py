"""Costs, paths and observers of an iteration, on maps whose orbits are known."""

from __future__ import annotations

import pytest
import torch
from known_sets import SYSTEMS

import separatrix as sx
from separatrix import Protocol, Status
from separatrix.orbits import MeanDistance
from separatrix.testing import assert_model_untouched, oracles
from separatrix.testing.oracles import mean_distance_to_origin

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")

SOME = [
    "product of three tanh(2z)",
    "logistic 3.5",
    "affine contraction",
    "projection",
    "invariant curve",
    "tanh(z)",
]


class Counting:
    """A map that counts the latents it was applied to."""

    def __init__(self, field: sx.LatentField) -> None:
        self.seen = 0
        self.inner = field

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        self.seen += len(z)
        return self.inner.bare(z)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("batch_size", [None, 7])
def test_cost_is_what_was_spent(name, batch_size):
    oracle = SYSTEMS[name]()
    counter = Counting(oracle.field)
    field = sx.LatentField.from_map(counter, oracle.field.latent_shape, dtype=torch.float64)
    field.examine(oracle.starts)  # once per field, and no result's work
    counter.seen = 0
    orbits = sx.iterate(field, oracle.starts, Protocol(max_steps=250), batch_size=batch_size)
    assert orbits.cost.map == counter.seen
    assert orbits.cost.vjp == orbits.cost.jvp == 0


@pytest.mark.parametrize(
    "name", ["product of three tanh(2z)", "logistic 3.5", "affine contraction, slow", "ghost of a fold"]
)
def test_a_finished_orbit_costs_nothing_more(name):
    oracle = SYSTEMS[name]()
    orbits = sx.iterate(oracle.field, oracle.starts)
    assert orbits.steps.sum() <= orbits.cost.map <= orbits.steps.sum() + 16 * len(orbits)


def test_the_budget_is_kept():
    oracle = oracles.scaling(rho=0.95, dim=2)
    orbits = sx.iterate(oracle.field, oracle.starts, Protocol(max_steps=50))
    assert set(orbits.counts) == {Status.BUDGET}
    assert (orbits.steps <= 50).all()
    assert (orbits.steps >= 49).all()
    assert orbits.cost.map <= 51 * len(orbits)
    assert torch.allclose(orbits.rate, torch.tensor(0.95, dtype=torch.float64), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SOME)
def test_stored_paths_are_the_orbits(name):
    oracle = SYSTEMS[name]()
    orbits = sx.iterate(oracle.field, oracle.starts, Protocol(max_steps=250), store_paths=True)
    paths = orbits.paths
    assert paths.shape[0] == len(oracle.starts)
    assert paths.shape[1] >= int(orbits.steps.max()) + 1
    assert torch.equal(paths[:, 0], oracle.starts)
    for row in range(0, len(paths), 5):
        steps = int(orbits.steps[row])
        path = paths[row, : steps + 1]
        assert (oracle.field(path[:-1]) - path[1:]).abs().max() <= 1e-12 if steps else True
        assert torch.equal(path[-1], orbits.points[row])
        assert (paths[row, steps:] == orbits.points[row]).all(), "padded with the end point"
    without = sx.iterate(oracle.field, oracle.starts, Protocol(max_steps=250))
    assert without.paths is None
    assert torch.equal(without.steps, orbits.steps)
    assert torch.equal(without.points, orbits.points)


def test_mean_distance_of_a_linear_map():
    oracle = oracles.scaling(rho=0.9, dim=3)
    for protocol in (Protocol(), Protocol(max_steps=30), Protocol.paper()):
        orbits = sx.iterate(
            oracle.field,
            oracle.starts,
            protocol,
            observers=[MeanDistance(torch.zeros(1, 3, dtype=torch.float64))],
        )
        expected = mean_distance_to_origin(oracle.starts.norm(dim=1), 0.9, orbits.steps)
        observed = torch.as_tensor(orbits.observed["mean_distance"])
        assert observed.shape == (len(oracle.starts),)
        assert torch.allclose(observed.double(), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["product of three tanh(2z)", "logistic 3.5", "invariant curve in 6 dimensions"])
@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_mean_distance_to_the_nearest_of_many(name, batch_size):
    oracle = SYSTEMS[name]()
    starts = oracle.starts[:16]
    points = torch.cat([known.points for known in oracle.attractors])
    protocol = Protocol(max_steps=150)
    orbits = sx.iterate(
        oracle.field,
        starts,
        protocol,
        observers=[MeanDistance(points)],
        store_paths=True,
        batch_size=batch_size,
    )
    for row in range(0, len(orbits), 3):
        path = orbits.paths[row, : int(orbits.steps[row]) + 1]
        expected = (path[:, None] - points[None]).norm(dim=2).amin(dim=1).mean()
        assert float(orbits.observed["mean_distance"][row]) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)
    plain = sx.iterate(oracle.field, starts, protocol, batch_size=batch_size)
    assert torch.equal(plain.points, orbits.points)
    assert torch.equal(plain.status, orbits.status)
    assert plain.cost.map == orbits.cost.map, "watching costs no evaluations"


@pytest.mark.filterwarnings("ignore::separatrix.errors.ModelWarning")
def test_a_search_leaves_the_model_alone():
    oracle = oracles.pca_autoencoder()
    for module in oracle.field.modules:
        module.train()
    with assert_model_untouched(oracle.field):
        sx.find_attractors(oracle.field, oracle.starts)
        sx.iterate(oracle.field, oracle.starts)
        sx.find_fixed_points(oracle.field, oracle.starts)
