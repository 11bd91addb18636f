"""The portrait marks exactly the limit sets there are, and says what a plane hides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets._sets import Kind
from separatrix.plots import Plane, field_portrait


def test_attractors_and_unstable_sets_are_marked_where_they_are(product_field, product_limits, marked):
    figure = field_portrait(product_limits, product_field, resolution=24)
    assert marked(figure, "attractor:") == ["attractor:A", "attractor:B", "attractor:C", "attractor:D"]
    assert marked(figure, "unstable:") == [f"unstable:s{place}" for place in range(1, 6)]
    disc = next(line for line in figure.axes[0].lines if line.get_gid() == "attractor:C")
    assert disc.get_xydata()[0] == pytest.approx((0.957504, -0.957504), abs=1e-6)


def test_axes_are_labelled_and_speed_is_the_velocity_norm(product_field, product_limits):
    figure = field_portrait(product_limits, product_field, resolution=16, extent=(0.1, 1.1, 0.1, 1.1))
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("latent coordinate 1", "latent coordinate 2")
    corner = torch.full((1, 2), 0.1, dtype=torch.float64)
    assert axes.images[0].get_array()[0, 0] == pytest.approx(float(product_field.velocity(corner).norm()), rel=1e-12)
    assert "speed" in figure.axes[-1].get_ylabel()


def test_encoded_data_are_drawn_lightly_and_thinned(product_field, product_limits):
    data = torch.rand(4000, 2, dtype=torch.float64) * 2 - 1
    figure = field_portrait(product_limits, product_field, points=data, resolution=12)
    dots = next(line for line in figure.axes[0].lines if line.get_gid() == "data")
    assert 1000 <= len(dots.get_xdata()) <= 2000
    assert dots.get_alpha() <= 0.5


def test_few_encoded_data_are_larger_than_many(product_field, product_limits):
    def size(count: int) -> float:
        data = torch.rand(count, 2, dtype=torch.float64) * 2 - 1
        figure = field_portrait(product_limits, product_field, points=data, resolution=8)
        return next(line for line in figure.axes[0].lines if line.get_gid() == "data").get_markersize()

    assert size(50) == size(200) == 2 * size(201) == 2 * size(1500)


def test_a_plane_states_the_share_of_the_velocity_that_leaves_it(product_limits, words):
    # v = (0.2, 0, 0.4) everywhere: of the squared speed 0.2, four fifths point out of the plane.
    field = LatentField.from_map(lambda z: z + torch.tensor([0.2, 0.0, 0.4]), (3,))
    points = torch.cat((product_limits.points, torch.zeros(9, 1)), dim=1)
    limits = replace(product_limits, points=points)
    plane = Plane.through(torch.zeros(3), torch.eye(3)[:2], description="the plane of coordinates 1 and 2")
    text = words(field_portrait(limits, field, plane=plane, resolution=8))
    assert "the plane of coordinates 1 and 2" in text
    assert "80 % of the velocity" in text


def test_the_whole_plane_hides_nothing_and_says_nothing(product_field, product_limits, words):
    assert "Hidden" not in words(field_portrait(product_limits, product_field, resolution=8))


def test_closed_curves_are_drawn_as_closed_curves(product_field, product_limits):
    angle = torch.linspace(0, 2 * torch.pi, 41, dtype=torch.float64)[:-1]
    circle = torch.stack((angle.cos(), angle.sin()), dim=1)
    kinds = product_limits.kind.clone()
    kinds[1] = int(Kind.CLOSED_CURVE)
    limits = replace(product_limits, kind=kinds, traces={1: circle})
    figure = field_portrait(limits, product_field, resolution=8)
    line = next(line for line in figure.axes[0].lines if line.get_gid() == "closed curve:B")
    assert len(line.get_xydata()) == 41
    assert np.array_equal(line.get_xydata()[0], line.get_xydata()[-1])


def test_unknown_stability_gives_a_hollow_mark(product_field, product_limits):
    limits = replace(product_limits, stable=torch.full((9,), -1, dtype=torch.int8))
    figure = field_portrait(limits, product_field, resolution=8)
    disc = next(line for line in figure.axes[0].lines if line.get_gid() == "attractor:A")
    assert disc.get_markerfacecolor() == "#ffffff"


def test_decoded_attractors_stand_beside_the_field_if_they_are_images(
    product_field, image_field, product_limits, marked
):
    assert marked(field_portrait(product_limits, product_field, resolution=8), "picture:") == []
    pictures = marked(field_portrait(product_limits, image_field, resolution=8), "picture:")
    assert pictures == ["picture:A", "picture:B", "picture:C", "picture:D"]


def test_a_flat_window_leaves_no_empty_band_below(product_field, product_limits):
    """Equal units make the field low where the window is wide: the figure ends where the drawing does."""
    figure = field_portrait(product_limits, product_field, resolution=12, extent=(-4.0, 4.0, -1.2, 1.2))
    figure.draw_without_rendering()
    assert figure.get_figheight() < 4.5
    assert 0 <= figure.get_tightbbox().y0 < 0.3


def test_a_field_that_stands_still_can_be_drawn(product_limits):
    still = LatentField.from_map(lambda z: z, (2,), dtype=torch.float64)
    assert field_portrait(still, product_limits, resolution=8).axes[0].images[0].get_array().max() == 0


def test_too_coarse_a_grid_is_refused(product_field, product_limits):
    with pytest.raises(InputError, match="at least 8"):
        field_portrait(product_limits, product_field, resolution=4)
