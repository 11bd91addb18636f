"""Nearest neighbours are exact where it matters: very close to a point, and far from the origin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.numerics._distances import first_apart, nearest, product_error, spread

few = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.fixture(scope="module", autouse=True, params=[0, 2**18], ids=["bounded", "measured"])
def _which_way(request):
    """Small tables are measured whole; every test is also to hold where bounds choose what is measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("separatrix.numerics._distances._FEW_ELEMENTS", request.param)
        yield


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


@few
@given(
    width=st.integers(1, 4),
    count=st.integers(1, 40),
    offset=st.sampled_from([0, 10, 10**6, 2**23]),
    reach=st.sampled_from([1, 2, 500]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    blocks=st.sampled_from([8, 2**22]),
    seed=st.integers(0, 10**6),
)
def test_the_nearest_of_a_crowd_is_exact_and_the_first_of_equals(width, count, offset, reach, dtype, blocks, seed):
    """Whole numbers: squares are exact in Python, and far from the origin a float32 product cannot tell them apart."""
    rng = np.random.default_rng(seed)
    points, queries = (offset + rng.integers(-reach, reach + 1, (some, width)) for some in (count, 6))
    points[0] = -offset  # a stray, so that centring does not bring the crowd near the origin
    expected = []
    for query in queries.tolist():
        squares = [sum((a - b) ** 2 for a, b in zip(query, point, strict=True)) for point in points.tolist()]
        expected.append((squares.index(min(squares)), min(squares) ** 0.5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("separatrix.numerics._distances._ELEMENTS_AT_ONCE", blocks)
        index, distance = nearest(*(torch.from_numpy(some).to(dtype) for some in (queries, points)))
    assert index.tolist() == [place for place, _ in expected]
    assert distance.tolist() == pytest.approx([length for _, length in expected], rel=1e-14)


def test_a_product_in_low_precision_loses_nothing():
    """TF32 and bfloat16 products err by 2⁻⁹: the bound allows for it, where the user allows them."""
    assert product_error(1, torch.float32) == pytest.approx(9 * 2.0**-24, rel=1e-5)
    try:
        torch.set_float32_matmul_precision("medium")
        assert product_error(1, torch.float32) == pytest.approx(9 * 2.0**-8, rel=0.05)
    finally:
        torch.set_float32_matmul_precision("highest")
    points = (50 + gaussian(40, 8)).to(torch.bfloat16)
    assert nearest(points, points).index.tolist() == list(range(40))
    assert product_error(10**6, torch.bfloat16) == float("inf")


@pytest.mark.parametrize("scale", [1e-22, 1e25])
def test_over_and_underflow_of_float32_products_hide_nothing(scale):
    points = scale * torch.arange(50.0)[:, None]
    assert nearest(points[[7, 31]] * 1.001, points).index.tolist() == [7, 31]


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
    monkeypatch.setattr("separatrix.numerics._distances._ELEMENTS_AT_ONCE", 40)
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


@settings(deadline=None, max_examples=30)
@given(
    width=st.integers(1, 5),
    count=st.integers(256, 700),
    asked=st.integers(0, 600),
    within=st.floats(0, 4),
    grid=st.sampled_from([0.0, 0.25]),
    seed=st.integers(0, 2**32 - 1),
)
def test_within_a_distance_it_is_the_nearest_of_all(width, count, asked, within, grid, seed):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn((count, width), generator=generator, dtype=torch.float64)
    queries = torch.randn((asked, width), generator=generator, dtype=torch.float64)
    if grid:  # many that are equally far
        points, queries = grid * (points / grid).round(), grid * (queries / grid).round()
    everything, found = nearest(queries, points), nearest(queries, points, within)
    inside = everything.distance <= within
    assert torch.equal(found.index[inside], everything.index[inside])
    assert torch.equal(found.distance[inside], everything.distance[inside])
    assert bool((found.distance[~inside] > within).all())
    assert bool((found.distance >= everything.distance).all())


def test_what_lies_far_outside_the_distance_is_not_measured():
    """The last of the points is at 299: a query at 303 is within 5 of it, and one at 320 sees no point at all."""
    points = torch.arange(300.0)[:, None]
    assert nearest(torch.tensor([[303.0]]), points, 5.0).index.tolist() == [299]
    index, distance = nearest(torch.tensor([[320.0]]), points, 5.0)
    assert (index.tolist(), distance.tolist()) == ([-1], [torch.inf])


def test_within_a_distance_nan_queries_harm_nobody_else():
    points = torch.arange(300.0)[:, None]
    found = nearest(torch.tensor([[7.25], [torch.nan], [torch.inf], [-5.0]]), points, 0.5)
    assert found.index[0] == 7
    assert found.distance.tolist()[:3] == [0.25, torch.inf, torch.inf]
    assert found.distance[3] > 0.5


def test_the_first_of_those_that_are_apart():
    near = torch.tensor([[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 1]]).bool()
    assert first_apart(near).tolist() == [0, 1, 3]
    assert first_apart(near, torch.tensor([True, True, False, False])).tolist() == [2]
    assert first_apart(near[:0, :0]).tolist() == []
