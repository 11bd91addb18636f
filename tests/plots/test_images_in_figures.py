"""Gallery, film and nulls: the right pictures in the right places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from separatrix.errors import InputError
from separatrix.plots import attractor_gallery, null_levels, orbit_film
from separatrix.plots._null_levels import axis_position
from separatrix.plots._pictures import to_rgb, value_range
from separatrix.studies._resemblance import resemblance


@pytest.fixture
def train(image_field, product_limits):
    """Two stripes, and the decoded attractors B, A, C; D is an even grey as A is, only darker: cosine 1."""
    stripes = torch.eye(4, dtype=torch.float64)[None, None, :2].repeat_interleave(2, dim=2)
    decoded = image_field.decode(product_limits.points[[1, 0, 2]])
    return torch.cat((stripes, stripes.flip(3), decoded))


def _images(figure):
    return {image.get_gid(): np.asarray(image.get_array()) for image in figure.axes[0].images}


def test_each_attractor_stands_beside_its_nearest_training_image(image_field, product_limits, train, words):
    figure = attractor_gallery(product_limits, image_field, train)
    images = _images(figure)
    nearest = {"nearest:A:3", "nearest:B:2", "nearest:C:4", "nearest:D:3"}
    assert set(images) == nearest | {f"attractor:{letter}" for letter in "ABCD"}
    assert np.array_equal(images["attractor:C"], images["nearest:C:4"])
    assert words(figure).count("cosine 1.000") == 4
    assert "25 % of starts" in words(figure)


def test_vectors_are_not_drawn_and_the_figure_says_so(product_field, product_limits, words):
    figure = attractor_gallery(product_limits, product_field, torch.zeros(3, 2))
    assert "no images" in words(figure)


def test_no_attractor_is_said(image_field, product_limits, train, words):
    assert "No attractor" in words(attractor_gallery(product_limits.saddles, image_field, train))


def test_training_images_of_another_shape_are_refused(image_field, product_limits):
    with pytest.raises(InputError, match="decoder's shape"):
        attractor_gallery(product_limits, image_field, torch.zeros(3, 1, 8, 8))


def test_film_frames_are_the_orbit(image_field, product_limits, marked, words):
    # Input (left, right) = (0.6, 0.4): the latent starts near the source and ends on attractor C = (+, −).
    start = torch.tensor([0.6, 0.4], dtype=torch.float64).repeat_interleave(2).expand(1, 1, 4, 4)
    figure = orbit_film(product_limits, image_field, start, row_names=["halves"], times=(1, 3, 40))
    images = _images(figure)
    assert sorted(images) == [f"frame:0:{column}" for column in range(4)]
    shown = start
    for column, trips in enumerate((0, 1, 2, 37)):
        for _ in range(trips):
            shown = image_field.reconstruct(shown)
        assert np.array_equal(images[f"frame:0:{column}"], to_rgb(shown, (0.0, 1.0))[0])
    assert marked(figure, "end:") == ["end:0:C"]
    assert "halves" in words(figure)


def test_a_film_that_has_not_arrived_names_no_end(image_field, product_limits, marked):
    start = torch.full((1, 1, 4, 4), 0.5 + 1e-9, dtype=torch.float64)
    assert marked(orbit_film(product_limits.attractors, image_field, start, times=(1,)), "end:") == []


@pytest.mark.parametrize(
    ("inputs", "options", "sentence"),
    [
        (torch.zeros(2, 16), {}, "needs images"),
        (torch.zeros(0, 1, 4, 4), {}, "needs images"),
        (torch.zeros(2, 1, 4, 4), {"row_names": ["one"]}, "one per input"),
        (torch.zeros(2, 1, 4, 4), {"times": (4, 2)}, "increasing"),
    ],
)
def test_films_that_cannot_be_made_are_refused(image_field, product_limits, inputs, options, sentence):
    with pytest.raises(InputError, match=sentence):
        orbit_film(product_limits, image_field, inputs, **options)


def test_discs_sit_at_their_cosine_on_the_logarithmic_axis(image_field, product_limits, train, marked, words):
    held_out = torch.rand(50, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = resemblance(image_field, product_limits, train[:3], held_out)
    figure = null_levels(found, product_limits)
    assert marked(figure, "attractor:") == ["attractor:A", "attractor:B", "attractor:C", "attractor:D"]
    assert marked(figure, "null:") == ["null:uniform noise", "null:unseen images"]
    places = {line.get_gid(): line.get_xdata()[0] for line in figure.axes[0].lines}
    assert places["attractor:B"] == pytest.approx(4.0)  # a training image: cosine 1
    row = found.sets.tolist().index(0)
    assert places["attractor:A"] == pytest.approx(axis_position(found.coefficient)[row])
    assert "cosine to the nearest training image" in words(figure)


@pytest.mark.parametrize(("noun", "other"), [("suspected image", "training"), ("training image", "suspected")])
def test_figures_call_the_images_what_they_are(image_field, product_limits, train, words, noun, other):
    text = words(attractor_gallery(product_limits, image_field, train, noun=noun))
    text += words(null_levels(resemblance(image_field, product_limits, train), product_limits, noun=noun))
    for phrase in (f"its nearest {noun}", f"cosine to the nearest {noun}", f"Closer to the {noun}s"):
        assert phrase in text
    assert other not in text


def test_pictures_share_one_range():
    assert value_range(torch.tensor([0.1, 0.9])) == (0.0, 1.0)
    assert value_range(torch.tensor([-1.0, 0.5]), torch.tensor([2.0])) == (-1.0, 2.0)
    assert value_range(torch.tensor([3.0, 3.0])) == (3.0, 4.0)
    pixels = to_rgb(torch.tensor([float("nan"), -1.0, 2.0, 0.5]).reshape(1, 1, 2, 2), (-1.0, 2.0))
    assert pixels[0, :, :, 0].tolist() == [[0, 0], [255, 128]]
