"""A fitted detector on disk: ``detector.safetensors`` and ``detector.json``, without the model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from separatrix.errors import DetectorWarning, FieldError, FileError, SeparatrixError, warn
from separatrix.field import LatentField
from separatrix.ood._golden import golden_answers, mismatch
from separatrix.storage import DETECTOR, new_folder, write_tensors

FORMAT = 1
_TENSORS, _JSON = "detector.safetensors", "detector.json"
_GOLDEN = "golden."
_AGAIN = "fit the detector again"
_MOST_STEPS = 100_000  # of a trajectory; a longer one has not been fitted by anyone, and would not end

if TYPE_CHECKING:
    from separatrix.ood._detector import Detector
    from separatrix.storage._records import DetectorRecord

D = TypeVar("D", bound="Detector")


def save_detector(detector: Detector, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a fitted detector to the folder ``path``, all of it or nothing; ``overwrite`` replaces an earlier one."""
    assert detector.calibration is not None
    tensors = {f"state.{name}": t.detach().cpu().contiguous().clone() for name, t in detector.state().items()}
    tensors["calibration"] = detector.calibration
    golden = detector.golden or _golden_answers(detector)
    tensors |= {f"{_GOLDEN}{name}": t for name, t in golden.items()}
    with new_folder(path, kind=DETECTOR, overwrite=overwrite) as folder:
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


def _golden_answers(detector: Detector) -> Mapping[str, Tensor]:
    """None for a model that takes no noise: what was fitted is worth more than the test of it, and loading says so."""
    try:
        return golden_answers(detector)
    except FieldError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError, AssertionError):
        return {}


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
        field: that model's field; its weights are compared by fingerprint, and its answers to stored inputs with stored ones.
        kind: the class that is expected; `Detector` takes any.

    Raises:
        FileError: nothing there, damaged, of another kind, or fitted on another model.
        FieldError: the model is no deterministic self-map.

    Warns:
        DetectorWarning: the file is of a time before answers were stored, or rounding alone changes them all.

    Cost: 4 scores.
    """
    from separatrix.storage._records import arguments_of

    folder = Path(path)
    record, tensors = _read(folder)
    golden = {name.removeprefix(_GOLDEN): tensors.pop(name) for name in list(tensors) if name.startswith(_GOLDEN)}
    known = kind.kinds.get(record.kind)
    if known is None or not issubclass(known, kind):
        raise FileError(f"{folder} holds a detector of kind {record.kind!r}, not a {kind.__name__}; check the path.")
    try:
        theirs = record.field
        weights = theirs.fingerprint if theirs.weights == "" else theirs.weights
        for what, differs in (
            ("latent shape", list(field.latent_shape) != theirs.latent_shape),
            ("fingerprint", field.weights_fingerprint != weights),
        ):
            if differs:
                raise FileError(
                    f"{folder} was fitted on another model ({theirs.name}: its {what} differs); load that model, or fit again."
                )
        field.admit()
        names = list(known(field).options())
        detector = known(field, **arguments_of(known, record.options, str(folder / _JSON), _AGAIN, names))
        detector.calibration = tensors.pop("calibration")
        state = {name.removeprefix("state."): tensor for name, tensor in tensors.items()}
        detector.restore(state)
        if (strange := detector.state().keys() ^ state.keys()) or detector.options().get("steps", 0) > _MOST_STEPS:
            raise KeyError(f"its state has {min(strange)}" if strange else f"more than {_MOST_STEPS} steps")
        detector.input_shape = None if record.input_shape is None else tuple(record.input_shape)
        detector.lost_in_calibration, detector.notes = record.lost_in_calibration, tuple(record.notes)
        # Tensors that do not fit each other or the model show in one score.
        latent, image = (
            None if s is None else torch.zeros((1, *s)) for s in (field.latent_shape, detector.input_shape)
        )
        assert latent is not None
        detector._score(latent.to(field.device, field.dtype), image)
    except (FieldError, FileError):
        raise
    except (
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
        SafetensorError,
        SeparatrixError,
    ) as error:
        words = " ".join(str(error).split())
        raise FileError(f"{folder} is incomplete ({words}); fit the detector again.") from error
    assert isinstance(detector, kind)
    detector.golden = golden or None
    _require_same_behaviour(folder, record, detector)
    return detector


def _require_same_behaviour(folder: Path, record: DetectorRecord, detector: Detector) -> None:
    """Compare what weights do not show: packed ones, captured tensors, attributes."""
    if detector.golden is None:
        _warn_unknown(folder, "was saved without golden scores")
        return
    same_device = record.field.device.partition(":")[0] == detector.field.device.type
    try:
        found = mismatch(detector, detector.golden, same_device=same_device)
    except FieldError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError, SeparatrixError) as error:
        found = f"does not take the stored inputs ({' '.join(str(error).split())})"
    if found == "" and record.field.fingerprint == detector.field.fingerprint:
        _warn_unknown(folder, "has golden scores that rounding alone changes")
    elif found is not None:
        why = found or "holds other buffers or captured tensors"
        raise FileError(
            f"{folder} was fitted on a model that behaves differently: with the same weights, this one {why}; load that model "
            "with the same quantisation, buffers and settings, or fit again."
        )


def _warn_unknown(folder: Path, why: str) -> None:
    warn(
        f"{folder} {why}, so whether the model behaves as it did cannot be verified; fit it again to be sure.",
        DetectorWarning,
    )


def _read(folder: Path) -> tuple[DetectorRecord, dict[str, Tensor]]:
    """Return what the two files hold, undamaged."""
    from separatrix.storage._records import DetectorRecord, format_of, read_bounded, record_of

    try:
        text = read_bounded(folder / _JSON, _AGAIN)
        digest = hashlib.sha256((folder / _TENSORS).read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise FileError(
            f"{folder} holds no detector ({Path(error.filename).name} is missing); check the path."
        ) from error
    except OSError as error:
        raise FileError(f"{folder / _TENSORS} cannot be read ({error.strerror}); {_AGAIN}.") from error
    if format_of(text) not in (None, FORMAT):
        raise FileError(
            f"{folder} was not written by this version of separatrix (format {FORMAT}); upgrade and try again."
        )
    record = record_of(text, DetectorRecord, str(folder / _JSON), _AGAIN)
    if record.tensors_sha256 != digest:
        raise FileError(f"{folder / _TENSORS} does not match its checksum; the file is damaged, {_AGAIN}.")
    try:
        tensors = load_file(folder / _TENSORS)
        scores = tensors["calibration"]
    except (KeyError, OSError, SafetensorError) as error:
        raise FileError(f"{folder} is incomplete ({error}); {_AGAIN}.") from error
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise FileError(f"{folder / _TENSORS} holds NaN or infinity ({name}); {_AGAIN}.")
    if scores.dtype != torch.float64 or scores.ndim != 1 or not len(scores) or bool((scores.diff() < 0).any()):
        raise FileError(f"{folder / _TENSORS} holds no sorted calibration scores; {_AGAIN}.")
    return record, tensors
