"""Which plane is drawn, and how much it hides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.plots._plane import Plane


def _embedded(limits, shift: float = 0.0):
    """The planar sets as (0, x, y) + shift in three dimensions."""
    points = torch.cat((torch.full((len(limits), 1), shift), limits.points + shift), dim=1)
    orbits = replace(limits.orbits, points=points[limits.labels.clamp(min=0)])
    return replace(limits, points=points, orbits=orbits)


def test_two_dimensions_are_drawn_as_they_are(product_limits):
    plane = Plane.of(product_limits)
    assert plane.description == ""
    assert torch.equal(plane.coordinates(product_limits.points), product_limits.points)
    assert torch.equal(plane.lift(torch.tensor([[1.0, 2.0]])), torch.tensor([[1.0, 2.0]], dtype=torch.float64))


def test_the_principal_plane_of_attractors_that_lie_in_a_plane(product_limits):
    limits = _embedded(product_limits, shift=5.0)
    plane = Plane.of(limits)
    assert "4 attractors" in plane.description
    assert "100 %" in plane.description
    back = plane.lift(plane.coordinates(limits.points))
    assert torch.allclose(back, limits.points, atol=1e-12)
    assert torch.allclose(plane.axes @ plane.axes.T, torch.eye(2, dtype=torch.float64), atol=1e-12)


def test_few_attractors_fall_back_to_the_end_points(product_limits):
    limits = _embedded(product_limits)[[0, 1]]
    assert "end points" in Plane.of(limits).description
    assert "encoded data" in Plane.of(limits, torch.randn(5, 3)).description


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-6])
def test_one_point_is_seen_from_afar_and_not_its_rounding(product_limits, noise):
    limits = _embedded(product_limits)
    point = limits.points[:1]
    ends = point + noise * torch.randn(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one = replace(limits[[0]], orbits=replace(limits.orbits, points=ends))
    plane = Plane.of(one)
    assert torch.equal(plane.axes, torch.eye(3, dtype=torch.float64)[:2])
    assert "one point where all orbits end" in plane.description
    left, right, bottom, top = plane.extent(one)
    assert right - left == pytest.approx(2.4 * one.spread) == top - bottom
    assert left < float(plane.coordinates(point)[0, 0]) < right


def test_two_points_a_thousandth_of_a_spread_apart_are_two(product_limits):
    limits = _embedded(product_limits)
    ends = torch.zeros(100, 3, dtype=torch.float64)
    ends[50:, 1] = 1e-3 * limits.spread
    two = replace(limits[[0]], orbits=replace(limits.orbits, points=ends))
    assert "100 % of their variance" in Plane.of(two).description


def test_no_end_at_all_still_gives_a_plane(product_limits):
    limits = _embedded(product_limits)
    none = replace(limits[[0]], orbits=replace(limits.orbits, points=torch.full((9, 3), torch.nan)))
    assert torch.isfinite(Plane.of(none).origin).all()


def test_a_cloud_without_extent_still_gives_a_plane(product_limits):
    limits = _embedded(product_limits)
    point = limits.points[:1]
    one = replace(limits[[0]], orbits=replace(limits.orbits, points=point.expand(100, 3)))
    axes = Plane.of(one).axes
    assert torch.allclose(axes @ axes.T, torch.eye(2, dtype=torch.float64), atol=1e-12)


def test_the_share_of_a_vector_that_leaves_the_plane():
    plane = Plane.through(torch.zeros(3), torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]))
    vectors = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    assert plane.off_plane(vectors).tolist() == pytest.approx([0.0, 1 / 3, 1.0, 0.0], abs=1e-15)


def test_velocity_grid_is_ordered_like_an_image():
    field = LatentField.from_map(lambda z: z + torch.stack((z[:, 0], 10 * z[:, 1]), dim=1), (2,), dtype=torch.float64)
    plane = Plane.through(torch.zeros(2), torch.eye(2))
    grid, velocity = plane.velocity(field, (-1.0, 1.0, 0.0, 3.0), 4)
    rows = velocity.reshape(4, 4, 2)
    assert torch.equal(grid[0, :, 0], rows[0, :, 0])
    assert torch.allclose(10 * grid[:, 0, 1], rows[:, 0, 1])


def test_axes_that_span_no_plane_are_refused():
    with pytest.raises(InputError, match="independent"):
        Plane.through(torch.zeros(3), torch.tensor([[1.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]))
    with pytest.raises(InputError, match="two directions"):
        Plane.through(torch.zeros(3), torch.eye(3))


def test_one_dimension_has_no_plane(product_limits):
    line = replace(product_limits, points=product_limits.points[:, :1])
    with pytest.raises(InputError, match="one dimension"):
        Plane.of(line)
