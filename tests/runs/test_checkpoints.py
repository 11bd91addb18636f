"""Copies of a model in training, and the checkpoints of a folder."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from separatrix.data import load_images
from separatrix.errors import FileError, InputError
from separatrix.models import ConvAutoencoder, TrainingHistory, load, save_model
from separatrix.runs import film
from separatrix.runs._checkpoints import Camera, checkpoints_of, copies_in_training, moments, numbered, split, unsound


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


def test_a_film_of_one_frame_is_none():
    with pytest.raises(InputError, match="at least 2 frames"):
        moments(60, 1)


def test_copies_in_training_are_of_one_training():
    images = load_images(torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
    train, unseen = split(images, 4)
    assert (len(train), len(unseen)) == (32, 8)
    assert {row.numpy().tobytes() for row in (*train.pixels, *unseen.pixels)} == {
        row.numpy().tobytes() for row in images.pixels
    }
    copies = copies_in_training(train.pixels, (0, 1, 2, 3), channels=2, batch_size=10, seed=4)
    prints = {epoch: each.field().fingerprint for epoch, each in copies.items()}
    assert list(prints) == [0, 1, 2, 3]
    assert len(set(prints.values())) == 4
    shorter = copies_in_training(train.pixels, (0, 3), channels=2, batch_size=10, seed=4)
    assert {epoch: each.field().fingerprint for epoch, each in shorter.items()} == {0: prints[0], 3: prints[3]}


def test_half_a_training_has_no_film(monkeypatch):
    monkeypatch.setattr(
        "separatrix.runs._checkpoints.train_autoencoder", lambda *_, **__: TrainingHistory(interrupted=True)
    )
    with pytest.raises(KeyboardInterrupt):
        copies_in_training(torch.rand(10, 1, 8, 8), (0, 3))


def test_checkpoints_come_in_the_order_of_their_numbers(tmp_path):
    torch.manual_seed(0)
    models = [ConvAutoencoder((1, 8, 8), 2, base_channels=2) for _ in range(3)]
    for number, model in zip((10, 9, 100), models, strict=True):
        save_model(model, tmp_path / f"epoch-{number}.safetensors")
    (tmp_path / "notes.txt").touch()
    files = checkpoints_of(tmp_path)
    assert numbered(files) == ((9.0, 10.0, 100.0), "epoch")
    assert [load(path).fingerprint for path in files] == [models[i].field().fingerprint for i in (1, 0, 2)]
    assert numbered(checkpoints_of(tmp_path, limit=2))[0] == (9.0, 100.0)
    (tmp_path / "epoch-50.safetensors").write_bytes(b"half of a file")
    with torch.no_grad():
        for weight in models[0].encoder.parameters():
            weight.fill_(1e30)  # finite, and the latents are not
    save_model(models[0], tmp_path / "epoch-60.safetensors")
    reasons = unsound(checkpoints_of(tmp_path), load)
    assert set(reasons) == {"epoch-50.safetensors", "epoch-60.safetensors"}
    assert "NaN" in reasons["epoch-60.safetensors"]
    found = film(tmp_path, torch.rand(5, 1, 8, 8), resolution=4)
    assert found.film.parameter.tolist() == [9.0, 10.0, 100.0], "the damaged ones are left out"
    assert found.summary["left_out"] == reasons
    assert "2 more left out" in found.summary["subtitle"]
    with pytest.raises(FileError, match="holds no checkpoints"):
        checkpoints_of(tmp_path / "nowhere")


def test_a_camera_sees_ends_of_epochs_only():
    model = ConvAutoencoder((1, 8, 8), 2, base_channels=2)
    camera = Camera(model, (0, 2), steps=3)
    for step in range(9):
        camera.see(step)
    assert list(camera.copies) == [0, 2]
    assert camera.copies[0] is not model
