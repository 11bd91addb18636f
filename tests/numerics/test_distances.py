"""Nearest neighbours are exact where it matters: very close to a point, and far from the origin."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.numerics.distances import nearest, spread

few = settings(max_examples=40, deadline=None, derandomize=True)


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


@few
@given(
    n=st.integers(1, 40),
    m=st.integers(1, 60),
    k=st.integers(1, 20),
    offset=st.floats(-1e3, 1e3),
    seed=st.integers(0, 1000),
)
def test_agrees_with_exact_differences(n, m, k, offset, seed):
    queries, points = gaussian(n, k, seed=seed) + offset, gaussian(m, k, seed=seed + 1) + offset
    table = (queries[:, None] - points[None]).norm(dim=2)
    index, distance = nearest(queries, points)
    assert torch.allclose(distance, table.amin(dim=1), rtol=1e-12, atol=0)
    assert torch.equal(table.gather(1, index[:, None]).squeeze(1), distance)


@pytest.mark.parametrize("gap", [1e-3, 1e-4, 1e-5])
def test_a_short_distance_in_float32_has_no_cancellation(gap):
    """At 1e-3 from a point of norm 50 the expanded square is all rounding."""
    points = 50 + gaussian(200, 64, dtype=torch.float32)
    direction = gaussian(200, 64, seed=1, dtype=torch.float32)
    queries = points + gap * direction / direction.norm(dim=1, keepdim=True)
    exact = (queries.double() - points.double()).norm(dim=1)
    index, distance = nearest(queries, points)
    assert index.tolist() == list(range(200))
    # Differences of float32 numbers this close are exact; only their squares are rounded.
    assert torch.allclose(distance, exact, rtol=1e-5, atol=0)


def test_many_nearly_equal_candidates():
    """A cluster so tight that the candidate search alone cannot order it."""
    points = 100 + 1e-4 * gaussian(50, 8, dtype=torch.float32)
    queries = points.clone()
    _, distance = nearest(queries, points)
    assert distance.max() <= 1e-3
    assert distance.dtype == torch.float64


def test_no_points_are_infinitely_far():
    index, distance = nearest(torch.ones(3, 2), torch.ones(0, 2))
    assert index.tolist() == [-1, -1, -1]
    assert distance.isinf().all()


def test_no_queries():
    index, distance = nearest(torch.ones(0, 2), torch.ones(4, 2))
    assert (index.shape, distance.shape) == ((0,), (0,))


def test_latents_of_any_shape():
    points = gaussian(5, 2, 3, 4)
    index, distance = nearest(points.flip(0), points)
    assert index.tolist() == [4, 3, 2, 1, 0]
    assert distance.tolist() == [0] * 5


def test_nan_queries_harm_nobody_else():
    queries = torch.tensor([[0.9], [torch.nan], [2.6]])
    index, distance = nearest(queries, torch.tensor([[0.0], [1.0], [3.0]]))
    assert index[[0, 2]].tolist() == [1, 2]
    assert not bool(distance[1] < 1e300)


def test_blocks_change_nothing(monkeypatch):
    queries, points = gaussian(101, 5), gaussian(17, 5, seed=1)
    whole = nearest(queries, points)
    monkeypatch.setattr("separatrix.numerics.distances._ELEMENTS_AT_ONCE", 40)
    parts = nearest(queries, points)
    assert torch.equal(whole.index, parts.index)
    assert torch.equal(whole.distance, parts.distance)


@few
@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-100, 100))
def test_spread_is_a_length(scale, shift):
    z = gaussian(50, 3)
    exact = float((z - z.mean(0)).square().sum(1).mean().sqrt())
    assert spread(scale * (z + shift)) == pytest.approx(scale * exact, rel=1e-6)


def test_spread_without_extent():
    assert spread(torch.full((4, 1), 3.0)) == pytest.approx(3)
    assert spread(torch.zeros(4, 2)) == 1
    assert spread(torch.full((3, 2), 1e7, dtype=torch.float32) + 1e-3) == pytest.approx(1e7 * 2**0.5, rel=1e-6)
