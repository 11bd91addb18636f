"""load_images on files and folders: npy, npz, idx, pictures; damaged and hostile ones too."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from separatrix.data import _pictures as pictures
from separatrix.data import load_images
from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.field import LatentField
from separatrix.runs import drift

BYTES = np.random.default_rng(0).integers(0, 256, (6, 8, 10), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)


class Bomb:
    """Unpickling this is a failed test."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return pytest.fail, ("a pickle was executed",)


def idx_bytes(values: np.ndarray, code: int = 0x08) -> bytes:
    header = bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.tobytes()


def refusal(source: object, **options: object) -> str:
    with pytest.raises(SeparatrixError) as caught:
        load_images(source, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_npy_is_mapped_and_only_the_limit_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", COLOUR)
    images = load_images(tmp_path / "x.npy", limit=2)
    assert torch.equal(images.pixels, load_images(COLOUR[:2]).pixels)
    assert images.provenance == {
        "source": str(tmp_path / "x.npy"),
        "format": "npy",
        "shape": [6, 8, 10, 3],
        "dtype": "uint8",
        "limit": 2,
        "size": None,
        "scale": None,
    }
    assert json.loads(json.dumps(images.provenance)) == images.provenance
    large = np.lib.format.open_memmap(
        tmp_path / "large.npy", mode="w+", dtype=np.float32, shape=(10**7, 28, 28)
    )  # 31 GB, sparse
    del large
    assert load_images(tmp_path / "large.npy", limit=5).pixels.shape == (5, 1, 28, 28)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(BYTES))
    assert torch.equal(load_images(tmp_path / "fortran.npy").pixels, load_images(BYTES).pixels)


def test_npz_takes_the_only_array_of_images(tmp_path: Path) -> None:
    labels = np.arange(6, dtype=np.uint8)
    np.savez_compressed(tmp_path / "one.npz", x=BYTES, y=labels, names=np.array(list("abcdef")))
    images = load_images(tmp_path / "one.npz", limit=4)
    assert torch.equal(images.pixels, load_images(BYTES, limit=4).pixels)
    assert images.names == tuple("abcd")
    assert images.targets is not None
    assert images.targets.tolist() == [0, 1, 2, 3]
    assert images.provenance["key"] == "x"
    np.savez(tmp_path / "fortran.npz", x=np.asfortranarray(BYTES))
    assert torch.equal(load_images(tmp_path / "fortran.npz", limit=2).pixels, load_images(BYTES[:2]).pixels)


def test_npz_with_several_arrays_needs_a_key(tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    np.savez(path, x_train=BYTES, y_train=np.arange(6), x_test=COLOUR, odd=np.array([[Bomb()]]))
    assert "x_train (6×8×10), y_train (6), x_test (6×8×10×3)" in refusal(path)
    assert "two.npz#x_train." in refusal(path)
    assert "no array 'x_val'; it has x_train" in refusal(path, key="x_val")
    by_key, by_name = load_images(path, key="x_train"), load_images(f"{path}#x_train")
    assert torch.equal(by_key.pixels, by_name.pixels)
    assert by_name.targets is not None
    assert by_name.targets.tolist() == [0, 1, 2, 3, 4, 5]
    assert load_images(path, key="x_test").targets is None
    assert "already names an array" in refusal(f"{path}#x_train", key="x_train")
    assert "pickled Python objects" in refusal(path, key="odd")
    np.savez(tmp_path / "none.npz", y=np.arange(6))
    assert "no array of images" in refusal(tmp_path / "none.npz")
    np.savez(tmp_path / "number.npz", x=np.array(3.0))
    assert "single number" in refusal(tmp_path / "number.npz", key="x")


def test_npz_reads_no_further_than_the_limit(tmp_path: Path) -> None:
    """The end of the member is destroyed: the first rows are still read, the last ones are an error."""
    path = tmp_path / "x.npz"
    noise = np.random.default_rng(0).integers(0, 256, (1000, 16, 16), dtype=np.uint8)
    np.savez_compressed(path, x=noise)
    content = bytearray(path.read_bytes())
    content[200_000:240_000] = bytes(40_000)
    path.write_bytes(content)
    assert torch.equal(load_images(path, limit=100).pixels, load_images(noise, limit=100).pixels)
    assert "truncated or damaged" in refusal(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_idx(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    content = idx_bytes(BYTES)
    path.write_bytes(gzip.compress(content) if compressed else content)
    images = load_images(path, limit=4)
    assert torch.equal(images.pixels, load_images(BYTES, limit=4).pixels)
    assert images.provenance["format"] == ("idx.gz" if compressed else "idx")
    path.write_bytes((gzip.compress(content) if compressed else content)[:-60])
    assert "truncated" in refusal(path)


def test_idx_of_other_types_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "x.idx"
    path.write_bytes(idx_bytes(np.linspace(0, 1, 12).reshape(1, 3, 4).astype(">f8"), 0x0E))
    assert load_images(path).pixels.flatten().tolist() == pytest.approx(np.linspace(0, 1, 12))
    path.write_bytes(idx_bytes(BYTES.astype(">i2"), 0x0B))
    assert "int16" in refusal(path)
    path.write_bytes(idx_bytes(np.arange(6, dtype=np.uint8)))
    assert "labels" in refusal(path)
    path.write_bytes(idx_bytes(BYTES)[:6])
    assert "truncated" in refusal(path)
    path.write_bytes(idx_bytes(BYTES[:0]))
    assert "no images" in refusal(path)
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", *[2**32 - 1] * 3))
    assert "pass limit=" in refusal(path)
    path.write_bytes(gzip.compress(b"some text"))
    assert "unpack it" in refusal(path)


def test_pickles_are_never_executed(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(Bomb()))
    assert "is a pickle, which can run code" in refusal(tmp_path / "data_batch_1")
    np.save(tmp_path / "objects.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    assert "allow_pickle stays False" in refusal(tmp_path / "objects.npy")
    torch.save({"x": torch.zeros(2, 4, 4)}, tmp_path / "x.pt")
    assert "PyTorch file" in refusal(tmp_path / "x.pt")


def test_wrong_missing_and_truncated_files(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no file or folder .*missing\.npy"):
        load_images(tmp_path / "missing.npy")
    (tmp_path / "empty.npy").touch()
    assert "empty file" in refusal(tmp_path / "empty.npy")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    assert "not in a format" in refusal(tmp_path / "table.csv")
    assert "key='x'" in refusal(tmp_path / "table.csv", key="x")
    np.save(tmp_path / "x.npy", BYTES)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "short.npy").write_bytes(content[:-10])
    assert "truncated" in refusal(tmp_path / "short.npy")
    (tmp_path / "header.npy").write_bytes(content[:20])
    assert "header" in refusal(tmp_path / "header.npy")
    np.save(tmp_path / "none.npy", BYTES[:0])
    assert "no images" in refusal(tmp_path / "none.npy")
    np.save(tmp_path / "number.npy", np.array(1.0))
    assert "single number" in refusal(tmp_path / "number.npy")
    np.savez(tmp_path / "x.npz", x=BYTES)
    (tmp_path / "short.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:-40])
    assert "truncated or damaged" in refusal(tmp_path / "short.npz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for name, values in [
        ("b/2.png", BYTES[1]),
        ("a.PNG", BYTES[0]),
        ("b/10.png", BYTES[2]),
        ("c.bmp", BYTES[3]),
    ]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(root / name)
    (root / "notes.txt").write_text("not a picture")
    (root / "._a.png").write_bytes(b"\0\5\x16\7 what macOS leaves behind")
    return root


def test_a_folder_is_read_in_path_order(folder: Path) -> None:
    images = load_images(folder)
    assert images.names == ("a.PNG", "b/10.png", "b/2.png", "c.bmp")
    assert torch.equal(images.pixels, load_images(BYTES[[0, 2, 1, 3]]).pixels)
    one = load_images(str(folder / "c.bmp"))
    assert one.names == ("c.bmp",)
    assert torch.equal(one.pixels, load_images(BYTES[3:4]).pixels)


def test_one_colour_file_makes_all_rgb(folder: Path) -> None:
    Image.fromarray(COLOUR[0]).save(folder / "aa.webp", lossless=True)
    deep = np.linspace(0, 65535, 80).astype(np.uint16).reshape(8, 10)
    Image.fromarray(deep).save(folder / "deep.png")
    images = load_images(folder)
    assert images.image_shape == (3, 8, 10)
    by_name = dict(zip(images.names, images.pixels, strict=True))
    assert torch.equal(by_name["a.PNG"], load_images(BYTES[:1]).pixels[0].expand(3, -1, -1))
    assert torch.equal(by_name["aa.webp"], load_images(COLOUR[:1]).pixels[0])
    assert torch.allclose(by_name["deep.png"][2], torch.from_numpy(deep / 65535).float(), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "mode", "channels"),
    [
        ("x.png", "L", 1),
        ("x.png", "1", 1),
        ("x.png", "LA", 1),
        ("x.png", "RGBA", 3),
        ("x.png", "P", 3),
        ("x.jpg", "RGB", 3),
        ("x.jpg", "CMYK", 3),
        ("x.gif", "RGB", 3),
        ("x.tif", "F", 1),
        ("x.pgm", "L", 1),
    ],
)
def test_picture_modes(tmp_path: Path, name: str, mode: str, channels: int) -> None:
    white = Image.new("L", (6, 5), 1 if mode == "F" else 255)
    white.convert(mode).save(tmp_path / name)
    images = load_images(tmp_path / name)
    assert images.image_shape == (channels, 5, 6)
    assert images.pixels.min().item() == pytest.approx(1, abs=0.01)
    assert images.pixels.max().item() == pytest.approx(1, abs=0.01)


def test_mixed_sizes_need_size(folder: Path) -> None:
    Image.fromarray(BYTES[0, :5]).save(folder / "zz.png")
    message = refusal(folder)
    assert f"{folder / 'a.PNG'} is 8×10 and {folder / 'zz.png'} is 5×10" in message
    assert "size=(8, 10)" in message
    images = load_images(folder, size=(8, 10))
    assert images.pixels.shape == (5, 1, 8, 10)
    assert torch.equal(images.pixels[0], load_images(BYTES[:1]).pixels[0])
    assert torch.equal(images.pixels[4:], load_images(BYTES[:1, :5], size=(8, 10)).pixels)


def test_a_limit_opens_no_further_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = Image.open
    monkeypatch.setattr(
        pictures.Image, "open", lambda path, **options: opened.append(path) or original(path, **options)
    )
    (folder / "d.png").write_bytes(b"not a picture")
    assert len(load_images(folder, limit=2)) == 2
    assert {path.name for path in opened} == {"a.PNG", "10.png"}


def test_bad_folders_and_pictures(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "it is empty" in refusal(tmp_path / "empty")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "table.csv").touch()
    assert "for example table.csv" in refusal(tmp_path / "texts")
    assert "key='x'" in refusal(folder, key="x")
    content = (folder / "c.bmp").read_bytes()
    (folder / "c.bmp").write_bytes(content[:60])
    assert str(folder / "c.bmp") in refusal(folder)
    (folder / "c.bmp").write_bytes(b"%!PS-Adobe EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    said = refusal(folder)
    assert f"The picture {folder / 'c.bmp'} cannot be decoded (it is empty, damaged, or not what its name says)" in said
    assert "numpy.save" not in said  # it is a picture by its name: to convert it is no remedy


def test_links_back_to_a_parent_end(folder: Path) -> None:
    (folder / "b" / "loop").symlink_to(folder, target_is_directory=True)
    assert len(load_images(folder)) == 4


def test_a_bomb_of_pixels_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures.Image, "MAX_IMAGE_PIXELS", 10)
    assert "cannot be decoded" in refusal(folder)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "count", "shape", "mean"),
    [
        ("mnist.npz#x_train", 60000, (1, 28, 28), 0.1307),
        ("fashion_mnist.npz#x_train", 60000, (1, 28, 28), 0.2860),
        ("cifar10_10k2k.npz#x_test", 2000, (3, 32, 32), 0.4734),
        ("imagenet1000_64px.npz", 1000, (3, 64, 64), 0.45),
        ("bsds500_64px.npz", 500, (3, 64, 64), 0.42),
    ],
)
def test_real_files(real_data: Path, name: str, count: int, shape: tuple[int, ...], mean: float) -> None:
    """Well-known means of the data sets: values are scaled once; channels are where they belong."""
    images = load_images(f"{real_data / 'data' / name}", limit=2000)
    assert len(images) == min(count, 2000)
    assert images.image_shape == shape
    assert images.provenance["shape"][0] == count
    assert images.pixels.mean().item() == pytest.approx(mean, abs=0.03)
    if shape[0] == 3:  # a channel varies smoothly in space; interleaved colours would not
        steps = (images.pixels[..., 1:] - images.pixels[..., :-1]).abs().mean()
        assert steps < 0.08
    if name.startswith("imagenet"):
        assert len(set(images.names)) == 1000
        assert images.names[0] != "0"
    if "#" in name:
        assert images.targets is not None
        assert images.targets.unique().tolist() == list(range(10))


@pytest.mark.real
def test_a_real_archive_with_several_arrays_lists_them(real_data: Path) -> None:
    with pytest.raises(InputError, match=r"x_train .60000×28×28., y_train .60000., x_test .10000×28×28."):
        load_images(real_data / "data" / "mnist.npz")


@pytest.mark.skipif(sys.platform != "linux", reason="Elsewhere the names of files are text.")
def test_names_that_are_no_text_cost_no_run(tmp_path: Path) -> None:
    """Pictures of old archives: the first file that names them could not be written, when all was computed."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
        with open(os.fsencode(folder) + b"/caf\xe9 %d.png" % number, "wb") as stream:
            Image.fromarray(pixels).save(stream, "PNG")
    images = load_images(folder)
    assert images.names == ("caf\ufffd 0.png", "caf\ufffd 1.png", "caf\ufffd 2.png")
    name = os.fsdecode(b"mod\xe8le.py:build")
    field = LatentField.from_map(lambda z: 0.9 * z, latent_shape=(1, 16, 16), name=name)
    found = drift(field, images, trips=2, patterns=0, figures=False, out=tmp_path / "run")
    assert found.summary["per_picture"][0]["name"] == "caf\ufffd 0.png"
    assert "caf\ufffd 0.png" in found.report.read_text(encoding="utf-8")
    assert "mod\ufffdle.py:build" in found.report.read_text(encoding="utf-8")
