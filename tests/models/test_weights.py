"""Weight files: tensors are read, all else is refused in one sentence, and nothing in a file ever runs."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from separatrix.errors import FileError, ModelWarning
from separatrix.models._weights import fill, read_weights

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


class Bomb:
    """Creates a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def assert_read(path: Path) -> None:
    read = read_weights(path)
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.ckpt", "w.PT"])
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_torch_save_are_read(tmp_path: Path, name: str, zipped: bool) -> None:
    torch.save(TENSORS, tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert_read(tmp_path / name)


def test_safetensors_are_read_whatever_their_header_length(tmp_path: Path) -> None:
    for padding in range(0, 2400, 7):  # a length of 640 + 65536 n begins like a pickle: 80 02
        save_file(TENSORS, tmp_path / "w.safetensors", metadata={"padding": "x" * padding})
        assert_read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_act_is_refused_and_does_not(tmp_path: Path, zipped: bool) -> None:
    target = tmp_path / "evidence"
    path = tmp_path / "bomb.pt"
    torch.save({"weight": Bomb(target)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(FileError, match=r"pickled objects, which could run code.*safetensors\.torch\.save_file"):
        read_weights(path)
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(FileError, match=r"refused|damaged"):
        read_weights(tmp_path / "raw.pt")
    assert not target.exists()
    pickle.loads(pickle.dumps(Bomb(target)))  # the bomb is live: plain unpickling sets it off
    assert target.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tracing itself is deprecated, such files are not
def test_programs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))
    with pytest.raises(FileError, match="TorchScript program, which is code"):
        read_weights(path)


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "w.pt")
    path = tmp_path / "bomb.pt"
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in source.infolist():
            bomb.writestr(member.filename, source.read(member))
        bomb.writestr("archive/data/99", bytes(10_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(FileError, match="compressed archive"):
        read_weights(path)


def lying_length(length: int) -> bytes:
    return struct.pack("<Q", length) + b'{"weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' + bytes(8)


def lying_offsets(end: int) -> bytes:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("w.safetensors", b"", "is empty"),
        ("w.safetensors", b"abc", "damaged or incomplete"),
        ("w.safetensors", lying_length(2**63), "damaged or incomplete"),
        ("w.safetensors", lying_length(10**7), "damaged or incomplete"),
        ("w.safetensors", lying_length(3), "damaged or incomplete"),
        ("w.safetensors", lying_offsets(2**40), "damaged or incomplete"),
        (
            "w.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid",
            "Git LFS pointer; run `git lfs pull`",
        ),
        ("w.safetensors", b"\n<!DOCTYPE html>", "an HTML page"),
        ("w.safetensors", pickle.dumps({"a": 1}), "not a safetensors file but a file of torch.save"),
        ("w.pt", b"", "is empty"),
        ("w.pt", b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        ("w.pt", b"PK\x03\x04 and nothing more", "damaged"),
        ("w.pt", b"no model at all", "damaged|refused"),
        ("w.h5", b"anything", "no weights file by its suffix '.h5'"),
        ("weights", b"anything", r"suffix '\(none\)'"),
    ],
)
def test_what_is_no_weights_file(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=sentence):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("kept", [9, 0.3, 0.6, 0.99])
def test_truncated_files(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"w{suffix}"
    big = {"weight": torch.zeros(200, 200)}
    save_file(big, path) if suffix == ".safetensors" else torch.save(big, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(FileError, match=r"damaged|refused"):
        read_weights(path)


def test_wrong_suffixes_are_named(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "w.pt")
    with pytest.raises(FileError, match=r"but a safetensors file; rename it to end in \.safetensors"):
        read_weights(tmp_path / "w.pt")
    torch.save(TENSORS, tmp_path / "zip.safetensors")
    with pytest.raises(FileError, match=r"but a file of torch\.save; rename it to end in \.pt"):
        read_weights(tmp_path / "zip.safetensors")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for name in ("absent.pt", "absent.safetensors"):
        with pytest.raises(FileError, match=f"{name} does not exist; check the path"):
            read_weights(tmp_path / name)
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(FileError, match="cannot be read"):
        read_weights(tmp_path / "folder.pt")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"state_dict": TENSORS, "epoch": 3}, 'a dictionary of epoch, state_dict instead.*"state_dict"'),
        (torch.zeros(3), "holds a Tensor instead of named tensors"),
    ],
)
def test_other_harmless_content(tmp_path: Path, content: Any, sentence: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(FileError, match=sentence):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"weight": TENSORS["weight"]}, r"does not fit the model \(missing bias\)"),
        ({**TENSORS, "gain": torch.ones(1)}, r"\(unexpected gain\)"),
        (
            {**{f"layer{i}": torch.ones(1) for i in range(5)}, "bias": torch.ones(2)},
            r"\(missing weight; unexpected layer0, layer1, layer2 and 2 more\)",
        ),
        ({**TENSORS, "bias": torch.ones(3)}, r"bias has shape \(3,\), expected \(2,\)"),
        (
            {**TENSORS, "bias": torch.ones(2, dtype=torch.int8)},
            r"bias holds torch\.int8, expected torch\.float32",
        ),
        ({**TENSORS, "bias": torch.tensor([1, torch.nan])}, "NaN in bias"),
        ({**TENSORS, "bias": torch.tensor([1, -torch.inf])}, "infinite values in bias"),
        ({**TENSORS, "bias": torch.tensor([1, 1e300], dtype=torch.float64)}, "infinite values in bias"),
    ],
)
def test_what_does_not_fit_leaves_the_module_alone(tensors: dict[str, Tensor], sentence: str) -> None:
    module = nn.Linear(3, 2)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(FileError, match=sentence):
        fill(module, tensors, source=Path("w.safetensors"), model="the model")
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_infinite_buffers_are_masks() -> None:
    module = nn.Linear(3, 2)
    module.register_buffer("mask", torch.zeros(2))
    fill(module, {**TENSORS, "mask": torch.full((2,), -torch.inf)}, source=Path("w"), model="the model")
    assert module.mask.tolist() == [-torch.inf, -torch.inf]
    with pytest.raises(FileError, match="NaN in mask"):
        fill(module, {**TENSORS, "mask": torch.full((2,), torch.nan)}, source=Path("w"), model="the model")


class Tied(nn.Module):
    """The decoder's matrix is the encoder's."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(3, 3), nn.Linear(3, 3)
        self.decoder.weight = self.encoder.weight


def pair() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.Linear(3, 2), "decoder": nn.Linear(2, 3)})


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "autoencoder.net."])
def test_a_common_prefix_is_left_out_and_said(prefix: str) -> None:
    given, target = pair(), pair()
    tensors = {f"{prefix}{name}": tensor for name, tensor in given.state_dict().items()}
    with pytest.warns(ModelWarning, match=rf"the prefix '{prefix}' is left out to fit the model"):
        fill(target, tensors, source=Path("w.pt"), model="the model")
    assert all(torch.equal(a, b) for a, b in zip(given.parameters(), target.parameters(), strict=True))


@pytest.mark.parametrize("wrapped", ["file", "module"])
def test_wrappers_inside_a_model_are_left_out(wrapped: str) -> None:
    class Wrapper(nn.Module):
        def __init__(self, part: nn.Module) -> None:
            super().__init__()
            self._orig_mod = part

    given, target = pair(), pair()
    for model in (given,) if wrapped == "file" else (target,):
        assert isinstance(model, nn.ModuleDict)
        model["encoder"] = Wrapper(model["encoder"])
    with pytest.warns(ModelWarning, match=r"what module\. and _orig_mod\. add is left out"):
        fill(target, given.state_dict(), source=Path("w.pt"), model="the model")
    assert all(torch.equal(a, b) for a, b in zip(given.parameters(), target.parameters(), strict=True))


def test_a_prefix_that_does_not_make_them_fit_stays_in_the_sentence() -> None:
    with pytest.raises(FileError, match=r"unexpected model\.weight\)"):
        fill(nn.Linear(3, 2), {"model.weight": torch.ones(2, 3)}, source=Path("w.pt"), model="the model")


@pytest.mark.parametrize("assign", [False, True])
def test_tied_weights_that_come_once_are_whole(tmp_path: Path, assign: bool) -> None:
    given, target = Tied(), Tied()
    save_model(given, str(tmp_path / "w.safetensors"))
    tensors = read_weights(tmp_path / "w.safetensors")
    assert len(tensors) == 3
    fill(target, tensors, source=tmp_path / "w.safetensors", model="the model", assign=assign)
    assert torch.equal(target.decoder.weight, given.encoder.weight)
    assert torch.equal(target.decoder.bias, given.decoder.bias)
    with pytest.raises(FileError, match=r"missing decoder\.bias"):
        fill(target, {n: t for n, t in tensors.items() if n != "decoder.bias"}, source=Path("w"), model="the model")
