"""Anderson's method takes a candidate to its limit without a Jacobian, or leaves it alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix import LatentField
from separatrix.limitsets._polish import is_at_floor, orbit_points
from separatrix.limitsets._settling import settled
from separatrix.numerics.counter_random import gaussian
from separatrix.protocol import Polishing


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(gaussian(seed=seed, first=0, count=shape[0], width=shape[1]))


def affine(k: int, radius: float, seed: int) -> tuple[LatentField, torch.Tensor]:
    """z ↦ Az + b with spectral norm ``radius``, and (I − A)⁻¹b."""
    matrix = draw(seed, k, k)
    matrix *= radius / torch.linalg.matrix_norm(matrix, ord=2)
    shift = draw(seed + 1, 1, k)[0]
    field = LatentField.from_map(lambda z: z @ matrix.T + shift, latent_shape=(k,), dtype=torch.float64)
    return field, torch.linalg.solve(torch.eye(k, dtype=torch.float64) - matrix, shift)


def anywhere(count: int) -> torch.Tensor:
    return torch.full((count,), torch.inf, dtype=torch.float64)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), radius=st.floats(0.1, 0.9))
def test_an_affine_map_is_solved_for_half_a_jacobian(seed, radius):
    field, exact = affine(48, radius, seed)
    starts = exact + 1e-5 * draw(seed + 2, 5, 48)
    ends, cost = settled(field, starts, anywhere(5))
    assert (ends - exact).norm(dim=1).max() < 1e-11
    assert cost.map <= 5 * 48
    assert cost.vjp == cost.jvp == 0


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_linear_map_takes_one_evaluation_for_each_of_its_rates_and_three_more_at_most(count):
    """As GMRES, which it is there but for a ridge: 0.98 alone, or with others down to 0.5, of which the map itself would take over a thousand."""
    rates = torch.linspace(0.98, 0.5, count, dtype=torch.float64)[torch.arange(48) % count]
    field = LatentField.from_map(lambda z: rates * z, latent_shape=(48,), dtype=torch.float64)
    ends, cost = settled(field, 1e-5 * draw(0, 1, 48), anywhere(1))
    assert ends.norm() < 1e-12
    assert cost.map <= count + 3


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), gain=st.floats(0.2, 3), far=st.floats(0, 3), within=st.floats(1e-9, 5))
def test_at_the_floor_and_near_or_where_it_was(seed, gain, far, within):
    matrix = gain * draw(seed, 6, 6) / 6**0.5
    field = LatentField.from_map(lambda z: torch.tanh(z @ matrix.T), latent_shape=(6,), dtype=torch.float64)
    starts = far * draw(seed + 1, 4, 6)
    ends, _ = settled(field, starts, torch.full((4,), within, dtype=torch.float64))
    moved = (ends - starts).norm(dim=1)
    residual = (field(ends) - ends).norm(dim=1)
    assert bool(((moved == 0) | (is_at_floor(residual, ends, Polishing.floor_in_eps) & (moved <= within))).all())


def test_a_cycle_is_reached_in_the_phase_of_its_candidate():
    field = LatentField.from_map(lambda z: -torch.tanh(2 * z), latent_shape=(12,), dtype=torch.float64)
    well = 0.9575040240772687
    signs = torch.tensor([1.0, -1.0] * 6, dtype=torch.float64)
    ends, _ = settled(field, (well * signs + 1e-6)[None], anywhere(1), period=2)
    assert (ends[0] - well * signs).norm() < 1e-12
    assert (orbit_points(field, ends, 1)[1] + ends).norm() < 1e-12


def test_numbers_that_overflow_harm_nobody_else():
    field = LatentField.from_map(lambda z: z**3 * 0.5, latent_shape=(8,), dtype=torch.float64)
    starts = torch.tensor([[1e300], [1e-3]], dtype=torch.float64).expand(2, 8)
    ends, _ = settled(field, starts, anywhere(2))
    assert torch.equal(ends[0], starts[0])
    assert ends[1].norm() < 1e-13
