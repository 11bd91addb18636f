"""Films of maps whose basins are known: half planes, quarters, and what changes between them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

import separatrix as sx
from separatrix import LatentField, training_film
from separatrix.errors import FileError, InputError
from separatrix.models import ConvAutoencoder, save_model
from separatrix.plots import training_frames
from separatrix.studies._footage import Camera, footage_of_checkpoints, footage_of_training, moments


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
        (lambda: footage_of_training(frames=1), "at least 2 frames"),
    ):
        with pytest.raises(InputError, match=words):
            call()


@pytest.mark.parametrize(
    ("epochs", "frames"), [(60, 24), (60, 12), (5, 24), (10, 2), (1, 2), (1, 9), (500, 30), (2, 3)]
)
def test_moments_begin_dense_and_keep_to_their_number(epochs, frames):
    chosen = moments(epochs, frames)
    assert chosen[0] == 0
    assert chosen[-1] == epochs
    assert list(chosen) == sorted(set(chosen))
    assert 2 <= len(chosen) <= frames
    gaps = [b - a for a, b in pairwise(chosen[:-1])]
    assert all(later >= earlier - 1 for earlier, later in pairwise(gaps))


def test_footage_of_a_training_is_that_training():
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    footage = footage_of_training(images, epochs=3, frames=4, channels=2, batch_size=10, seed=4)
    assert footage.parameters == (0.0, 1.0, 2.0, 3.0)
    assert len({each.fingerprint for each in footage.fields}) == 4
    shorter = footage_of_training(images, epochs=3, frames=2, channels=2, batch_size=10, seed=4)
    assert shorter.fields[0].fingerprint == footage.fields[0].fingerprint
    assert shorter.fields[1].fingerprint == footage.fields[3].fingerprint
    held = {name: len(part) for name, part in footage.errors.items()}
    assert held == {"training images": 32, "unseen images": 8}


def test_checkpoints_come_in_the_order_of_their_numbers(tmp_path):
    torch.manual_seed(0)
    models = [ConvAutoencoder((1, 8, 8), 2, base_channels=2) for _ in range(3)]
    for number, model in zip((10, 9, 100), models, strict=True):
        save_model(model, tmp_path / f"epoch-{number}.safetensors")
    (tmp_path / "notes.txt").touch()
    footage = footage_of_checkpoints(tmp_path, torch.rand(5, 1, 8, 8))
    assert footage.parameters == (9.0, 10.0, 100.0)
    assert footage.unit == "epoch"
    assert [each.fingerprint for each in footage.fields] == [models[i].field().fingerprint for i in (1, 0, 2)]
    assert footage_of_checkpoints(tmp_path, torch.rand(5, 1, 8, 8), limit=2).parameters == (9.0, 100.0)
    (tmp_path / "epoch-50.safetensors").write_bytes(b"half of a file")
    with torch.no_grad():
        for weight in models[0].encoder.parameters():
            weight.fill_(1e30)  # finite, and the latents are not
    save_model(models[0], tmp_path / "epoch-60.safetensors")
    beside = footage_of_checkpoints(tmp_path, torch.rand(5, 1, 8, 8))
    assert beside.parameters == footage.parameters, "the damaged ones are left out"
    assert set(beside.left_out) == {"epoch-50.safetensors", "epoch-60.safetensors"}
    assert "NaN" in beside.left_out["epoch-60.safetensors"]
    assert "2 more left out" in beside.words
    with pytest.raises(FileError, match="holds no checkpoints"):
        footage_of_checkpoints(tmp_path / "nowhere", torch.rand(5, 1, 8, 8))


def test_a_camera_sees_ends_of_epochs_only():
    model = ConvAutoencoder((1, 8, 8), 2, base_channels=2)
    camera = Camera(model, (0, 2), steps=3)
    for step in range(9):
        camera.see(step)
    assert list(camera.copies) == [0, 2]
    assert camera.copies[0] is not model
