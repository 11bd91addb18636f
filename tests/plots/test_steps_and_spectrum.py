"""Steps and eigenvalues: every orbit and every eigenvalue is in the figure, with the right numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Circle
from matplotlib.text import Text

from separatrix.orbits._status import Status
from separatrix.plots import spectrum, steps_histogram


def _drawn(axes) -> float:
    """Number of orbits in a stacked histogram."""
    return sum(patch.get_height() for container in axes.containers for patch in container)


def test_the_histogram_holds_every_orbit_that_arrived(product_limits):
    figure = steps_histogram(product_limits[[0, 1, 2, 3]])
    assert _drawn(figure.axes[0]) == 99


def test_median_and_percentile_are_marked_at_their_values(product_limits, words):
    figure = steps_histogram(product_limits)
    reached = product_limits.orbits.steps[product_limits.labels >= 0].double()
    lines = {line.get_gid(): line.get_xdata()[0] for line in figure.axes[0].lines if line.get_gid()}
    assert lines["quantile:0.5"] == pytest.approx(float(reached.quantile(0.5)))
    assert lines["quantile:0.95"] == pytest.approx(float(reached.quantile(0.95)))
    assert "median" in words(figure)


def test_orbits_without_a_set_stand_beside_by_status(product_limits, words):
    status = product_limits.orbits.status.clone()
    labels = product_limits.labels.clone()
    labels[:10] = -1
    status[:7] = int(Status.WANDERING)
    status[7:10] = int(Status.BUDGET)
    limits = replace(product_limits, labels=labels, orbits=replace(product_limits.orbits, status=status))
    figure = steps_histogram(limits)
    beside = figure.axes[1]
    named = dict(zip((tick.get_text() for tick in beside.get_yticklabels()), beside.patches, strict=True))
    assert {name: bar.get_width() for name, bar in named.items()} == {"wandering": 7, "budget": 3}
    assert "no limit set: 10 %" in words(figure)


def test_nothing_arrived_is_said(product_limits, words):
    limits = replace(product_limits, labels=torch.full((100,), -1))
    assert "no start reached a limit set" in words(steps_histogram(limits))


def test_widely_spread_steps_get_a_logarithmic_axis(product_limits):
    steps = torch.logspace(0, 4, 100).long()
    wide = replace(product_limits, orbits=replace(product_limits.orbits, steps=steps))
    narrow = replace(product_limits, orbits=replace(product_limits.orbits, steps=steps.clamp(100, 200)))
    assert steps_histogram(wide).axes[0].get_xscale() == "log"
    assert steps_histogram(narrow).axes[0].get_xscale() == "linear"


@pytest.mark.parametrize("most", [9, 90, 900, 20_000, 300_000])
def test_labels_stand_apart_and_inside_the_figure(product_limits, most):
    steps = torch.logspace(0, np.log10(most), 100).long()
    labels = product_limits.labels.clone()
    labels[:4] = -1
    status = product_limits.orbits.status.clone()
    status[:4] = max(Status, key=lambda one: len(one.name))
    limits = replace(product_limits, labels=labels, orbits=replace(product_limits.orbits, steps=steps, status=status))
    figure = steps_histogram(limits)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes, beside = figure.axes
    low, high = axes.get_xlim()
    ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    boxes = [label.get_window_extent() for value, label in ticks if low <= value <= high]
    assert len(boxes) >= 2
    assert all(left.x1 + 4 < right.x0 for left, right in pairwise(boxes))
    title = next(text for text in beside.findobj(Text) if text.get_text() == "no limit set: 4.0 %")
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_many_sets_share_one_colour(product_limits, words):
    figure = steps_histogram(product_limits[[0, 1, 2, 3] * 3])
    assert "4 more" in words(figure)


def test_every_eigenvalue_is_drawn_with_the_unit_circle(product_limits, marked):
    figure = spectrum(product_limits)
    axes = figure.axes[0]
    points = {line.get_gid(): line.get_xydata() for line in axes.lines if line.get_gid()}
    assert points["eigenvalues:A"] == pytest.approx(np.array([[0.166372, 0], [0.166372, 0]]))
    assert points["eigenvalues:s5"] == pytest.approx(np.array([[2, 0], [2, 0]]))
    assert len(marked(figure, "eigenvalues:")) == 9
    circle = next(patch for patch in axes.patches if isinstance(patch, Circle))
    assert (circle.radius, tuple(circle.center)) == (1, (0, 0))
    assert axes.get_xlim()[1] > 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("real part", "imaginary part")


def test_radius_and_norm_are_listed_and_unknown_is_a_word(product_limits, words):
    limits = replace(product_limits, spectral_norm=torch.full((9,), torch.nan))
    text = words(spectrum(limits))
    assert "0.166" in text
    assert "2.000" in text
    assert "unknown" in text


def test_unknown_eigenvalues_are_left_out(product_limits):
    values = product_limits.eigenvalues.clone()
    values[0, 1] = complex("nan")
    figure = spectrum(replace(product_limits, eigenvalues=values))
    points = {line.get_gid(): line.get_xydata() for line in figure.axes[0].lines if line.get_gid()}
    assert len(points["eigenvalues:A"]) == 1
