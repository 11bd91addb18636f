"""Weights and models with damaged bytes: they load, or are refused in one sentence of ours; nothing else comes out."""

from __future__ import annotations

import pickle
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import write_mae, write_onnx, write_pt2, write_sae, write_torchscript

from separatrix import LatentField
from separatrix.errors import FileError, SeparatrixError
from separatrix.models import DenseAutoencoder, load, save_model
from separatrix.models._surrogate import SurrogateDecoder, load_decoder, save_decoder
from separatrix.models._weights import read_weights

Edit = tuple[list[tuple[float, int]], float]
EDITS = st.tuples(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    st.one_of(st.just(1.0), st.floats(0.01, 1)),
)
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def edited(content: bytes, edit: Edit) -> bytes:
    places, kept = edit
    changed = bytearray(content)
    for place, value in places:
        changed[int(place * len(changed))] = value
    return bytes(changed[: max(1, int(kept * len(changed)))])


def tensors() -> dict[str, torch.Tensor]:
    return nn.Linear(3, 2).state_dict()


@FUZZ
@given(edit=EDITS)
def test_a_damaged_pt_is_read_or_refused(tmp_path: Path, edit: Edit) -> None:
    torch.save(tensors(), tmp_path / "whole.pt")
    (tmp_path / "w.pt").write_bytes(edited((tmp_path / "whole.pt").read_bytes(), edit))
    with suppress(FileError):
        assert all(isinstance(part, torch.Tensor) for part in read_weights(tmp_path / "w.pt").values())
    if b"constants.pkl" not in (tmp_path / "w.pt").read_bytes():
        with suppress(SeparatrixError):
            load(tmp_path / "w.pt", latent_shape=2)


@FUZZ
@given(edit=EDITS)
def test_an_old_pt_is_read_or_refused(tmp_path: Path, edit: Edit) -> None:
    torch.save(tensors(), tmp_path / "whole.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "w.pt").write_bytes(edited((tmp_path / "whole.pt").read_bytes(), edit))
    with suppress(FileError):
        read_weights(tmp_path / "w.pt")


@FUZZ
@given(edit=EDITS)
def test_damaged_safetensors_are_read_or_refused(tmp_path: Path, edit: Edit) -> None:
    (tmp_path / "w.safetensors").write_bytes(edited(save(tensors()), edit))
    with suppress(FileError):
        read_weights(tmp_path / "w.safetensors")


@FUZZ
@given(edit=EDITS)
def test_a_damaged_saved_model_loads_or_is_refused(tmp_path: Path, edit: Edit) -> None:
    save_model(DenseAutoencoder((1, 3, 3), 2, hidden=(4,)), tmp_path / "whole.safetensors")
    (tmp_path / "m.safetensors").write_bytes(edited((tmp_path / "whole.safetensors").read_bytes(), edit))
    with suppress(SeparatrixError):
        assert isinstance(load(tmp_path / "m.safetensors"), LatentField)


@FUZZ
@given(edit=EDITS)
def test_a_damaged_decoder_loads_or_is_refused(tmp_path: Path, edit: Edit) -> None:
    save_decoder(
        SurrogateDecoder((4, 3), (4, 4), width=2), tmp_path / "whole.safetensors", encoder="e", report={"r2": 0.5}
    )
    (tmp_path / "d.safetensors").write_bytes(edited((tmp_path / "whole.safetensors").read_bytes(), edit))
    with suppress(FileError):
        load_decoder(tmp_path / "d.safetensors")


@settings(FUZZ, max_examples=40)
@given(edit=EDITS)
def test_a_damaged_onnx_loads_or_is_refused(tmp_path: Path, edit: Edit) -> None:
    pytest.importorskip("onnx")
    if not (tmp_path / "onnx").exists():
        write_onnx(tmp_path / "onnx")
    folder = tmp_path / "onnx"
    whole = (folder / "encoder.onnx").read_bytes()
    (folder / "damaged.onnx").write_bytes(edited(whole, edit))
    with suppress(SeparatrixError):
        load(folder / "damaged.onnx", decoder=folder / "decoder.onnx")


@settings(FUZZ, max_examples=30)
@given(edit=EDITS, name=st.sampled_from(["cfg.json", "sae_weights.safetensors"]))
def test_a_damaged_folder_loads_or_is_refused(tmp_path: Path, edit: Edit, name: str) -> None:
    if not (tmp_path / "sae").exists():
        write_sae(tmp_path / "sae")
        (tmp_path / name).write_bytes((tmp_path / "sae" / name).read_bytes())
    whole = (tmp_path / "sae" / name).read_bytes()
    (tmp_path / "sae" / name).write_bytes(edited(whole, edit))
    with suppress(SeparatrixError):
        load(tmp_path / "sae")
    (tmp_path / "sae" / name).write_bytes(whole)


def test_a_zip_whose_names_are_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/dätä.pkl", pickle.dumps({}))
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xff\xfe"))
    with pytest.raises(FileError, match="is damaged"):
        read_weights(path)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, '"' + "x" * 21_000_000 + '"'])
def test_deep_and_huge_json_in_a_header_or_a_folder_is_refused(tmp_path: Path, text: str) -> None:
    model = DenseAutoencoder((1, 3, 3), 2, hidden=(4,))
    header = {"factory": "separatrix.models:DenseAutoencoder", "config": text}
    (tmp_path / "m.safetensors").write_bytes(save(model.state_dict(), metadata=header))
    with pytest.raises(FileError):
        load(tmp_path / "m.safetensors")
    for report in ({"report": text, "config": "{}"}, {"config": text}):
        (tmp_path / "d.safetensors").write_bytes(save({}, metadata={"kind": "surrogate decoder", **report}))
        with pytest.raises(FileError):
            load_decoder(tmp_path / "d.safetensors")
    write_sae(tmp_path / "sae")
    (tmp_path / "sae/cfg.json").write_text(text)
    with pytest.raises(FileError):
        load(tmp_path / "sae")


@pytest.mark.parametrize(
    "spec", ["x" * 300 + suffix for suffix in (".safetensors", ".pt", ".pt2", ".onnx", ".py", ".py:make", "")]
)
def test_a_path_too_long_is_one_sentence(spec: str) -> None:
    options: list[dict[str, Any]] = [{}, {"allow_code": True, "latent_shape": 2}]
    for given_options in options:
        with pytest.raises(SeparatrixError) as caught:
            load(spec, **given_options)
        assert "\n" not in str(caught.value)
    for weights in ("x" * 300 + ".safetensors", "a\0.pt"):
        with pytest.raises(FileError):
            load("separatrix.models:BurgessVAE", weights=weights)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("write", [write_torchscript, write_pt2])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.97])
def test_a_truncated_program_is_one_sentence(tmp_path: Path, write: Any, kept: float) -> None:
    given_options = write(tmp_path / "program")
    path = Path(given_options["spec"])
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(SeparatrixError):
        load(**given_options)


def test_a_damaged_shard_of_a_folder_is_one_sentence(tmp_path: Path) -> None:
    given_options = write_mae(tmp_path / "mae")
    path = tmp_path / "mae/model.safetensors"
    content = path.read_bytes()
    for place in range(0, 200, 7):
        path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
        with suppress(SeparatrixError):
            load(**given_options)
