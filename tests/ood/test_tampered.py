"""Saved and exported detectors that were edited: what the edit breaks is found on loading, in one sentence, and nothing later."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from blobs import images
from safetensors.torch import load, load_file, save, save_file

import separatrix as sx
from separatrix import ood
from separatrix.errors import FileError

DETECTORS = {
    "trajectory": lambda f: ood.TrajectoryDetector(f, steps=4, self_check=False),
    "typicality": lambda f: ood.TypicalityDetector(f, steps=4),
    "knn": ood.KNNDetector,
    "mahalanobis": ood.MahalanobisDetector,
    "residual": ood.ResidualDetector,
}
OTHERS: list[Any] = [None, True, -1, 0, 0.5, 10**6, 2**60, 10**40, "x", [], [0], [-1], {}, {"a": 1}]
FREE = {"model", "notes", "name", "fingerprint"}  # words for people


def edits(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value, also inside options and field, left out and replaced by every other, and a name too many."""
    yield "one more", {**record, "more": 1}
    for name, value in record.items():
        yield f"without {name}", {key: part for key, part in record.items() if key != name}
        for other in OTHERS:
            if other != value or type(other) is not type(value):
                yield f"{name} = {other!r}", {**record, name: other}
        if name == "options":
            for what, inner in edits(value):
                yield f"options: {what}", {**record, name: inner}


@pytest.mark.parametrize("kind", DETECTORS)
def test_an_edited_record_is_refused_or_can_be_used(wells: sx.LatentField, tmp_path: Path, kind: str) -> None:
    detector = DETECTORS[kind](wells).fit(images(60))
    folder = detector.save(tmp_path / "d")
    record, x = json.loads((folder / "detector.json").read_text()), images(5, seed=3)
    expected, refused = detector.score(x), 0
    for what, edited in edits(record):
        (folder / "detector.json").write_text(json.dumps(edited))
        try:
            loaded = ood.Detector.load(folder, wells)
        except FileError:
            refused += 1
            continue
        assert loaded.score(x).shape == expected.shape, what
    assert refused > 100


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.update({"state.bank": torch.full_like(t["state.bank"], torch.nan)}), "holds NaN or infinity"),
        (lambda t: t.update({"state.bank": t["state.bank"][:, :1]}), "incomplete"),
        (lambda t: t.update({"state.bank": t["state.bank"][:0]}), "incomplete"),
        (lambda t: t.update({"state.bank": t["state.bank"].to(torch.int64)}), "incomplete"),
        (lambda t: t.pop("state.bank"), "incomplete"),
        (lambda t: t.update({"state.more": torch.zeros(1)}), "incomplete"),
        (lambda t: t.update(calibration=t["calibration"].flip(0)), "no sorted calibration scores"),
        (lambda t: t.update(calibration=t["calibration"][:0]), "no sorted calibration scores"),
        (lambda t: t.update(calibration=t["calibration"][None].contiguous()), "no sorted calibration scores"),
        (lambda t: t.update(calibration=t["calibration"].float()), "no sorted calibration scores"),
        (lambda t: t.update(calibration=t["calibration"] * torch.inf), "holds NaN or infinity"),
    ],
)
def test_tensors_that_cannot_be_its_state_are_refused(
    wells: sx.LatentField, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], Any], sentence: str
) -> None:
    folder = ood.KNNDetector(wells).fit(images(60)).save(tmp_path / "d")
    tensors = load_file(folder / "detector.safetensors")
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "detector.safetensors")
    record = json.loads((folder / "detector.json").read_text())
    record["tensors_sha256"] = hashlib.sha256((folder / "detector.safetensors").read_bytes()).hexdigest()
    (folder / "detector.json").write_text(json.dumps(record))
    with pytest.raises(FileError, match=sentence):
        ood.Detector.load(folder, wells)


def exported(
    wells: sx.LatentField, path: Path, kind: str = "knn"
) -> tuple[Any, dict[str, Any], dict[str, torch.Tensor]]:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    ood.export_onnx(DETECTORS[kind](wells).fit(images(60)), path)
    model = onnx.load(str(path))
    found = {entry.key: entry.value for entry in model.metadata_props}
    return model, json.loads(found["separatrix"]), load(base64.b64decode(found["separatrix.golden"]))


def rewritten(model: Any, path: Path, words: str, golden: dict[str, torch.Tensor]) -> None:
    """With the checksum that belongs to the edit: by someone who knows how."""
    tests = base64.b64encode(save({name: part.contiguous() for name, part in golden.items()})).decode()
    del model.metadata_props[:]
    digest = hashlib.sha256(f"{words}\n{tests}".encode()).hexdigest()
    for key, value in (("", words), (".golden", tests), (".sha256", digest)):
        model.metadata_props.add(key=f"separatrix{key}", value=value)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("kind", ["knn", "typicality"])
def test_edited_metadata_of_an_export_are_refused(wells: sx.LatentField, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "d.onnx"
    model, record, golden = exported(wells, path, kind)
    rewritten(model, path, json.dumps(record), golden)
    assert ood.OnnxDetector(path).calibration == record["calibration"]
    refused = 0
    for what, edited in edits(record):
        rewritten(model, path, json.dumps(edited), golden)
        with suppress(FileError):
            refused += 1
            loaded = ood.OnnxDetector(path)
            refused -= 1
            changed = {name for name in record if edited.get(name) != record[name]}
            assert changed <= FREE | {"options"}, what
            assert len(loaded.score(images(3))) == 3
    assert refused > 100


@pytest.mark.parametrize("count", [1, 29, 31, 61, 1_000_000, 2**53])
def test_the_number_of_calibration_scores_is_that_of_the_graph(
    wells: sx.LatentField, tmp_path: Path, count: int
) -> None:
    path = tmp_path / "d.onnx"
    model, record, golden = exported(wells, path)
    assert record["calibration"] == 30
    for tensor in model.graph.initializer:  # also where another tool has renamed them: the p-values tell
        if count != 29 and tensor.name == "calibration":
            tensor.name = "renamed"
            for node in model.graph.node:
                for i, name in enumerate(node.input):
                    if name == "calibration":
                        node.input[i] = "renamed"
    rewritten(model, path, json.dumps({**record, "calibration": count}), golden)
    if count == 61:  # 31 times an odd number less one: ranks of 30 scores could be ranks of 61
        return
    with pytest.raises(FileError, match=f"says that it has {count} calibration scores|expected int"):
        ood.OnnxDetector(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda g: {name: part[:0] for name, part in g.items()},
        lambda g: {**g, "x": g["x"][:, :, :2]},
        lambda g: {**g, "x": g["x"].float()},
        lambda g: {**g, "score": g["score"][:-1]},
        lambda g: {**g, "score": g["score"] * torch.nan},
        lambda g: {**g, "score": g["score"] + 1},
        lambda g: {**g, "p_low": g["p_low"] + 1},
        lambda g: {name: part for name, part in g.items() if name != "p_high"},
        lambda g: {**g, "more": torch.zeros(1)},
        lambda g: {name: torch.zeros(()) for name in g},
        lambda g: {},
    ],
)
def test_golden_inputs_that_test_nothing_are_refused(
    wells: sx.LatentField, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    path = tmp_path / "d.onnx"
    model, record, golden = exported(wells, path)
    rewritten(model, path, json.dumps(record), change(golden))
    with pytest.raises(FileError, match=r"cannot test itself|fails its own test"):
        ood.OnnxDetector(path)


def test_an_edit_without_its_checksum_is_refused(wells: sx.LatentField, tmp_path: Path) -> None:
    path = tmp_path / "d.onnx"
    model, record, _ = exported(wells, path)
    entry = next(entry for entry in model.metadata_props if entry.key == "separatrix")
    entry.value = json.dumps({**record, "notes": ["trust me"]})
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FileError, match="do not match their checksum"):
        ood.OnnxDetector(path)
