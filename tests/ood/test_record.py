"""Trajectory statistics against the closed form of f = ρz, against the library's observers, and at the edges."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.ood._record import distance_to, follow
from separatrix.orbits._observers import MeanDistance, PathLength
from separatrix.testing.oracles import mean_distance_to_origin

ORIGIN = torch.zeros(1, 3, dtype=torch.float64)


def scaling(rho: float, dtype=torch.float64) -> sx.LatentField:
    return sx.LatentField.from_map(lambda z: rho * z, latent_shape=(3,), dtype=dtype)


def gaussian(count: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("steps", [1, 10, 60])
def test_the_mean_distance_of_a_scaling_is_its_closed_form(rho, steps):
    z = gaussian(40)
    run = follow(scaling(rho), z, ORIGIN, steps=steps)
    exact = mean_distance_to_origin(z.norm(dim=1), rho, torch.tensor(steps))
    assert ((run.mean - exact).abs() <= 1e-13 * exact).all()
    assert (run.largest == z.norm(dim=1)).all()
    assert ((run.end - z.norm(dim=1) * rho**steps).abs() <= 1e-13 * z.norm(dim=1)).all()
    path = z.norm(dim=1) * (1 - rho ** (steps + 1))
    assert ((run.path - path).abs() <= 1e-12 * path).all()
    assert (run.length == steps).all()
    assert run.evaluations == 40 * (steps + 1)
    assert run.scorable.all()


def test_it_is_what_the_observers_of_the_library_record():
    field = sx.LatentField.from_map(lambda z: (2 * z).tanh(), latent_shape=(3,), dtype=torch.float64)
    z = gaussian(50)
    points = 0.957504 * torch.tensor([[1.0, 1, 1], [-1, -1, -1], [1, -1, 1]], dtype=torch.float64)
    with pytest.warns(ConvergenceWarning):
        orbits = sx.iterate(
            field,
            z,
            sx.Protocol(stop="squared_step", tolerance=1e-300, max_steps=7),
            observers=[MeanDistance(points), PathLength()],
        )
    run = follow(field, z, points, steps=7)
    assert torch.equal(run.mean, orbits.observed["mean_distance"])
    assert torch.equal(run.path, orbits.observed["path_length"])


def test_the_papers_rule_ends_a_trajectory_at_the_first_small_step():
    z = torch.tensor([[1.0, 0, 0], [1e-3, 0, 0]], dtype=torch.float64)
    run = follow(scaling(0.5), z, ORIGIN, steps=100, tolerance=1e-6)
    # The step from z_t is ‖z₀‖ 2^−(t+1): its square is below 1e-6 from t = 9 on; for the other start at once.
    assert run.length.tolist() == [9, 0]
    assert run.mean[0].item() == pytest.approx((1 - 0.5**10) / 0.5 / 10, rel=1e-14)
    assert run.mean[1].item() == 1e-3


def test_an_orbit_at_rest_counts_as_resting_for_the_steps_that_are_not_evaluated():
    field = sx.LatentField.from_map(torch.round, latent_shape=(3,), dtype=torch.float64)
    z = torch.tensor([[3.0, 0, 0], [0.4, 0, 0]], dtype=torch.float64)
    run = follow(field, z, ORIGIN, steps=5, kept=6)
    assert run.mean.tolist() == pytest.approx([3.0, 0.4 / 6], rel=1e-15)
    assert run.distances.tolist() == [[3.0] * 6, [0.4, 0, 0, 0, 0, 0]]
    assert run.steps.tolist() == [[0.0] * 6, [0.4, 0, 0, 0, 0, 0]]
    assert run.evaluations < 12


def test_distances_are_exact_near_an_attractor_in_float32():
    z = torch.full((40, 3), 100.0) + 1e-3 * torch.tensor([1.0, 0, 0])
    points = torch.full((30, 3), 100.0)
    distance = distance_to(z, points, "euclidean")
    assert ((distance - (z[0, 0].double() - 100)).abs() <= 1e-12).all()
    # 1 − cos of an angle of 1e-6 is 5e-13: the textbook formula has lost ten of its digits.
    tilted = torch.tensor([[1.0, 1e-6, 0.0]], dtype=torch.float64)
    cosine = distance_to(tilted, torch.tensor([[2.0, 0.0, 0.0]], dtype=torch.float64), "cosine")
    assert cosine.item() == pytest.approx(5e-13, rel=1e-9)


def test_nan_infinity_and_divergence_cannot_be_scored():
    def function(z):
        return torch.where(z > 5, torch.full_like(z, torch.nan), torch.where(z < -5, 1e9 * z, 0.5 * z))

    field = sx.LatentField.from_map(function, latent_shape=(3,), dtype=torch.float64)
    z = torch.tensor([[1.0] * 3, [6.0] * 3, [-6.0] * 3, [torch.nan] * 3, [torch.inf] * 3], dtype=torch.float64)
    run = follow(field, z, ORIGIN, steps=5)
    assert run.scorable.tolist() == [True, False, False, False, False]
    nothing = follow(field, z[3:], ORIGIN, steps=5, kept=2)
    assert not nothing.scorable.any()
    assert nothing.distances.isnan().all()


def test_without_points_there_are_steps_but_no_distances():
    run = follow(scaling(0.5), gaussian(4), torch.empty(0, 3), steps=3, kept=4)
    assert run.mean.isnan().all()
    assert run.distances.isnan().all()
    assert run.scorable.all()
    assert (run.steps[:, 0] == gaussian(4).norm(dim=1) / 2).all()


def test_options_out_of_range():
    for options in ({"metric": "manhattan"}, {"steps": 0}, {"tolerance": -1.0}):
        with pytest.raises(InputError):
            follow(scaling(0.5), gaussian(2), ORIGIN, **{"steps": 2, **options})
