"""Observers see each point once, record exactly what they say, and may end orbits."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix import LatentField, Protocol, Status
from separatrix.errors import InputError
from separatrix.orbits import FirstCrossings, MeanDistance, PathLength
from separatrix.orbits._observers import Snapshots


def halving(rho=0.5, k=2):
    return LatentField.from_map(lambda z: rho * z, latent_shape=(k,), dtype=torch.float64)


class Diary:
    """Writes down everything it is shown."""

    name = "diary"

    def begin(self, count, like):
        self.count, self.pages = count, []

    def see(self, orbit, step, z, f_z):
        self.pages += list(zip(orbit.tolist(), step.tolist(), z.clone(), f_z.clone(), strict=True))

    def result(self):
        return self.pages


class Fence:
    """Ends orbits that come within ``radius`` of the origin."""

    name = "fence"

    def __init__(self, radius):
        self.radius = radius

    def begin(self, count, like):
        self.ended = torch.zeros(count, dtype=torch.bool)

    def see(self, orbit, step, z, f_z):
        inside = z.norm(dim=1) < self.radius
        self.ended[orbit[inside]] = True
        return inside

    def result(self):
        return self.ended


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_every_point_of_every_orbit_is_shown_once(batch):
    field = halving()
    starts = sx.starts.gaussian(7, seed=1)
    orbits = sx.iterate(field, starts, observers=[Diary()], batch_size=batch, store_paths=True)
    pages = orbits.observed["diary"]
    seen = sorted((orbit, step) for orbit, step, _, _ in pages)
    assert seen == [(i, t) for i, n in enumerate(orbits.steps.tolist()) for t in range(n + 1)]
    for orbit, step, z, f_z in pages:
        assert torch.equal(z, orbits.paths[orbit, step])
        assert torch.equal(f_z, 0.5 * z)


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("rho", [0.3, 0.5, 0.9])
def test_path_length_is_the_sum_of_the_steps(batch, rho):
    starts = torch.tensor([[3.0, 4.0], [0.0, 1.0], [-6.0, 8.0], [0.1, 0.0]], dtype=torch.float64)
    orbits = sx.iterate(halving(rho), starts, observers=[PathLength()], batch_size=batch)
    exact = starts.norm(dim=1) * (1 - rho ** (orbits.steps + 1).double())
    assert torch.allclose(orbits.observed["path_length"], exact, rtol=1e-12, atol=0)


def test_mean_distance_is_the_papers_score():
    starts = torch.tensor([[3.0, 4.0], [0.0, 1.0], [-6.0, 8.0]], dtype=torch.float64)
    orbits = sx.iterate(halving(0.9), starts, observers=[MeanDistance(torch.zeros(1, 2))], batch_size=2)
    n = orbits.steps.double()
    exact = starts.norm(dim=1) * (1 - 0.9 ** (n + 1)) / (0.1 * (n + 1))
    assert torch.allclose(orbits.observed["mean_distance"], exact, rtol=1e-12, atol=0)


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_first_crossings_are_where_a_loop_would_have_stopped(batch):
    lengths = torch.tensor([1.0, 1e-2, 1e-4, 1e-30], dtype=torch.float64)
    starts = torch.linspace(-5, 5, 8, dtype=torch.float64)[:, None]
    field = LatentField.from_map(lambda z: torch.tanh(1.5 * z), latent_shape=(1,), dtype=torch.float64)
    orbits = sx.iterate(field, starts, observers=[FirstCrossings(lengths)], batch_size=batch)
    points, crossed = orbits.observed["first_crossings"]
    assert points.shape == (8, 4, 1)
    assert crossed[:, :3].all()
    assert not crossed[:, 3].any()
    for start, found in zip(starts, points, strict=True):
        for length, point in zip(lengths[:3], found, strict=False):
            z = start[None]
            while (field(z) - z).abs() >= length:
                z = field(z)
            assert torch.equal(z[0], point)


def test_an_observer_can_end_orbits():
    starts = torch.tensor([[3.0, 4.0], [0.0, 0.5], [-6.0, 8.0]], dtype=torch.float64)
    orbits = sx.iterate(halving(), starts, observers=[Fence(1.0)])
    assert orbits.status.tolist() == [Status.CAPTURED] * 3
    assert orbits.steps.tolist() == [3, 0, 4]
    assert orbits.reached.all()
    assert orbits.observed["fence"].all()
    assert (orbits.points.norm(dim=1) < 1).all()
    assert torch.equal(orbits.residual, 0.5 * orbits.points.norm(dim=1))
    assert orbits.cost.map == int((orbits.steps + 1).sum())


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_what_ended_otherwise_is_not_captured():
    """Overflow at the very step at which an observer says stop is still overflow."""
    field = LatentField.from_map(lambda z: z * torch.inf, latent_shape=(1,), dtype=torch.float64)

    class Always(Fence):
        def see(self, orbit, step, z, f_z):
            return torch.ones(len(z), dtype=torch.bool)

    orbits = sx.iterate(field, torch.tensor([[1.0], [2.0]]), observers=[Always(0)])
    assert orbits.status.tolist() == [Status.NONFINITE] * 2


def test_several_observers_each_keep_their_own():
    orbits = sx.iterate(
        halving(), sx.starts.gaussian(5), observers=[PathLength(), MeanDistance(torch.zeros(1, 2)), Diary()]
    )
    assert set(orbits.observed) == {"path_length", "mean_distance", "diary"}


def test_two_observers_of_one_name_are_refused():
    with pytest.raises(InputError, match="path_length, path_length"):
        sx.iterate(halving(), sx.starts.gaussian(5), observers=[PathLength(), PathLength()])


def test_an_observer_can_be_used_twice():
    observer = PathLength()
    first = sx.iterate(halving(), sx.starts.gaussian(5), observers=[observer]).observed["path_length"].clone()
    second = sx.iterate(halving(), sx.starts.gaussian(5), observers=[observer]).observed["path_length"]
    assert torch.equal(first, second)


def test_watching_a_budget_that_ends():
    with pytest.warns(sx.errors.ConvergenceWarning):
        orbits = sx.iterate(
            halving(0.99), sx.starts.gaussian(4), Protocol(max_steps=10), observers=[Diary()], batch_size=3
        )
    assert len(orbits.observed["diary"]) == 4 * 11


@pytest.mark.parametrize("batch", [None, 2])
def test_snapshots_are_the_orbit_at_those_steps_and_its_end_afterwards(batch):
    field, starts = halving(), sx.starts.gaussian(5, seed=2)
    orbits = sx.iterate(field, starts, observers=[Snapshots((0, 3, 10_000))], batch_size=batch)
    seen, z = orbits.observed["snapshots"], starts.block(field, 0, 5)
    assert torch.equal(seen[:, 0], z)
    assert torch.allclose(seen[:, 1], z / 8, atol=1e-15)
    assert torch.equal(seen[:, 2], orbits.points)
