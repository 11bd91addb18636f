"""load_images on what is in memory: arrays, tensors, data sets, loaders; layouts, value ranges, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from separatrix.data import ImageSet, load_images, tensor_of
from separatrix.data._layout import resized
from separatrix.errors import DataWarning, InputError
from separatrix.models import DenseAutoencoder
from separatrix.ood import ResidualDetector

BYTES = np.random.default_rng(0).integers(0, 256, (6, 8, 10), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((6, 8, 10), (6, 1, 8, 10)),
        ((6, 8, 10, 1), (6, 1, 8, 10)),
        ((6, 8, 10, 3), (6, 3, 8, 10)),
        ((6, 8, 10, 4), (6, 4, 8, 10)),
        ((6, 4, 5, 3), (6, 3, 4, 5)),  # four rows are not RGBA when the last axis is RGB
        ((6, 1, 8, 10), (6, 1, 8, 10)),
        ((6, 3, 8, 10), (6, 3, 8, 10)),
        ((6, 3, 8, 3), (6, 3, 8, 3)),
        ((6, 4, 8, 8), (6, 4, 8, 8)),
        ((6, 32, 8, 8), (6, 32, 8, 8)),
        ((6, 12), (6, 12)),
    ],
)
def test_layouts(given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random(given, dtype=np.float32)
    images = load_images(values)
    assert tuple(images.pixels.shape) == expected
    moved = values if values.ndim < 4 or given == expected else np.moveaxis(values, 3, 1)
    assert torch.equal(images.pixels, torch.from_numpy(np.ascontiguousarray(moved)).reshape(expected))


def test_bytes_become_shares_of_white() -> None:
    images = load_images(BYTES)
    assert images.pixels.dtype == torch.float32
    assert torch.equal(images.pixels[:, 0], torch.from_numpy(BYTES).float() / 255)
    assert load_images(np.full((1, 2, 2), 65535, dtype=np.uint16)).pixels.unique().tolist() == [1.0]
    assert load_images(np.array([[[True, False]]])).pixels.flatten().tolist() == [1.0, 0.0]
    assert torch.equal(load_images(BYTES.reshape(6, 80)).pixels, images.pixels.reshape(6, 80))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_every_floating_type(dtype: torch.dtype) -> None:
    values = torch.tensor([[[[0.0, 0.25], [0.5, 1.0]]]], dtype=dtype, requires_grad=True)
    assert load_images(values).pixels.flatten().tolist() == [0.0, 0.25, 0.5, 1.0]


def test_standardised_images_and_any_vectors_keep_their_values() -> None:
    standardised = np.array([[[-0.42, 2.8], [0.0, 1.5]]])
    assert load_images(standardised).pixels.flatten().tolist() == pytest.approx([-0.42, 2.8, 0.0, 1.5])
    assert load_images(np.array([[1000.0, -3.0]])).pixels.tolist() == [[1000.0, -3.0]]
    assert load_images(np.array([[7, 300]])).pixels.tolist() == [[7.0, 300.0]]


def test_the_source_is_copied() -> None:
    values = np.zeros((2, 4, 4), np.float32)
    images = load_images(values)
    values += 1
    assert float(images.pixels.max()) == 0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((0, 28, 28), np.uint8), "holds no images"),
        (np.zeros((2, 0), np.float32), "holds no images"),
        (np.zeros(5, np.uint8), "reshape"),
        (np.array(3.0), "reshape"),
        (np.zeros((2, 2, 2, 2, 2), np.uint8), "reshape"),
        (np.zeros((32, 32, 3), np.uint8), "looks like one colour image"),
        (torch.zeros(3, 32, 32), "looks like one colour image"),
        (np.full((2, 4, 4), 16.0), "divide by 16"),
        (np.full((2, 4, 4), 254.5), "divide by 254.5"),
        (np.full((2, 4, 4), -40.5), "divide by 40.5"),
        (np.full((2, 4, 4), 7, np.int64), "uint8"),
        (np.array(["a", "b"])[:, None], "not numbers"),
        (np.array([[None, 1]], dtype=object), "not numbers"),
        (np.zeros((2, 4, 4), complex), "not numbers"),
        ({"x": np.zeros((2, 4, 4))}, "'x'"),
        (7, "cannot be read from an int"),
        (b"bytes", "cannot be read from a bytes"),
        ([], "yielded nothing"),
        ([3.0, 4.0], "cannot be read from a float"),
        ([np.zeros(4)], "no batch axis"),
        ([()], "empty tuples"),
    ],
)
def test_refusals_name_the_remedy(source: object, words: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+\.$") as caught:
        load_images(source)
    assert words in str(caught.value)


def test_nan_is_refused_with_its_place() -> None:
    values = np.zeros((5, 4, 4), np.float32)
    values[3, 1, 1] = np.nan
    values[4, 0, 0] = np.inf
    with pytest.raises(InputError, match=r"2 of 5 images \(first: number 3"):
        load_images(values)
    assert len(load_images(values, limit=3)) == 3


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3"])
def test_a_bad_limit_is_refused(limit: object) -> None:
    with pytest.raises(InputError, match="limit must be a whole number of images, at least 1"):
        load_images(BYTES, limit=limit)  # type: ignore[arg-type]


def test_limit_takes_the_first() -> None:
    assert torch.equal(load_images(BYTES, limit=2).pixels, load_images(BYTES).pixels[:2])
    assert len(load_images(BYTES, limit=3)) == 3  # three of many are not taken for one colour image
    assert len(load_images(BYTES, limit=100)) == 6


def test_resizing_is_pillows() -> None:
    images = load_images(BYTES, size=(5, 17))
    for pixels, values in zip(images.pixels[:, 0], BYTES, strict=True):
        exact = Image.fromarray(values.astype(np.float32)).resize((17, 5), Image.Resampling.BILINEAR)
        assert torch.allclose(pixels, torch.from_numpy(np.asarray(exact) / 255), atol=1e-5)
    assert images.provenance["size"] == [5, 17]
    with pytest.raises(InputError, match="vectors"):
        load_images(np.zeros((2, 4)), size=(2, 2))
    with pytest.raises(InputError, match="size must be"):
        load_images(BYTES, size=32)  # type: ignore[arg-type]
    same = torch.rand(1, 1, 4, 4)
    assert resized(same, (4, 4)) is same


def test_image_sets_are_cut_with_names_and_labels() -> None:
    images = load_images(TensorDataset(torch.from_numpy(BYTES), torch.arange(6)))
    part = images[2:4]
    assert part.names == ("2", "3")
    assert part.targets is not None
    assert part.targets.tolist() == [2, 3]
    assert images[-1].names == ("5",)
    assert images[[4, 0]].names == ("4", "0")
    assert images[torch.tensor([True] + [False] * 5)].names == ("0",)
    assert [one.names[0] for one in images] == list("012345")
    assert load_images(images, limit=2).names == ("0", "1")
    assert load_images(images, size=(4, 4)).image_shape == (1, 4, 4)
    with pytest.raises(IndexError):
        images[6]
    with pytest.raises(InputError, match="one of names per image"):
        ImageSet(pixels=torch.zeros(2, 1, 2, 2), names=("a",))
    assert images.to(torch.float64).pixels.dtype == torch.float64
    assert repr(images) == "ImageSet(6 images 1×8×10 from TensorDataset)"


def test_the_fingerprint_is_that_of_the_data() -> None:
    images = load_images(BYTES)
    assert images.fingerprint == load_images(torch.from_numpy(BYTES)).fingerprint
    assert images.fingerprint != images[:5].fingerprint
    assert images.fingerprint != load_images(255 - BYTES).fingerprint
    assert images.fingerprint != load_images(BYTES.transpose(0, 2, 1).copy().reshape(6, 8, 10)).fingerprint


class Pictures(Dataset[object]):
    """PIL images with labels, as torchvision's data sets give them without a transform; counted."""

    def __init__(self, mode: str = "L") -> None:
        self.read: list[int] = []
        self.mode = mode

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> object:
        self.read.append(index)
        return Image.fromarray(BYTES[index]).convert(self.mode), index % 2


def test_data_sets() -> None:
    data = Pictures()
    images = load_images(data, limit=4)
    assert data.read == [0, 1, 2, 3]
    assert torch.equal(images.pixels, load_images(BYTES, limit=4).pixels)
    assert images.targets is not None
    assert images.targets.tolist() == [0, 1, 0, 1]
    assert load_images(Pictures("RGB")).image_shape == (3, 8, 10)
    pairs = TensorDataset(torch.from_numpy(BYTES), torch.from_numpy(BYTES))
    assert load_images(pairs).targets is None  # (x, x) pairs, as autoencoders are trained on, have no labels
    vectors = load_images(TensorDataset(torch.rand(4, 7)))
    assert vectors.image_shape == (7,)
    with pytest.raises(InputError, match="empty"):
        load_images(TensorDataset(torch.zeros(0, 3)))
    with pytest.raises(InputError, match="single numbers"):
        load_images(TensorDataset(torch.zeros(3)))


def test_items_of_mixed_shapes_are_named() -> None:
    class Mixed(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.zeros(1, 4, 4 + index // 2)

    with pytest.raises(InputError, match="Item 0 has images of shape 1×4×4 and item 2 of 1×4×5; resize"):
        load_images(Mixed())


def test_items_that_are_dictionaries_need_a_key() -> None:
    class Rows:  # the interface of a Hugging Face data set, which is no torch one
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> dict[str, object]:
            return {"image": Image.fromarray(BYTES[index]), "label": index}

    assert torch.equal(load_images(Rows(), key="image").pixels, load_images(BYTES, limit=2).pixels)
    with pytest.raises(InputError, match=r"'image', 'label'.*key='image'"):
        load_images(Rows())
    with pytest.raises(InputError, match="drop it"):
        load_images(Pictures(), key="image")
    with pytest.raises(InputError, match="an array has none"):
        load_images(BYTES, key="x")


def test_streams_and_data_sets_without_length() -> None:
    class Stream(IterableDataset[torch.Tensor]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            index = 0
            while True:
                yield torch.full((1, 2, 2), index / 100)
                index += 1

    assert load_images(Stream(), limit=3).pixels[:, 0, 0, 0].tolist() == pytest.approx([0.0, 0.01, 0.02])

    class Endless(Dataset[torch.Tensor]):
        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.zeros(1, 2, 2)

    with pytest.raises(InputError, match="no length"):
        load_images(Endless())


def test_loaders_stop_at_the_limit() -> None:
    data = Pictures()
    tensors = TensorDataset(torch.from_numpy(BYTES), torch.arange(6))
    loader = DataLoader(tensors, batch_size=4)
    images = load_images(loader)
    assert torch.equal(images.pixels, load_images(BYTES).pixels)
    assert images.targets is not None
    assert images.targets.tolist() == [0, 1, 2, 3, 4, 5]
    assert load_images(loader, limit=5).pixels.shape[0] == 5

    def batches():  # type: ignore[no-untyped-def]
        for index in range(3):
            data.read.append(index)
            yield torch.from_numpy(COLOUR[2 * index : 2 * index + 2])

    assert torch.equal(load_images(batches(), limit=3).pixels, load_images(COLOUR, limit=3).pixels)
    assert data.read == [0, 1]
    assert len(load_images([Image.fromarray(values) for values in COLOUR])) == 6
    with pytest.raises(InputError, match="A batch has shape 3×8×10, which looks like one colour image"):
        load_images([torch.zeros(3, 8, 10), torch.zeros(3, 8, 10)])
    with pytest.raises(InputError, match="Batch 0 has images of shape 4 and batch 1 of 5"):
        load_images([torch.zeros(3, 4), torch.zeros(3, 5)])


def test_a_shuffling_loader_is_reproducible_and_leaves_the_random_state_alone() -> None:
    loader = DataLoader(TensorDataset(torch.from_numpy(BYTES), torch.arange(6)), batch_size=2, shuffle=True)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = load_images(loader)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert torch.equal(load_images(loader).pixels, first.pixels)
    assert first.targets is not None
    assert sorted(first.targets.tolist()) == [0, 1, 2, 3, 4, 5]
    assert first.targets.tolist() != [0, 1, 2, 3, 4, 5]


def test_a_tensor_of_bytes_is_the_array_of_bytes() -> None:
    """Studies and detectors took a tensor as it was: 255 for white, where the same bytes in an array were 1."""
    tensor = torch.from_numpy(BYTES)
    assert torch.equal(tensor_of(tensor), load_images(BYTES).pixels)
    assert tensor_of(tensor > 99).unique().tolist() == [0.0, 1.0]
    with pytest.raises(InputError, match="int64"):
        tensor_of(tensor.long())
    floats = tensor[:, None].float()
    assert tensor_of(floats / 255).dtype == torch.float32
    kept = (floats / 255).half()
    assert tensor_of(kept) is not None
    assert tensor_of(kept).dtype == torch.float16
    with pytest.warns(DataWarning, match="never scaled to"):
        assert torch.equal(tensor_of(floats), floats)
    assert torch.equal(tensor_of(floats * 1e9), floats * 1e9)  # whatever the unit is, no file has such numbers
    broken = torch.where(floats > 99, torch.nan, floats / 255)  # a detector says so row by row
    assert tensor_of(broken).isnan().any()


def test_a_detector_gives_bytes_the_scores_of_their_pictures() -> None:
    field = DenseAutoencoder((1, 8, 10), 2, hidden=(8,)).field()
    many = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (60, 1, 8, 10), dtype=np.uint8))
    detector = ResidualDetector(field).fit(many)
    same = ResidualDetector(field).fit(many.float() / 255)
    assert torch.equal(detector.calibrated, same.calibrated)
    assert torch.equal(detector.score(many[:5]), same.score(many[:5].numpy()))
