"""What is white: integers that do not fill their type are not read as black in silence, and the remedy works."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from separatrix.data import load_images
from separatrix.data._picture_stream import stream_pictures
from separatrix.errors import DataWarning, InputError

FLAGS = np.random.default_rng(0).integers(0, 2, (6, 8, 10)).astype(np.uint8)
FLAGS[0, 0, :2] = 0, 1


def filled(dtype, largest, shape=(6, 8, 10)):
    """Whole numbers from 0 to ``largest``, both of which occur."""
    values = np.random.default_rng(1).integers(0, largest, shape, endpoint=True).astype(dtype)
    values.flat[0], values.flat[1] = 0, largest
    return values


def test_flags_in_bytes_are_not_black():
    """dSprites' own format: uint8 in {0, 1}."""
    with pytest.raises(InputError, match=r"no value above 1, where 255 would be white; pass scale=1 if 1 is white"):
        load_images(FLAGS)
    assert load_images(FLAGS, scale=1).pixels.unique().tolist() == [0.0, 1.0]
    assert load_images(FLAGS.astype(bool)).pixels.unique().tolist() == [0.0, 1.0]
    assert load_images(FLAGS, scale=255).pixels.max() == torch.tensor(1 / 255)


@pytest.mark.parametrize(
    ("dtype", "largest", "scale"),
    [
        (np.uint8, 1, 1),
        (np.uint8, 9, 9),
        (np.uint8, 16, 16),
        (np.uint8, 31, 31),
        (np.uint16, 255, 255),
        (np.uint16, 1023, 1023),
        (np.uint16, 4095, 4095),
        (np.uint16, 3996, 4095),
        (np.int64, 255, 255),
        (np.int32, 255, 255),
        (np.int16, 4095, 4095),
        (np.uint32, 255, 255),
    ],
)
@pytest.mark.parametrize("form", ["array", "npy", "npz", "set", "loader"])
def test_the_remedy_of_the_sentence_is_one(tmp_path, dtype, largest, scale, form):
    values = filled(dtype, largest)
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", x=values)
    tensors = TensorDataset(torch.from_numpy(values.astype(np.int64) if dtype in (np.uint16, np.uint32) else values))
    source = {
        "npy": tmp_path / "x.npy",
        "npz": tmp_path / "x.npz",
        "set": tensors,
        "loader": DataLoader(tensors, batch_size=4),
    }.get(form, values)
    with pytest.raises(InputError, match="pass scale=") as caught:
        load_images(source)
    offered = float(re.search(r"pass scale=([\d.]+)", str(caught.value))[1])
    assert offered == (scale if "would be white" in str(caught.value) else 255)
    images = load_images(source, scale=scale)
    assert torch.equal(
        images.pixels.reshape(6, -1), torch.from_numpy(values / np.float32(scale)).reshape(6, -1).float()
    )
    assert images.provenance["scale"] == scale


@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.uint8, 128), (np.uint8, 255), (np.uint16, 32768), (np.uint16, 65535)]
)
def test_what_fills_its_type_is_read_as_before(dtype, largest):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = load_images(filled(dtype, largest))
        zeros = load_images(np.zeros((4, 5, 5), dtype))
    assert float(images.pixels.max()) == pytest.approx(largest / np.iinfo(dtype).max, rel=1e-6)
    assert float(zeros.pixels.max()) == 0  # whatever is white


@pytest.mark.parametrize(("dtype", "largest", "white"), [(np.uint8, 100, 255), (np.uint16, 16383, 65535)])
def test_dark_sets_are_warned_of_and_read(dtype, largest, white):
    with pytest.warns(DataWarning, match=f"no value above {largest}, where {white} is white"):
        images = load_images(filled(dtype, largest))
    assert float(images.pixels.max()) == pytest.approx(largest / white, rel=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_images(filled(dtype, largest), scale=white)


def test_flat_bytes_are_images_and_other_flat_integers_are_tables():
    with pytest.raises(InputError, match="pass scale=1"):
        load_images(FLAGS.reshape(6, 80))
    assert load_images(FLAGS.reshape(6, 80), scale=1).pixels.max() == 1
    assert load_images(FLAGS.reshape(6, 80).astype(np.uint16)).pixels.max() == 1
    assert load_images(filled(np.uint16, 4095, (6, 80)), scale=4095).pixels.max() == 1


def test_one_dark_photograph_is_no_mistake():
    with pytest.warns(DataWarning, match="pass scale=255 if they are that dark"):
        assert len(load_images(filled(np.uint8, 20, (1, 8, 8, 3)))) == 1
    with pytest.raises(InputError, match="pass scale=1"):
        load_images(FLAGS[:1])


def test_one_bright_image_shows_what_is_white():
    values = filled(np.uint8, 12)
    values[3, 2, 2] = 251
    assert float(load_images(values).pixels.max()) == pytest.approx(251 / 255, rel=1e-6)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), True, "255", [255]])
def test_a_scale_that_is_none(scale):
    with pytest.raises(InputError, match="scale must be the stored value that is white"):
        load_images(FLAGS, scale=scale)


def test_a_scale_that_some_pixels_are_whiter_than():
    with pytest.raises(InputError, match="values up to 255, above scale=16"):
        load_images(filled(np.uint8, 255), scale=16)
    with pytest.raises(InputError, match="already; give scale= where it is read"):
        load_images(load_images(FLAGS, scale=1), scale=1)


def test_floats_are_scaled_on_request():
    values = filled(np.float32, 255)
    with pytest.raises(InputError, match="scale=255"):
        load_images(values)
    assert torch.equal(load_images(values, scale=255).pixels[:, 0], torch.from_numpy(values / np.float32(255)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    dtype=st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.int64]),
    largest=st.integers(1, 2**15 - 1),
    count=st.sampled_from([2, 4, 5]),
)
def test_no_set_of_images_is_black_in_silence(dtype, largest, count):
    """Whatever the integers: refused, or warned of, or some pixel is brighter than half of white."""
    values = filled(dtype, min(largest, np.iinfo(dtype).max), (count, 5, 5))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            images = load_images(values)
        except InputError as error:
            assert "scale=" in str(error)  # noqa: PT017
            return
    assert caught or float(images.pixels.max()) >= 0.5


# -- pictures ------------------------------------------------------------------------------------------------------------


def saved(folder, values, suffix="png"):
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(values):
        Image.fromarray(image).save(folder / f"{index}.{suffix}")
    return folder


@pytest.mark.parametrize(
    ("values", "white"),
    [(FLAGS, 255), (filled(np.uint16, 4095), 65535), (np.repeat(FLAGS[..., None], 3, axis=3), 255)],
    ids=["masks", "12 bits in 16", "colour"],
)
def test_pictures_far_from_white(tmp_path, values, white):
    folder = saved(tmp_path / "x", values)
    largest = int(values.max())
    with pytest.raises(InputError, match=f"{folder} holds no value above {largest}, where {white}"):
        load_images(folder)
    images = load_images(folder, scale=largest)
    assert images.pixels.max() == 1
    first = torch.from_numpy(values[0] / np.float32(largest))
    assert torch.allclose(images.pixels[0], first.movedim(2, 0) if values.ndim == 4 else first[None])
    shape = tuple(images.image_shape)
    with pytest.warns(DataWarning, match="no value above"):
        list(stream_pictures(folder, shape))
    (block,) = stream_pictures(folder, shape, scale=largest)
    assert torch.equal(block.pixels, images.pixels)
    with pytest.raises(InputError, match=r"The picture .*0\.png holds values up to .*, above scale=0.5"):
        list(stream_pictures(folder, shape, scale=0.5))


def test_bilevel_pictures_have_their_white(tmp_path):
    folder = saved(tmp_path / "x", FLAGS.astype(bool))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_images(folder).pixels.unique().tolist() == [0.0, 1.0]


def test_pictures_of_a_data_set_too():
    class Pictures(Dataset[object]):
        def __len__(self):
            return len(FLAGS)

        def __getitem__(self, index):
            return Image.fromarray(FLAGS[index])

    for source in (Pictures(), [Image.fromarray(image) for image in FLAGS], Image.fromarray(FLAGS[0])):
        with pytest.raises(InputError, match="pass scale=1"):
            load_images(source)
        assert load_images(source, scale=1).pixels.max() == 1
