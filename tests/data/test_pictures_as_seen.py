"""Pictures are read as they are meant to be seen: upright, on white where they are transparent, and it is said."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from separatrix.data import load_images
from separatrix.data._picture_stream import stream_pictures
from separatrix.errors import DataWarning, InputError

GREY = np.random.default_rng(0).integers(0, 256, (6, 4), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 4, 3), dtype=np.uint8)


def with_orientation(path, orientation, values=GREY, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_every_orientation_in_every_format_that_has_one(tmp_path, orientation, suffix):
    path = with_orientation(
        tmp_path / f"x.{suffix}", orientation, COLOUR, **({"lossless": True} if suffix == "webp" else {})
    )
    with Image.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture)).astype(np.float32) / 255
    images = load_images(path)
    assert torch.equal(images.pixels[0], torch.from_numpy(expected).movedim(2, 0))
    assert images.image_shape == (3, *((4, 6) if orientation >= 5 else (6, 4)))
    assert images.provenance["turned_by_exif"] == (orientation > 1)
    (block,) = stream_pictures(tmp_path, images.image_shape)
    assert torch.equal(block.pixels, images.pixels)


def test_sizes_are_compared_as_they_are_seen(tmp_path):
    with_orientation(tmp_path / "a.jpg", 6)
    Image.fromarray(GREY.T.copy()).save(tmp_path / "b.png")
    images = load_images(tmp_path)
    assert images.image_shape == (1, 4, 6)
    assert images.provenance["turned_by_exif"] == 1
    with_orientation(tmp_path / "c.jpg", 1)
    with pytest.raises(InputError, match=r"a.jpg is 4×6 and .*c.jpg is 6×4"):
        load_images(tmp_path)


def test_a_picture_in_memory_is_upright_too(tmp_path):
    with Image.open(with_orientation(tmp_path / "x.png", 3)) as picture:
        assert torch.equal(load_images([picture]).pixels[0, 0], torch.from_numpy(GREY[::-1, ::-1] / np.float32(255)))


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12"]
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_broken_exif_does_not_hide_the_picture(tmp_path, exif, suffix):
    Image.fromarray(GREY).save(tmp_path / f"x.{suffix}", exif=exif)
    images = load_images(tmp_path / f"x.{suffix}")
    assert images.image_shape == (1, 6, 4)
    assert images.provenance["turned_by_exif"] == 0


def test_an_orientation_behind_the_pixels_is_seen(tmp_path):
    """A PNG file may say so after its image data, where the header alone does not tell."""
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(GREY).save(stream, "png", exif=exif)
    data = stream.getvalue()
    start = data.index(b"eXIf") - 4
    length = 12 + int.from_bytes(data[start : start + 4], "big")
    chunk, rest = data[start : start + length], data[:start] + data[start + length :]
    end = rest.index(b"IEND") - 4
    (tmp_path / "x.png").write_bytes(rest[:end] + chunk + rest[end:])
    images = load_images(tmp_path / "x.png")
    assert torch.equal(images.pixels[0, 0], torch.from_numpy(GREY[::-1, ::-1] / np.float32(255)))
    assert images.provenance["turned_by_exif"] == 1


def drawing(mode):
    """Black strokes of several strengths on nothing, and what they look like on white paper."""
    alpha = np.linspace(0, 255, 24).round().astype(np.uint8).reshape(6, 4)
    black = np.zeros_like(alpha)
    layers = {"LA": [black, alpha], "RGBA": [black, black, black, alpha]}[mode]
    return Image.merge(mode, [Image.fromarray(layer) for layer in layers]), 1 - alpha.astype(np.float32) / 255


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pictures_are_laid_on_white(tmp_path, mode):
    picture, seen = drawing(mode)
    picture.save(tmp_path / "x.png")
    images = load_images(tmp_path / "x.png")
    assert images.image_shape == ({"LA": 1, "RGBA": 3}[mode], 6, 4)
    assert (images.pixels[0] - torch.from_numpy(seen)).abs().max() <= 1 / 255
    assert images.provenance["laid_on_white"] == 1
    (block,) = stream_pictures(tmp_path, (1, 6, 4))
    assert (block.pixels[0] - torch.from_numpy(seen)).abs().max() <= 1 / 255


@pytest.mark.parametrize(("mode", "transparent"), [("P", 0), ("L", 0), ("RGB", (0, 0, 0))])
def test_a_colour_that_stands_for_nothing(tmp_path, mode, transparent):
    picture = Image.new("L", (4, 6), 0)
    picture.paste(200, (0, 0, 2, 6))
    picture = picture.convert(mode)
    if mode == "P":
        transparent = picture.getpixel((3, 0))
    picture.save(tmp_path / "x.png", transparency=transparent)
    images = load_images(tmp_path / "x.png")
    assert images.pixels[0, :, :, :2].unique().tolist() == pytest.approx([200 / 255])
    assert images.pixels[0, :, :, 2:].unique().tolist() == [1.0]
    assert images.provenance["laid_on_white"] == 1


def test_opaque_pictures_do_not_change_by_a_bit(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([COLOUR, np.full((6, 4), 255, np.uint8)])).save(tmp_path / "b.png")
    images = load_images(tmp_path)
    assert torch.equal(images.pixels[0], images.pixels[1])
    assert images.provenance["laid_on_white"] == 1


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp"])
def test_the_first_of_several_frames_is_read_and_said(tmp_path, suffix):
    frames = [Image.new("L", (4, 6), level) for level in (200, 100, 50)]
    frames[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.warns(DataWarning, match=rf"x\.{suffix} of 1 pictures hold several frames, of which the first is read"):
        images = load_images(tmp_path / f"x.{suffix}")
    assert len(images) == 1
    assert images.provenance["first_of_several_frames"] == 1
    assert float(images.pixels.mean()) == pytest.approx(200 / 255, abs=0.02)


def test_pictures_with_nothing_to_say(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "b.jpg")
    Image.fromarray(GREY).convert("P").save(tmp_path / "c.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = load_images(tmp_path)
    assert images.provenance == {
        "source": str(tmp_path),
        "format": "folder",
        "turned_by_exif": 0,
        "laid_on_white": 0,
        "first_of_several_frames": 0,
        "limit": None,
        "size": None,
        "scale": None,
    }
