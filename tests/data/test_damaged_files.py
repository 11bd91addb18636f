"""Files of images with damaged bytes: they load, or are refused in one sentence of ours; nothing else comes out."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from separatrix.data import ImageSet, load_images
from separatrix.data import _decoding as decoding
from separatrix.errors import FileError, InputError, SeparatrixError
from separatrix.work import _memory as memory

BYTES = np.random.default_rng(0).integers(0, 256, (6, 4, 5), dtype=np.uint8)


def npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, BYTES)
    return stream.getvalue()


def npz(*, compressed: bool) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, x_train=BYTES, y_train=np.arange(6))
    return stream.getvalue()


def idx() -> bytes:
    return bytes([0, 0, 8, 3]) + struct.pack(">3I", 6, 4, 5) + BYTES.tobytes()


def picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(BYTES[0]).save(stream, kind)
    return stream.getvalue()


KINDS = {
    "npy": npy(),
    "npz": npz(compressed=False),
    "npz compressed": npz(compressed=True),
    "idx": idx(),
    "idx.gz": gzip.compress(idx(), mtime=0),
    "png": picture("PNG"),
    "jpeg": picture("JPEG"),
    "tiff": picture("TIFF"),
    "gif": picture("GIF"),
    "bmp": picture("BMP"),
    "webp": picture("WEBP"),
}


def edited(content: bytes, places: list[tuple[int, int]], end: int) -> bytes:
    changed = bytearray(content)
    for place, value in places:
        changed[place % len(changed)] = value
    return bytes(changed[: len(changed) - end % len(changed)])


@pytest.mark.parametrize("kind", KINDS)
def test_undamaged_bytes_load(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(KINDS[kind])
    assert load_images(tmp_path / "file").image_shape[1:] == (4, 5)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # Pillow's and the parser's, of damage
@pytest.mark.parametrize("kind", KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(
    places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    end=st.one_of(st.just(0), st.integers(0, 10**6)),
)
def test_damaged_bytes_load_or_are_refused(kind: str, places: list[tuple[int, int]], end: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(edited(KINDS[kind], places, end))
    with suppress(SeparatrixError):
        assert isinstance(load_images(path), ImageSet)


def with_header(header: str) -> bytes:
    text = header.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + BYTES.tobytes()


HEADERS = {
    "no Python": "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 4, 5",
    "an open string": "{'descr': '|u1\n', '",
    "an indent": "  (\n  )\n    0L",
    "negative": "{'descr': '|u1', 'fortran_order': False, 'shape': (-6, 4, 5), }\n",
    "twice negative": "{'descr': '|u1', 'fortran_order': False, 'shape': (6, -4, -5), }\n",
    "a truth value": "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 4, True), }\n",
    "beyond 64 bits": "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 4, 99999999999999999999), }\n",
    "beyond memory": "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 99999999, 99999999), }\n",
    "deep": "(" * 9000,
    "no type": "{'descr': 'quux', 'fortran_order': False, 'shape': (6, 4, 5), }\n",
    "nothing wide": "{'descr': '|V0', 'fortran_order': False, 'shape': (6, 4, 5), }\n",
    "a NUL": "{'descr': '|u1\0', 'fortran_order': False, 'shape': (6, 4, 5), }\n",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("in_zip", [False, True])
def test_a_header_that_says_nonsense_is_refused(tmp_path: Path, header: str, in_zip: bool) -> None:
    path = tmp_path / "x.npy"
    if in_zip:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", with_header(header))
    else:
        path.write_bytes(with_header(header))
    with pytest.raises((FileError, InputError)) as caught:
        load_images(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000, "a\0b", "x" * 300 + "#key"])
def test_a_path_that_cannot_be_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match=r"cannot be opened|no file or folder"):
        load_images(tmp_path / name)


def test_what_does_not_fit_into_half_of_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", BYTES)
    np.savez(tmp_path / "x.npz", x=BYTES)
    need = 4 * BYTES.size
    monkeypatch.setattr(memory, "available", lambda: 2 * need)
    assert len(load_images(tmp_path / "x.npy")) == 6
    monkeypatch.setattr(memory, "available", lambda: 2 * need - 1)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError, match=r"more than half of the .* GB that are available; pass limit="):
            load_images(tmp_path / name)
    assert len(load_images(tmp_path / "x.npy", limit=2)) == 2
    with pytest.raises(InputError, match="give a smaller size, or fewer images"):
        load_images(tmp_path / "x.npy", limit=1, size=(99999999, 99999999))


def test_memory_is_known_here() -> None:
    room = memory.available()
    assert room is not None
    assert 0 < room < 2**50


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "P", "RGBA"])
def test_a_large_picture_is_resized_as_a_small_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str) -> None:
    values = np.random.default_rng(2).integers(0, 256, (60, 44, 3), dtype=np.uint8)
    image = (
        Image.fromarray(values[:, :, 0].astype(np.uint16) * 250)
        if mode == "I;16"
        else Image.fromarray(values).convert(mode)
    )
    image.save(tmp_path / "x.png")
    whole = load_images(tmp_path / "x.png", size=(7, 9)).pixels
    monkeypatch.setattr(decoding, "_LARGE", 1)
    by_channel = load_images(tmp_path / "x.png", size=(7, 9)).pixels
    assert by_channel.shape == whole.shape
    assert float((by_channel - whole).abs().max()) < 2e-6


def test_a_picture_that_does_not_fit_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "x.png")
    monkeypatch.setattr(memory, "available", lambda: 2 * 300 * 200 * (8 + 4))
    monkeypatch.setattr(decoding, "_LARGE", 1)
    assert load_images(tmp_path / "x.png", size=(8, 8)).image_shape == (3, 8, 8)
    with pytest.raises(
        InputError, match=r"A picture of 200×300 pixels would take .* GB of memory.*make it smaller first"
    ):
        load_images(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"1 pictures of 99999999×99999999 pixels .*give a smaller size"):
        load_images(tmp_path / "x.png", size=(99999999, 99999999))


def test_a_picture_beyond_pillows_limit_is_one_sentence(tmp_path: Path) -> None:
    Image.new("1", (20000, 10000)).save(tmp_path / "x.png")
    with pytest.raises(FileError, match="exceeds limit of 178956970 pixels"):
        load_images(tmp_path / "x.png", size=(8, 8))
