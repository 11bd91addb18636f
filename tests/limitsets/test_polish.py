"""Newton's method lands on periodic points of every kind, says how good they are, and is never worse than its candidate."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix import LatentField
from separatrix.limitsets._polish import cycle_jacobian, orbit_points, polish

WELL = 0.9575040240772687


def field_of(function, k=1, dtype=torch.float64):
    return LatentField.from_map(function, latent_shape=k, dtype=dtype)


def column(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)[:, None]


def henon(z):
    return torch.stack([1 - 1.4 * z[:, 0] ** 2 + z[:, 1], 0.3 * z[:, 0]], dim=1)


def consistent(field, polished, period=1):
    """The record describes its own points."""
    orbit = orbit_points(field, polished.points, period)
    assert torch.equal(polished.residual, (orbit[-1] - polished.points).flatten(1).norm(dim=1))
    assert torch.allclose(polished.jacobian, cycle_jacobian(field, orbit[:-1]), rtol=1e-12, atol=1e-14)


def test_saddles_of_the_henon_map():
    field = field_of(henon, 2)
    found = polish(field, torch.tensor([[0.6, 0.2], [-1.1, -0.3]], dtype=torch.float64))
    assert found.points[:, 0].tolist() == pytest.approx([0.6313544770895048, -1.1313544770895048], abs=1e-14)
    assert found.at_floor.all()
    assert found.residual.max() < 1e-14
    assert found.moved.tolist() == pytest.approx(
        (found.points - torch.tensor([[0.6, 0.2], [-1.1, -0.3]])).norm(dim=1).tolist(), abs=1e-7
    )
    consistent(field, found)


def test_every_unstable_point_of_a_cube():
    field = field_of(lambda z: torch.tanh(2 * z), 3)
    corners = torch.cartesian_prod(*[torch.tensor([-WELL, 0.0, WELL], dtype=torch.float64)] * 3)
    found = polish(field, corners + 0.01 * torch.linspace(-1, 1, 27, dtype=torch.float64)[:, None])
    assert (found.points - corners).abs().max() < 1e-13
    assert found.at_floor.all()
    consistent(field, found)


@pytest.mark.parametrize(("r", "period"), [(3.2, 2), (3.5, 4), (3.83, 3)])
def test_cycles_of_the_logistic_map(r, period):
    field = field_of(lambda x: r * x * (1 - x))
    z = column(0.3)
    for _ in range(2000):
        z = field(z)
    found = polish(field, z + 1e-3, period)
    assert found.at_floor.all()
    orbit = orbit_points(field, found.points, period)[:, 0, 0]
    assert orbit[-1].item() == pytest.approx(orbit[0].item(), abs=1e-13)
    assert len(set(orbit[:-1].round(decimals=6).tolist())) == period
    multiplier = math.prod(r * (1 - 2 * x) for x in orbit[:-1].tolist())
    assert found.jacobian.item() == pytest.approx(multiplier, abs=1e-9)
    consistent(field, found, period)


def test_the_jacobian_of_a_cycle_multiplies_in_the_order_of_the_motion():
    a = torch.tensor([[0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[0.0, 0.0], [0.3, 0.1]], dtype=torch.float64)

    def function(z):  # x < 0: to the right through a; x > 0: to the left through b
        centre = torch.tensor([1.0, 0.0], dtype=torch.float64)
        right = (z[:, :1] > 0).to(z)
        return right * (-centre + (z - centre) @ b.T) + (1 - right) * (centre + (z + centre) @ a.T)

    found = polish(field_of(function, 2), torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64) + 0.01, 2)
    assert torch.allclose(found.jacobian, torch.stack([a @ b, b @ a]), rtol=0, atol=1e-12)
    assert not torch.allclose(a @ b, b @ a)


def test_a_continuum_is_met_at_the_nearest_point():
    """I − J is singular: the step of least norm leaves the position along the continuum alone."""
    projection = torch.diag(torch.tensor([1.0, 1.0, 0.5, 0.0], dtype=torch.float64))
    field = field_of(lambda z: z @ projection, 4)
    candidates = torch.tensor([[3.0, -2.0, 0.1, 0.2], [0.5, 0.5, 0.0, -0.1]], dtype=torch.float64)
    found = polish(field, candidates)
    assert found.at_floor.all()
    assert torch.allclose(found.points, candidates * torch.tensor([1, 1, 0, 0]).double(), rtol=0, atol=1e-12)


def test_a_curved_continuum():
    def function(z):
        r = z.norm(dim=1, keepdim=True)
        return z / r * (1 + 0.5 * (r - 1))

    angle = torch.linspace(0, 6, 9, dtype=torch.float64)
    candidates = 1.001 * torch.stack([angle.cos(), angle.sin()], dim=1)
    found = polish(field_of(function, 2), candidates)
    assert found.at_floor.all()
    assert (found.points - candidates / 1.001).norm(dim=1).max() < 1e-5


def test_a_map_without_fixed_points_gives_none():
    found = polish(field_of(lambda z: z + 1), column(0.0, 5.0))
    assert not found.at_floor.any()
    assert torch.equal(found.residual, torch.ones(2, dtype=torch.float64))
    assert torch.equal(found.points, column(0.0, 5.0))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(x=st.floats(-3, 3), y=st.floats(-3, 3), damped=st.booleans(), period=st.integers(1, 3))
def test_never_worse_than_the_candidate(x, y, damped, period):
    field = field_of(henon, 2)
    candidate = torch.tensor([[x, y]], dtype=torch.float64)
    before = (orbit_points(field, candidate, period)[-1] - candidate).norm()
    found = polish(field, candidate, period, damped=damped)
    assert float(found.residual) <= float(before)
    assert float(found.moved) == pytest.approx(float((found.points - candidate).norm()), abs=1e-12)
    if bool(found.at_floor):
        # 64 × 32 rounding units, on the scale of the map's own values
        assert float(found.residual) <= 2048 * 2.3e-16 * (1 + float(found.points.norm()))
    consistent(field, found, period)


def test_damping_reaches_what_plain_newton_does_not():
    """arctan-like: full Newton steps overshoot for ever from |z| > 1.39."""
    field = field_of(lambda z: z - torch.atan(z))
    far = column(3.0, -20.0)
    assert not polish(field, far).at_floor.any()
    damped = polish(field, far, damped=True)
    assert damped.at_floor.all()
    assert damped.points.abs().max() < 1e-13


def test_a_candidate_that_is_already_there_stays():
    field = field_of(lambda z: 0.5 * z, 3)
    found = polish(field, torch.zeros(2, 3, dtype=torch.float64))
    assert found.points.abs().max() == 0
    assert found.moved.tolist() == [0, 0]
    assert torch.allclose(found.jacobian, 0.5 * torch.eye(3).double().expand(2, 3, 3))


def test_nan_candidates_harm_nobody_else():
    field = field_of(lambda z: 0.5 * z.sqrt())
    found = polish(field, column(0.3, -1.0, 0.2))
    assert found.at_floor.tolist() == [True, False, True]
    assert found.points[[0, 2]].flatten().tolist() == pytest.approx([0.25, 0.25], abs=1e-13)


def test_a_gradient_that_is_nan_where_the_map_is_finite():
    """‖z‖ at 0 and `torch.where` around a NaN branch do that: such a candidate is not polished, and nothing crashes."""
    field = field_of(lambda z: torch.where(z < 0.5, 0.5 * z, 0.5 * (z - 1).clamp(min=0).sqrt()))
    found = polish(field, column(0.1, 0.2))
    assert found.points.isfinite().all()
    assert found.residual.isfinite().all()


def test_rows_do_not_depend_on_their_company():
    field = field_of(henon, 2)
    candidates = torch.tensor([[0.6, 0.2], [-1.1, -0.3], [0.7, 0.3], [5.0, 5.0]], dtype=torch.float64)
    together = polish(field, candidates, damped=True)
    for i in range(4):
        alone = polish(field, candidates[i : i + 1], damped=True)
        assert torch.allclose(alone.points[0], together.points[i], rtol=0, atol=1e-13)
        assert alone.at_floor[0] == together.at_floor[i]


def test_the_precision_of_the_field_is_the_floor():
    found = polish(field_of(lambda z: torch.tanh(2 * z), dtype=torch.float32), column(0.9, -0.95))
    assert found.at_floor.all()
    assert found.points.flatten().tolist() == pytest.approx([WELL, -WELL], abs=1e-5)
    fine = polish(field_of(lambda z: torch.tanh(2 * z)), column(0.9, -0.95))
    assert fine.points.flatten().tolist() == pytest.approx([WELL, -WELL], abs=1e-13)


def test_latents_keep_their_shape():
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2, 3), dtype=torch.float64)
    found = polish(field, torch.full((4, 2, 3), 0.9, dtype=torch.float64))
    assert found.points.shape == (4, 2, 3)
    assert found.jacobian.shape == (4, 6, 6)


def test_cost_counts_evaluations_and_jacobian_rows():
    seen = [0]

    def function(z):
        seen[0] += len(z)
        return torch.tanh(2 * z)

    field = field_of(function, 2)
    assert field.differentiable
    seen[0] = 0
    found = polish(field, torch.tensor([[0.9, -0.9], [0.1, 0.9], [0.9, 0.9]], dtype=torch.float64))
    assert found.cost.map + found.cost.vjp == seen[0]
    assert found.cost.jvp == 0


def test_above_the_dense_limit_the_map_itself_is_iterated():
    field = field_of(lambda z: 0.9 * torch.tanh(z) + 0.05, 600)
    candidates = torch.full((2, 600), 0.3, dtype=torch.float64)
    found = polish(field, candidates)
    assert found.jacobian is None
    assert found.at_floor.all()
    assert torch.allclose(found.residual, (field(found.points) - found.points).norm(dim=1), rtol=0, atol=0)
    exact = polish(field_of(lambda z: 0.9 * torch.tanh(z) + 0.05), column(0.3)).points.item()
    assert (found.points - exact).abs().max() < 1e-12


def test_above_the_dense_limit_a_repeller_is_left_not_claimed():
    field = field_of(lambda z: 1.5 * z, 600)
    found = polish(field, torch.full((1, 600), 1e-3, dtype=torch.float64))
    assert not found.at_floor.any()
    assert found.moved.max() == 0


def test_one_row_that_is_done_does_not_stop_the_others_above_the_limit():
    rate = torch.full((600,), 0.5, dtype=torch.float64)

    def function(z):
        slow = (z[:, :1] > 0.5).to(z)
        return slow * (1 + (z - 1) * 0.99) + (1 - slow) * z * rate

    starts = torch.stack([torch.full((600,), 1e-9), torch.full((600,), 1.4)]).double()
    found = polish(field_of(function, 600), starts)
    assert found.at_floor.all()
    assert (found.points[1] - 1).abs().max() < 1e-11
