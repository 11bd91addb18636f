"""Basins as a map and as bars: colours, shares and what is unresolved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from separatrix.errors import InputError
from separatrix.plots import basin_map, basin_shares
from separatrix.plots._style import UNRESOLVED, colour

EXTENT = (-1.0, 1.0, -1.0, 1.0)


def _hue_of(pixel: np.ndarray) -> int:
    """The attractor whose colour, lightened, a pixel has."""
    white = np.ones(3)
    pixel = np.asarray(pixel)
    distances = []
    for rank in range(4):
        hue = np.array(to_rgb(colour(rank)))
        direction = (hue - white) / np.linalg.norm(hue - white)
        offset = pixel - white
        distances.append(np.linalg.norm(offset - (offset @ direction) * direction))
    return int(np.argmin(distances))


def test_every_cell_has_the_colour_of_the_set_it_ends_on(product_limits):
    figure = basin_map(product_limits, shape=(10, 10), extent=EXTENT)
    painted = next(image for image in figure.axes[0].images if image.get_gid() == "basins").get_array()
    assert np.allclose(painted[0, 0], to_rgb(UNRESOLVED), atol=1e-12)
    labels = product_limits.labels.reshape(10, 10)
    assert all(_hue_of(painted[r, c]) == int(labels[r, c]) for r in range(10) for c in range(10) if r or c)


def test_more_steps_deepen_the_colour(product_limits):
    painted = basin_map(product_limits, shape=(10, 10), extent=EXTENT).axes[0].images[0].get_array()
    steps = product_limits.orbits.steps.reshape(10, 10)
    quick, slow = painted[8, 9], painted[9, 9]
    assert (steps[8, 9], steps[9, 9]) == (10, 20)
    assert slow.sum() < quick.sum()


def test_the_legend_gives_shares_of_the_area_and_what_reached_no_set(product_limits, marked):
    figure = basin_map(product_limits, shape=(10, 10), extent=EXTENT)
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries[0] == "A  25 %"
    assert entries[3] == "D  24 %"
    assert entries[-1] == "still moving  1.0 %"
    assert marked(figure, "attractor:") == ["attractor:A", "attractor:B", "attractor:C", "attractor:D"]


def test_the_shape_must_be_that_of_the_grid(product_limits):
    with pytest.raises(InputError, match="10×11 has 110 starts and the result has 100"):
        basin_map(product_limits, shape=(10, 11), extent=EXTENT)


def test_bars_have_the_length_of_the_shares(product_limits, reordered):
    other = reordered(product_limits, [3, 2, 1, 0])
    figure = basin_shares({"data": product_limits[[0, 1, 2, 3]], "noise": other})
    lengths = {bar.get_gid(): bar.get_width() for bar in figure.axes[0].patches if bar.get_gid()}
    assert lengths["share:A:data"] == pytest.approx(0.25)
    assert lengths["share:D:data"] == pytest.approx(0.24)
    assert lengths["share:D:noise"] == pytest.approx(0.24)  # the same set, although it comes first there
    assert lengths["share:still moving:data"] == pytest.approx(0.01)


def test_bars_carry_their_intervals(product_limits):
    figure = basin_shares({"data": product_limits[[0]]})
    low, high = figure.axes[0].lines[0].get_xdata()
    assert (low, high) == pytest.approx((0.168780, 0.346553), abs=1e-6)  # exact: 25 of 100


def test_many_sets_are_not_drawn_but_counted(product_limits):
    many = product_limits[[0, 1, 2, 3] * 4]
    many = replace(many, points=torch.arange(32, dtype=torch.float64).reshape(16, 2))
    figure = basin_shares({"data": many})
    assert "6 smaller sets left out" in figure.axes[0].get_xlabel()
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len([tick for tick in ticks if len(tick) == 1]) == 10


def test_what_reached_no_set_is_shown_however_many_sets_there_are(product_limits):
    many = replace(
        product_limits[[0, 1, 2, 3] * 4],
        points=torch.arange(32, dtype=torch.float64).reshape(16, 2),
        hits=torch.full((16,), 5),
    )
    figure = basin_shares({"data": many})
    shown = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(shown[:-1]) == 10
    assert shown[-1] == "still moving"
    assert "6 smaller sets left out" in figure.axes[0].get_xlabel()


def test_a_set_that_is_large_in_any_search_is_shown(product_limits):
    points = torch.arange(24, dtype=torch.float64).reshape(12, 2)
    many = replace(product_limits[[0, 1, 2, 3] * 3], points=points, hits=torch.arange(12, 0, -1))
    late = replace(many[[11]], hits=torch.tensor([90]))
    figure = basin_shares({"data": many, "noise": late})
    shown = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert shown == [*"ABCDEFGHI", "L", "still moving", "at a set not listed"]
    # J and K, with 3 and 2 of the 100 starts of the first search and none of the second.
    assert figure.axes[0].get_xlabel().endswith("; 2 smaller sets left out, at most 3.0 % of any kind of start")


def test_the_legend_tells_three_searches_apart(product_limits):
    figure = basin_shares({"data": product_limits, "unseen": product_limits, "noise": product_limits})
    legend = {patch.get_label(): patch for patch in figure.axes[0].get_legend().legend_handles}
    looks = {name: (patch.get_hatch(), patch.get_facecolor() == (1, 1, 1, 1)) for name, patch in legend.items()}
    assert len(set(looks.values())) == 3
    for bar in figure.axes[0].patches:
        if bar.get_gid():
            assert (bar.get_hatch() or "") == (looks[bar.get_gid().rsplit(":", 1)[1]][0] or "")


def test_no_results_are_refused():
    with pytest.raises(InputError, match="at least one search"):
        basin_shares({})
