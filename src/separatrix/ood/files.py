"""A fitted detector on disk: ``detector.safetensors`` and ``detector.json``, without the model."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from separatrix.errors import FileError, SeparatrixError
from separatrix.field import LatentField
from separatrix.ood.detector import Detector
from separatrix.store import new_folder, write_tensors

FORMAT = 1
_TENSORS, _JSON = "detector.safetensors", "detector.json"

D = TypeVar("D", bound=Detector)


def save_detector(detector: Detector, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a fitted detector to the folder ``path``, all of it or nothing."""
    assert detector.calibration is not None
    tensors = {f"state.{name}": t.detach().cpu().contiguous().clone() for name, t in detector.state().items()}
    tensors["calibration"] = detector.calibration
    with new_folder(path, overwrite=overwrite) as folder:
        try:
            write_tensors(tensors, folder / _TENSORS)
        except SafetensorError as error:
            raise FileError(f"Writing {path} failed ({error}); free some space or choose another disk.") from error
        record = {
            "format": FORMAT,
            "kind": detector.kind,
            "options": detector.options(),
            "field": detector.field.describe(),
            "input_shape": None if detector.input_shape is None else list(detector.input_shape),
            "lost_in_calibration": detector.lost_in_calibration,
            "notes": list(detector.notes),
            "tensors_sha256": hashlib.sha256((folder / _TENSORS).read_bytes()).hexdigest(),
        }
        (folder / _JSON).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return Path(path)


def identity(detector: Detector) -> str:
    """SHA-256 of everything that a score and its p-value depend on: kind, options, fitted tensors, calibration, weights."""
    digest = hashlib.sha256(
        json.dumps([detector.kind, detector.options(), detector.field.fingerprint], sort_keys=True).encode()
    )
    assert detector.calibration is not None
    for name, tensor in sorted({**detector.state(), "calibration": detector.calibration}.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_calibration(path: str | os.PathLike[str]) -> Tensor:
    """The calibration scores of a saved detector, sorted; for decisions on known scores no model is needed.

    Raises:
        FileError: nothing there, or damaged.
    """
    return _read(Path(path))[1]["calibration"]


def load_detector(path: str | os.PathLike[str], field: LatentField, kind: type[D]) -> D:
    """Read a detector for the model that it was fitted on.

    Args:
        path: the folder.
        field: that model's field; its weights are compared by fingerprint.
        kind: the class that is expected; `Detector` takes any.

    Raises:
        FileError: nothing there, damaged, of another kind, or fitted on another model.
    """
    folder = Path(path)
    record, tensors = _read(folder)
    known = Detector.kinds.get(str(record.get("kind")))
    if known is None or not issubclass(known, kind):
        raise FileError(
            f"{folder} holds a detector of kind {record.get('kind')!r}, not a {kind.__name__}; check the path."
        )
    try:
        mine, theirs = field.describe(), record["field"]
        for what in ("latent_shape", "fingerprint"):
            if mine[what] != theirs[what]:
                raise FileError(
                    f"{folder} was fitted on another model ({theirs['name']}: its {what.replace('_', ' ')} differs); "
                    "load that model, or fit again."
                )
        detector = known(field, **record["options"])
        detector.calibration = tensors.pop("calibration")
        detector.restore({name.removeprefix("state."): tensor for name, tensor in tensors.items()})
        shape = record["input_shape"]
        detector.input_shape = None if shape is None else tuple(int(size) for size in shape)
        detector.lost_in_calibration, detector.notes = int(record["lost_in_calibration"]), tuple(record["notes"])
    except FileError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, SeparatrixError) as error:
        words = " ".join(str(error).split())
        raise FileError(f"{folder} is incomplete ({words}); fit the detector again.") from error
    assert isinstance(detector, kind)
    return detector


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the two files hold, undamaged."""
    try:
        record = json.loads((folder / _JSON).read_text(encoding="utf-8"))
        digest = hashlib.sha256((folder / _TENSORS).read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise FileError(
            f"{folder} holds no detector ({Path(error.filename).name} is missing); check the path."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{folder / _JSON} cannot be read ({error}); fit the detector again.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FileError(
            f"{folder} was not written by this version of separatrix (format {FORMAT}); upgrade and try again."
        )
    if record.get("tensors_sha256") != digest:
        raise FileError(
            f"{folder / _TENSORS} does not match its checksum; the file is damaged, fit the detector again."
        )
    try:
        tensors = load_file(folder / _TENSORS)
        if "calibration" not in tensors:
            raise KeyError("calibration")
    except (KeyError, OSError, SafetensorError) as error:
        raise FileError(f"{folder} is incomplete ({error}); fit the detector again.") from error
    return record, tensors
