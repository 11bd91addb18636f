"""Folders streamed block by block: in one shape, in path order, past broken files."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image

from separatrix.data import load_images
from separatrix.data._picture_stream import stream_pictures
from separatrix.errors import FileError, InputError


@pytest.fixture
def folder(tmp_path):
    """Seven grey pictures 6×5 in two folders, one in colour, one broken, and no picture."""
    generator = np.random.default_rng(0)
    place = tmp_path / "pictures"
    (place / "b").mkdir(parents=True)
    for name in ("a0", "a1", "a2", "b/0", "b/1", "c0", "c1"):
        Image.fromarray(generator.integers(0, 256, (6, 5), dtype=np.uint8)).save(place / f"{name}.png")
    Image.fromarray(generator.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(place / "d.png")
    (place / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (place / "notes.txt").write_text("no picture")
    return place


def test_the_same_pixels_as_all_at_once(folder):
    (folder / "e.png").unlink()
    blocks = list(stream_pictures(folder, (3, 6, 5), block=3))
    assert [len(block.names) for block in blocks] == [3, 3, 2]
    whole = load_images(folder)
    assert sum((block.names for block in blocks), ()) == whole.names
    assert torch.equal(torch.cat([block.pixels for block in blocks]), whole.pixels)


def test_colour_becomes_grey_where_one_channel_is_asked_for(folder):
    pixels = torch.cat([block.pixels for block in stream_pictures(folder, (1, 6, 5))])
    assert pixels.shape == (9, 1, 6, 5)
    with Image.open(folder / "d.png") as picture:
        grey = np.asarray(picture).astype(float) @ [0.299, 0.587, 0.114] / 255
    assert np.abs(pixels[7, 0].numpy() - grey).max() <= 1 / 255


def test_a_broken_file_is_a_row_of_nan_with_its_reason(folder):
    (block,) = stream_pictures(folder, (1, 6, 5))
    assert list(block.broken) == ["e.png"]
    assert "e.png" in block.broken["e.png"]
    assert block.pixels.flatten(1).isnan().all(dim=1).tolist() == [False] * 8 + [True]
    assert not block.pixels[:8].isnan().any()


def test_only_what_is_wanted_is_opened(folder):
    (block,) = stream_pictures(folder, (1, 6, 5), wanted=lambda name, path: path.parent.name == "b")
    assert block.names == ("b/0.png", "b/1.png")
    assert not block.broken
    assert list(stream_pictures(folder, (1, 6, 5), wanted=lambda *_: False)) == []


def test_another_size_among_others_is_a_row_of_nan_with_its_remedy(folder):
    Image.fromarray(np.full((12, 10), 255, np.uint8)).save(folder / "a.png")
    (block,) = stream_pictures(folder, (1, 6, 5))
    assert sorted(block.broken) == ["a.png", "e.png"]
    assert re.search(r"a.png is 12×10 .* 6×5 .* resize=True", block.broken["a.png"])
    assert block.names[0] == "a.png"
    assert block.pixels.flatten(1).isnan().all(dim=1).tolist() == [True] + [False] * 8 + [True]
    (block,) = stream_pictures(folder, (1, 6, 5), resize=True)
    assert list(block.broken) == ["e.png"]
    assert block.pixels[0].min() == 1


def test_another_size_where_none_is_right_is_refused(folder):
    with pytest.raises(InputError, match=r"a0.png is 6×5 .* 5×6 .* resize=True"):
        list(stream_pictures(folder, (1, 5, 6)))
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(folder / "b" / "2.png")  # the sixth
    with pytest.raises(InputError, match="resize=True"):
        list(stream_pictures(folder, (1, 5, 6), block=5))
    blocks = list(stream_pictures(folder, (1, 5, 6), block=6))
    assert [len(block.broken) for block in blocks] == [5, 4]
    blocks = list(stream_pictures(folder, (1, 5, 6), block=5, fitting=True))
    assert [len(block.broken) for block in blocks] == [5, 4]


def test_broken_files_alone_are_no_other_size(folder):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "z.png")
    stream = stream_pictures(folder, (1, 6, 5), block=9)
    assert len(next(stream).broken) == 9
    with pytest.raises(InputError, match=r"z\.png is 9×9"):
        next(stream)


def test_what_cannot_be_streamed(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="contains no pictures"):
        list(stream_pictures(tmp_path / "empty", (1, 6, 5)))
    with pytest.raises(FileError, match="cannot be read"):
        list(stream_pictures(tmp_path / "nowhere", (1, 6, 5)))
    for shape in ((32,), (4, 6, 5)):
        with pytest.raises(InputError, match="cannot become"):
            list(stream_pictures(folder, shape))
