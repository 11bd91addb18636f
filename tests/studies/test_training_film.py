"""Films of maps whose basins are known: half planes, quarters, and what changes between them."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix import LatentField, training_film
from separatrix.errors import InputError
from separatrix.plots import training_frames


def wells(first, second=0.4):
    """tanh(gain·z) in each of two coordinates: 1, 2 or 4 attractors, whose basins the axes divide."""
    gains = torch.tensor([first, second])
    return LatentField.from_map(lambda z: torch.tanh(gains * z), (2,))


@pytest.fixture(scope="module")
def film():
    data = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) * 4 - 2
    fields = [wells(0.5), wells(2.0), wells(2.2, 2.0)]
    return training_film(fields, data, parameters=(0, 3, 9), resolution=10, errors={"data": data})


def test_the_basins_of_every_frame_are_those_of_the_map(film):
    assert film.ids.shape == (3, 10, 10)
    assert film.continuation.counts.tolist() == [1, 2, 4]
    assert bool((film.ids[0] == 0).all())
    halves = film.ids[1]
    centre = (film.extent[0] + film.extent[1]) / 2
    x = torch.linspace(film.extent[0], film.extent[1], 10)
    assert abs(centre) < 0.2
    for name in halves.unique().tolist():
        columns = (halves == name).any(dim=0)
        assert bool((columns == (halves == name).all(dim=0)).all()), "a half plane is made of whole columns"
        assert len({bool(value > 0) for value in x[columns]}) == 1
    assert len(film.ids[2].unique()) == 4
    # A quarter that kept its half's id lies in that half.
    for name in (0, 1):
        kept = film.ids[2] == name
        assert bool(kept.any())
        assert bool((halves[kept] == name).all())
    assert film.continuation.events.words == ["1 split from 0", "2 split from 0", "3 split from 1"]
    assert film.trivial.tolist() == [True, False, False]


def test_the_view_is_one_square_that_holds_the_bulk_of_every_frame(film):
    left, right, bottom, top = film.extent
    assert right - left == pytest.approx(top - bottom)
    for time in range(3):
        x, y = film.latents[time].T
        inside = (x > left) & (x < right) & (y > bottom) & (y < top)
        assert float(inside.double().mean()) >= 0.96
    # Encodings are f of the data, because the decoder of a map is the identity.
    assert film.latents[1].abs().max() <= 1
    assert film.errors["data"].tolist() == sorted(film.errors["data"].tolist(), reverse=True)


def test_a_film_is_saved_and_matched_again(film, tmp_path):
    sx.save_result(film, tmp_path / "film")
    loaded = sx.load_result(tmp_path / "film")
    assert isinstance(loaded, sx.studies.TrainingFilm)
    assert torch.equal(loaded.ids, film.ids)
    assert loaded.extent == film.extent
    again = loaded.rematched(by="points", threshold=0.1)
    assert len(again.continuation.lifetimes()) == 7, "nothing is within a tenth of the spread, so all are new"
    assert set(again.ids[2].unique().tolist()) == {3, 4, 5, 6}
    assert torch.equal(again.ids[0], film.ids[0])


def test_the_figure_shows_first_and_last(film):
    figure = training_frames(film, frames=2)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["epoch 0: 1 set", "epoch 9: 4 sets"]
    marked = [text.get_text() for text in figure.axes[1].texts]
    assert sorted(marked) == ["A", "B", "C", "D"]


def test_mistakes_are_sentences(film):
    data = torch.zeros(3, 2)
    for call, words in (
        (lambda: training_film([], data), "at least one field"),
        (
            lambda: training_film([LatentField.from_map(torch.tanh, (3,))], torch.zeros(3, 3)),
            "has 3 latent coordinates",
        ),
        (lambda: training_film([wells(1.5)], data, parameters=(1, 2)), "1 fields and 2 parameters"),
        (lambda: training_film([wells(1.5)], data, classes=torch.zeros(2)), "3 images and 2 classes"),
        (lambda: training_film([wells(1.5)], data, resolution=1), "resolution must be"),
        (lambda: training_frames(film, frames=0), "frames must be"),
    ):
        with pytest.raises(InputError, match=words):
            call()
