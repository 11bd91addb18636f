"""Files from strangers: nothing in them runs, nothing is written, nothing is read from elsewhere; one sentence says why."""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import KL, halves, write_mae, write_onnx, write_pickle, write_pt2, write_sae, write_torchscript

from separatrix.errors import FileError, SeparatrixError
from separatrix.models import load
from separatrix.models._onnx_pairs import require_contained


class Bomb:
    """Makes a directory when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.fixture
def evidence(tmp_path: Path) -> Iterator[Path]:
    """What a bomb would leave behind. At the end, a bomb set off on purpose shows that it was a live one."""
    target = tmp_path / "evidence"
    yield target
    assert not target.exists()
    pickle.loads(pickle.dumps(Bomb(target)))
    assert target.exists()


def refused(spec: Path | str, words: str, **options: Any) -> str:
    """The one sentence with which it is refused; no other exception comes out."""
    with pytest.raises(SeparatrixError, match=words) as caught:
        load(spec, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith((".", "?"))
    return sentence


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.bin", "model.ckpt"])
def test_a_pickle_is_not_opened_as_a_model(tmp_path: Path, evidence: Path, name: str) -> None:
    torch.save(Bomb(evidence), tmp_path / name)
    assert "--allow-code" in refused(tmp_path / name, "holds weights without their model")
    refused("separatrix.models:BurgessVAE", "pickled objects, which could run code", weights=tmp_path / name)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "diffusion_pytorch_model.bin", "model.ckpt"])
def test_a_folder_with_pickles_only_is_refused(tmp_path: Path, evidence: Path, name: str) -> None:
    pytest.importorskip("transformers")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "vit_mae"}))
    torch.save({"a": Bomb(evidence)}, folder / name)
    refused(folder, r"weights as pickles only .*safe_serialization=True")


def test_a_pickle_beside_safetensors_is_never_read(tmp_path: Path, evidence: Path) -> None:
    given = write_mae(tmp_path / "model")
    torch.save({"a": Bomb(evidence)}, tmp_path / "model/pytorch_model.bin")
    assert load(**given).latent_shape == (16, 16)


def test_a_pickle_named_safetensors_is_refused(tmp_path: Path, evidence: Path) -> None:
    given = write_mae(tmp_path / "model")
    (tmp_path / "model/model.safetensors").write_bytes(pickle.dumps(Bomb(evidence)))
    refused(given["spec"], "damaged or incomplete")
    sae = write_sae(tmp_path / "sae")
    (tmp_path / "sae/sae_weights.safetensors").write_bytes(pickle.dumps(Bomb(evidence), protocol=4))
    refused(sae["spec"], "not a safetensors file but a file of torch.save")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("write", [write_torchscript, write_pt2, write_pickle])
def test_programs_need_allow_code(tmp_path: Path, write: Callable[[Path], dict[str, Any]]) -> None:
    given = write(tmp_path / "program")
    assert load(**given).latent_dim == 3
    assert "--allow-code" in refused(given["spec"], "refused|weights without their model", latent_shape=3)


def test_a_program_that_is_damaged_is_one_sentence(tmp_path: Path) -> None:
    for name in ("a.pt2", "b.pt"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 and nothing more")
        refused(tmp_path / name, "cannot be loaded", allow_code=True)
        refused(tmp_path / f"absent{name}", "does not exist", allow_code=True)


def test_a_zip_that_claims_to_unpack_to_terabytes_is_refused(tmp_path: Path) -> None:
    """The sizes in a zip's directory are the file's own word; this one says 4 GB − 1 of a member of 100 bytes."""
    path = tmp_path / "bomb.pt"
    torch.save({"w": torch.zeros(4)}, path)
    content = bytearray(path.read_bytes())
    place = content.rfind(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert max(member.file_size for member in archive.infolist()) == 2**32 - 2
    refused("separatrix.models:BurgessVAE", "compressed archive|damaged", weights=path)


def lying_header(claimed: int) -> bytes:
    return struct.pack("<Q", claimed) + b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' + bytes(8)


def lying_tensor(shape: list[int], end: int) -> bytes:
    header = json.dumps({"W_enc": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


@pytest.mark.parametrize(
    "content",
    [
        lying_header(2**63),
        lying_header(2**40),
        lying_header(10),
        lying_tensor([2**40], 2**42),
        lying_tensor([2], 2**42),
    ],
    ids=["2^63 bytes of header", "2^40", "10", "a tensor beyond the file", "offsets beyond the file"],
)
def test_a_safetensors_header_that_lies_about_lengths_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    refused(tmp_path / "model.safetensors", "damaged or incomplete")
    sae = write_sae(tmp_path / "sae")
    (tmp_path / "sae/sae_weights.safetensors").write_bytes(content)
    refused(sae["spec"], "damaged or incomplete")
    mae = write_mae(tmp_path / "mae")
    (tmp_path / "mae/model.safetensors").write_bytes(content)
    refused(mae["spec"], "damaged or incomplete")


def test_an_index_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    given = write_mae(tmp_path / "mae")
    save_file({"secret": torch.ones(3)}, tmp_path / "secret.safetensors")
    index = tmp_path / "mae/model.safetensors.index.json"
    for place in ("../secret.safetensors", str(tmp_path / "secret.safetensors")):
        index.write_text(json.dumps({"weight_map": {"vit.x": place}}))
        refused(given["spec"], "points outside of its folder")
    index.write_text(json.dumps({"weight_map": {"vit.x": "model-2.safetensors"}}))
    refused(given["spec"], r"lacks model-2\.safetensors")


def test_code_in_a_folder_is_refused(tmp_path: Path) -> None:
    given = write_mae(tmp_path / "mae")
    path = tmp_path / "mae/config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "auto_map": {"AutoModel": "modeling.Model"}}))
    (tmp_path / "mae/modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert "--allow-code" in refused(given["spec"], "brings its own Python code")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "[" * 100_000])
@pytest.mark.parametrize("name", ["config.json", "cfg.json"])
def test_damaged_json_is_one_sentence(tmp_path: Path, name: str, content: str) -> None:
    spec = write_sae(tmp_path / "m")["spec"] if name == "cfg.json" else write_mae(tmp_path / "m")["spec"]
    (tmp_path / "m" / name).write_text(content)
    refused(spec, "is no JSON|not an object")


def test_weights_that_a_library_would_invent_are_refused(tmp_path: Path) -> None:
    """transformers fills what is missing with random numbers and goes on."""
    from safetensors.torch import load_file

    given = write_mae(tmp_path / "mae")
    path = tmp_path / "mae/model.safetensors"
    tensors = load_file(path)
    tensors.pop("decoder.decoder_pred.weight")
    save_file(tensors, path, metadata={"format": "pt"})
    refused(given["spec"], r"lacks weights of its ViTMAEForPreTraining \(decoder\.decoder_pred\.weight\)")


def test_a_mislabelled_folder_is_one_sentence(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    diffusers.AutoencoderKL(**KL).save_pretrained(tmp_path / "kl")
    path = tmp_path / "kl/config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "_class_name": "AutoencoderTiny"}))
    refused(tmp_path / "kl", "cannot be loaded as AutoencoderTiny|lacks weights")
    path.write_text(json.dumps({**config, "_class_name": "AutoencoderOfMars"}))
    refused(tmp_path / "kl", "AutoencoderOfMars, which diffusers .* does not know")
    path.write_text(json.dumps({"_class_name": "UNet2DModel"}))
    refused(tmp_path / "kl", "holds a UNet2DModel, which is none of the known kinds")


def external(folder: Path, location: str, *, nested: bool = False) -> Path:
    """An ONNX file with one weight in another file, in the graph or in a branch of an If inside it."""
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    weight = onnx.TensorProto(name="w", data_type=kind, dims=[2, 2], data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    ins = onnx.helper.make_tensor_value_info("x", kind, ["n", 2])
    outs = onnx.helper.make_tensor_value_info("y", kind, ["n", 2])
    if nested:
        branch = onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["w"], ["b"])],
            "branch",
            [],
            [onnx.helper.make_tensor_value_info("b", kind, [2, 2])],
            [weight],
        )
        yes = onnx.helper.make_tensor("yes", onnx.TensorProto.BOOL, [], [True])
        nodes = [
            onnx.helper.make_node("If", ["yes"], ["w"], then_branch=branch, else_branch=branch),
            onnx.helper.make_node("MatMul", ["x", "w"], ["y"]),
        ]
        graph = onnx.helper.make_graph(nodes, "g", [ins], [outs], [yes])
    else:
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [ins], [outs], [weight]
        )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir(exist_ok=True)
    path = folder / "encoder.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    "location", ["../secret.bin", "/etc/passwd", "sub/../../secret.bin", "..\\secret.bin", "C:\\x"]
)
def test_onnx_data_may_not_escape_its_folder(tmp_path: Path, location: str, nested: bool) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    path = external(tmp_path / "m", location, nested=nested)
    with pytest.raises(FileError, match=r"outside of its folder, and is refused"):
        require_contained(path)
    (tmp_path / "m/decoder.onnx").write_bytes(path.read_bytes())
    refused(path, "outside of its folder")


def test_onnx_data_may_not_escape_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    path = external(tmp_path / "m", "inside.bin")
    with pytest.raises(FileError, match=r"needs 'inside\.bin' beside it, which is missing"):
        require_contained(path)
    (tmp_path / "m/inside.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(FileError, match="outside of its folder"):
        require_contained(path)
    (tmp_path / "m/inside.bin").unlink()
    (tmp_path / "m/inside.bin").write_bytes(bytes(16))
    assert require_contained(path) == [(tmp_path / "m").resolve() / "inside.bin"]


def test_onnx_operators_with_a_library_of_their_own_are_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    given = write_onnx(tmp_path / "pair")
    path = tmp_path / "pair/encoder.onnx"
    model = onnx.load(path)
    model.graph.node[0].domain = "com.evil"
    path.write_bytes(model.SerializeToString())
    refused(given["spec"], r"operators of com\.evil, which need a library of their own")


@pytest.mark.parametrize("content", [b"", b"no model", bytes(100), b"\x80\x04.", b"\x08\x07"])
def test_what_is_no_onnx_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    given = write_onnx(tmp_path / "pair")
    (tmp_path / "pair/encoder.onnx").write_bytes(content)
    refused(given["spec"], "no ONNX file")


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_truncated_onnx_files_are_one_sentence(tmp_path: Path, kept: float) -> None:
    given = write_onnx(tmp_path / "pair")
    path = tmp_path / "pair/decoder.onnx"
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    refused(given["spec"], "no ONNX file|cannot be run")


def test_one_half_of_an_onnx_pair_asks_for_the_other(tmp_path: Path) -> None:
    write_onnx(tmp_path / "pair")
    (tmp_path / "pair/decoder.onnx").rename(tmp_path / "up.onnx")
    refused(tmp_path / "pair/encoder.onnx", "one half of a pair")
    field = load(tmp_path / "pair/encoder.onnx", decoder=tmp_path / "up.onnx")
    encoder, decoder = halves()
    assert torch.allclose(field(torch.ones(1, 3)), encoder(decoder(torch.ones(1, 3))), atol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        {"num_hidden_layers": 10**9},
        {"hidden_size": 10**9},
        {"intermediate_size": 10**12},
        {"decoder_num_hidden_layers": 10**9},
        {"num_attention_heads": 10**9},
        {"num_channels": 10**9},
    ],
)
def test_a_config_of_absurd_sizes_is_refused_before_anything_is_built(tmp_path: Path, values: dict[str, int]) -> None:
    given = write_mae(tmp_path / "mae")
    config = json.loads((tmp_path / "mae/config.json").read_text())
    (tmp_path / "mae/config.json").write_text(json.dumps({**config, **values}))
    (name,) = values
    refused(given["spec"], rf"says {name} = 1e\+\d+, and its weights are [\d,]+ numbers; give the config\.json")
