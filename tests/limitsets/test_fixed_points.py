"""`find_fixed_points`: every periodic point that Newton can reach, once each, with its spectrum, whatever its stability."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix import LatentField, Protocol
from separatrix.errors import FieldError, InputError
from separatrix.limitsets import Kind
from separatrix.limitsets._deflation import deflated_newton
from separatrix.testing import oracles

WELL = 0.9575040240772687


def field_of(function, k=1, dtype=torch.float64):
    return LatentField.from_map(function, latent_shape=k, dtype=dtype)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_all_twenty_seven_points_of_a_cube():
    found = sx.find_fixed_points(field_of(lambda z: torch.tanh(2 * z), 3), sx.starts.box(400, -1.3, 1.3))
    assert [int((found.unstable_directions == d).sum()) for d in range(4)] == [8, 12, 6, 1]
    assert len(found) == 27
    assert found.residual.max() < 1e-13
    assert (found.stable == 1).sum() == 8


def test_deflation_leads_away_from_what_is_known():
    """Newton from 0.9 and 1.2 goes to the well beside them. With that one known it goes to others; a start that is at it is not sent out."""
    field = field_of(lambda z: torch.tanh(2 * z))
    starts = column(0.9, 1.2, WELL + 1e-4)
    candidates, near, cost = deflated_newton(field, starts, column(WELL), 1, 1.0)
    assert near.tolist() == [True, True, False]
    assert (candidates[:2].abs().minimum((candidates[:2] + WELL).abs()) < 2e-3).all()
    assert cost.vjp > 0
    assert torch.equal(candidates[2], starts[2])


def test_deflation_in_the_plane_finds_the_last_of_nine():
    field = field_of(lambda z: torch.tanh(2 * z), 2)
    line = torch.tensor([-WELL, 0.0, WELL], dtype=torch.float64)
    every = torch.cartesian_prod(line, line)
    starts = sx.starts.box(40, -1.3, 1.3, seed=0).block(field, 0, 40)
    for last in (0, 4, 5):
        known = torch.cat([every[:last], every[last + 1 :]])
        candidates, near, _ = deflated_newton(field, starts, known, 1, 1.0)
        assert near.any()
        assert (candidates[near] - every[last]).norm(dim=1).min() < 1e-2


def test_from_a_single_solution_its_neighbours_are_found():
    """The only start is at rest at the origin, so that all searches set out from around it."""
    found = sx.find_fixed_points(field_of(lambda z: torch.tanh(2 * z)), column(0.0))
    assert found.points.flatten().sort().values.tolist() == pytest.approx([-WELL, 0, WELL], abs=1e-12)


def test_labels_say_where_newton_went():
    found = sx.find_fixed_points(field_of(lambda z: torch.tanh(2 * z)), torch.linspace(-2, 2, 41).double()[:, None])
    ends = found.points[found.labels].flatten()
    assert (found.labels >= 0).all()
    assert torch.allclose(ends, found.orbits.points.flatten(), rtol=0, atol=1e-9)
    assert torch.equal(found.hits, torch.bincount(found.labels))


@pytest.mark.parametrize(("h", "count"), [(0.0, 3), (0.38, 3), (-0.38, 3), (0.39, 1), (1.0, 1)])
def test_the_tilted_well(h, count):
    field = field_of(lambda z: z + 0.2 * (z - z**3 + h))
    found = sx.find_fixed_points(field, torch.linspace(-2, 2, 60).double()[:, None])
    assert len(found) == count
    roots = found.points.flatten()
    assert (roots - roots**3 + h).abs().max() < 1e-13


def test_cycles_are_kept_once_with_their_least_period():
    found = sx.find_fixed_points(
        field_of(lambda x: 3.5 * x * (1 - x)), torch.linspace(0.02, 0.98, 80).double()[:, None], period=4
    )
    assert sorted(found.period.tolist()) == [1, 1, 2, 4]
    by_period = {int(p): i for i, p in enumerate(found.period)}
    assert found.kind[by_period[4]] == int(Kind.CYCLE)
    assert found.spectral_radius[by_period[4]].item() == pytest.approx(0.0305, abs=1e-4)
    assert found.stable[by_period[4]] == 1
    assert found.stable[by_period[2]] == 0
    assert found.trace(by_period[4]).flatten().sort().values.tolist() == pytest.approx(
        [0.38282, 0.50088, 0.82694, 0.87500], abs=1e-5
    )


def test_saddles_of_the_henon_map():
    def henon(z):
        return torch.stack([1 - 1.4 * z[:, 0] ** 2 + z[:, 1], 0.3 * z[:, 0]], dim=1)

    found = sx.find_fixed_points(field_of(henon, 2), sx.starts.box(50, -2.0, 2.0))
    assert sorted(found.points[:, 0].tolist()) == pytest.approx([-1.1313544770895048, 0.6313544770895048], abs=1e-12)
    assert len(found.saddles) == 2


def test_a_map_without_fixed_points_has_none():
    found = sx.find_fixed_points(field_of(lambda z: z + 1), column(-1, 0, 1))
    assert len(found) == 0
    assert found.labels.tolist() == [-1, -1, -1]


def test_a_continuum_is_one_set():
    found = sx.find_fixed_points(field_of(lambda z: z * torch.tensor([1.0, 0.5]).double(), 2), sx.starts.gaussian(20))
    assert found.kind.tolist() == [Kind.CONTINUUM]
    assert len(found.attractors) == 0


def test_far_starts_get_there_by_damping():
    found = sx.find_fixed_points(field_of(lambda z: z - torch.atan(z - 2)), column(-30, 50))
    assert found.points.item() == pytest.approx(2, abs=1e-12)
    assert found.labels.tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float32_models_are_solved_in_float64(dtype):
    found = sx.find_fixed_points(field_of(lambda z: torch.tanh(2 * z), 1, dtype), sx.starts.box(30, -1.5, 1.5))
    assert found.points.dtype == torch.float64
    assert found.points.flatten().sort().values.tolist() == pytest.approx([-WELL, 0, WELL], abs=1e-13)


def test_a_model_that_cannot_be_float64_still_has_its_fixed_points():
    found = sx.find_fixed_points(
        field_of(lambda z: torch.tanh(2 * z.float()), 1, torch.float32), torch.linspace(-1.5, 1.5, 31)[:, None]
    )
    assert len(found) == 3
    assert found.points.flatten().double().sort().values.tolist() == pytest.approx([-WELL, 0, WELL], abs=1e-5)


def test_close_solutions_are_one_only_within_the_merge_tolerance():
    delta = 1e-3
    field = field_of(lambda z: delta * torch.tanh(2 * z / delta))
    starts = torch.linspace(-1.5 * delta, 1.5 * delta, 31).double()[:, None]
    assert len(sx.find_fixed_points(field, starts)) == 3
    assert len(sx.find_fixed_points(field, starts, Protocol(merge_tolerance=10.0))) == 1


def test_what_it_cannot_do_it_refuses():
    with pytest.raises(InputError, match="find_attractors"):
        sx.find_fixed_points(field_of(torch.tanh, 600), sx.starts.gaussian(2))
    with pytest.raises(InputError, match="period"):
        sx.find_fixed_points(field_of(torch.tanh), column(1.0), period=0)
    with pytest.raises(FieldError, match="shape"):
        sx.find_fixed_points(field_of(lambda z: z[:, :1], 2), sx.starts.gaussian(4))


@pytest.mark.parametrize(("dim", "starts"), [(3, 30), (4, 150)])
def test_deflation_finds_what_few_starts_miss(dim, starts):
    """From starts of which plain Newton misses a quarter of the 3^d points."""
    field, box = field_of(lambda z: torch.tanh(2 * z), dim), sx.starts.box(starts, -1.3, 1.3, seed=3)
    without = sx.find_fixed_points(field, box, deflation=0)
    found = sx.find_fixed_points(field, box, deflation=16)
    assert len(without) < 0.9 * 3**dim
    assert 0.95 * 3**dim < len(found) <= 3**dim
    assert found.residual.max() < 1e-13
    assert torch.equal(found.labels >= 0, without.labels >= 0), "labels are those of the plain Newton method"


def test_all_eighty_one_points_in_four_dimensions():
    found = sx.find_fixed_points(field_of(lambda z: torch.tanh(2 * z), 4), sx.starts.box(2000, -1.3, 1.3, seed=2))
    assert [int((found.unstable_directions == d).sum()) for d in range(5)] == [16, 32, 24, 8, 1]


def test_where_the_jacobian_has_an_eigenvalue_of_one_nothing_varies():
    """The steps once came from a solver that reads uninitialised memory: points were the same, and the cost another each time."""
    oracle = oracles.late_fork(minority=0.25, count=64)
    costs = {sx.find_fixed_points(oracle.field, oracle.starts[:16]).cost for _ in range(6)}
    assert len(costs) == 1


def test_deflation_invents_nothing():
    field = field_of(lambda z: 0.5 * z + 1)
    found = sx.find_fixed_points(field, column(-3, 0, 5))
    assert found.points.flatten().tolist() == pytest.approx([2.0], abs=1e-12)
    with pytest.raises(InputError, match="deflation"):
        sx.find_fixed_points(field, column(1.0), deflation=-1)
