"""A fitted detector as one ONNX file, with inputs in it whose scores are known: it tests itself whenever it is loaded."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from separatrix.arguments import checked
from separatrix.data import ImageSource, tensor_of
from separatrix.errors import FileError, InputError, first_line
from separatrix.models._folders import optional
from separatrix.models._onnx_pairs import require_contained
from separatrix.models._onnx_sessions import OnnxSession
from separatrix.numerics import conformal_p_values
from separatrix.ood._decisions import AlarmBudget, Decisions, decided
from separatrix.ood._detector import Detector
from separatrix.ood._golden import PARITY as PARITY
from separatrix.ood._golden import examples as examples_of
from separatrix.ood._score_graph import ScoreGraph
from separatrix.storage import new_file

FORMAT = 2
OPSET = 17  # of 2022: what runtimes on devices understand, too
_LARGEST = 2**31 - 2**26  # bytes of one ONNX file, by its format, with room for the graph
_GOLDEN = 8
_MOST_GOLDEN = 64
_ROUNDING = 1e-6  # of a rank computed from a p-value
_AGAIN = "export the detector again"
_KEY = "separatrix"
_BLOCK = 512


class OnnxDetector:
    """It runs what `export_onnx` wrote, by onnxruntime on the CPU: no torch model, no library code in the score.

    Loading runs the golden inputs through the file, and raises if a score is not the one that the detector gave.

    Args:
        path: the file.

    Raises:
        FileError: nothing there, none of `export_onnx`, or it fails its own test.
        InputError: onnx or onnxruntime is missing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        file = Path(path)
        require_contained(file)
        self.path, self.record, golden = file, *_metadata(file)
        self._session = OnnxSession(file)
        self.input_shape = tuple(self.record["input_shape"])
        self.kind, self.calibration = self.record["kind"], self.record["calibration"]
        score, p_value = self._run(golden["x"])
        _require_ranks(p_value, self.calibration, file)
        error = disagreement(score, p_value, golden)
        if not error <= PARITY:
            raise FileError(
                f"{file} fails its own test: a golden score is off by {error:.1e} of its size, more than {PARITY:g}; "
                "export the detector again, or use another version of onnxruntime."
            )
        self.parity = error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The same as the constructor, by the name that the other detectors have for it."""
        return cls(path)

    def score(self, data: ImageSource) -> Tensor:
        """Score as `Detector.score` does."""
        return self._all(data)[0]

    def p_values(self, data: ImageSource) -> Tensor:
        """Give p-values as `Detector.p_values` does."""
        return self._all(data)[1]

    @checked
    def decide(self, data: ImageSource, fpr: float | AlarmBudget = 0.01, *, batch: bool = False) -> Decisions:
        """Decide as `Detector.decide` does."""
        return decided(*self._all(data), fpr, self.calibration, batch=batch)

    def _all(self, data: ImageSource) -> tuple[Tensor, Tensor]:
        x = tensor_of(data)
        if tuple(x.shape[1:]) != self.input_shape:
            raise InputError(
                f"{self.path} takes inputs of shape {self.input_shape}, not {tuple(x.shape[1:])}; resize or reshape them."
            )
        parts = [self._run(block) for block in x.split(_BLOCK)]
        return torch.cat([score for score, _ in parts]), torch.cat([p for _, p in parts])

    def _run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.detach().cpu().to(getattr(torch, self.record["dtype"])).contiguous().numpy()
        try:
            score, p_value = self._session.run(("score", "p_value"), {"x": rows})
        except Exception as error:  # onnxruntime's errors share no base class
            raise FileError(f"{self.path} cannot be run ({first_line(error)}); export the detector again.") from error
        return torch.from_numpy(np.asarray(score)), torch.from_numpy(np.asarray(p_value))

    def __repr__(self) -> str:
        return f"OnnxDetector({self.kind}, {self.calibration} calibration scores, from {self.path.name})"


def export_onnx(detector: Detector, path: str | os.PathLike[str], examples: ImageSource | None = None) -> OnnxDetector:
    """Write score and p-value of a fitted detector, model included, as one ONNX file; load it and test it before it is there.

    The graph takes ``x`` ``(n, *input_shape)``, n free, and gives ``score`` and ``p_value``, ``(n,)`` double; NaN is unscorable.
    Trajectories are unrolled to their fixed number of steps. Its metadata hold golden inputs with the scores that this
    detector gives them.

    Args:
        detector: fitted on inputs.
        path: the file; an existing one is replaced when the new one has passed.
        examples: inputs to be golden, up to 8 of them; by default noise and constants in [0, 1].

    Returns:
        The file, loaded.

    Raises:
        InputError: the detector or the model has no ONNX form, or its scores differ by more than `PARITY` (trajectories on
            which rounding grows do), or onnx or onnxruntime is missing.
        FileError: the file cannot be written.
    """
    with optional("onnx", "onnx"):
        import onnx
    with optional("onnxruntime", "onnx"):
        import onnxruntime  # noqa: F401  # the file is tested before it is there
    shape, field, count = detector.input_shape, detector.field, len(detector.calibrated)
    if shape is None:
        raise InputError("This detector was fitted on latents, not on inputs; fit it on inputs to export it.")
    graph = ScoreGraph(detector)
    weights = sum(t.numel() * t.element_size() for t in (*graph.parameters(), *graph.buffers()))
    if weights > _LARGEST:
        raise InputError(
            f"{field.name} has {weights / 1e9:.1f} GB of weights, and one ONNX file holds 2; use it in Python."
        )
    golden = _golden(detector, tensor_of(examples)[:_GOLDEN] if examples is not None else examples_of(shape, _GOLDEN))
    record = {
        "format": FORMAT,
        "kind": detector.kind,
        "options": detector.options(),
        "calibration": count,
        "input_shape": list(shape),
        "dtype": str(field.dtype).removeprefix("torch."),
        "model": field.name,
        "fingerprint": field.fingerprint,
        "notes": list(detector.notes),
    }
    with new_file(path) as building:
        _trace(graph, building, shape)
        model = onnx.load(str(building))
        words, tests = json.dumps(record), base64.b64encode(save(golden)).decode()
        for key, value in (("", words), (".golden", tests), (".sha256", _checksum(words, tests))):
            model.metadata_props.add(key=f"{_KEY}{key}", value=value)
        onnx.save(model, str(building))
        try:
            loaded = OnnxDetector(building)
        except FileError as error:
            raise InputError(
                f"The ONNX form of {field.name} does not give this detector's scores ({_reason(error)}); "
                "fit with fewer steps if rounding grows along its trajectories, else use it in Python."
            ) from error
    loaded.path = Path(path)
    return loaded


def _reason(error: FileError) -> str:
    """Return what happened, without the name of a file that is gone and the remedy for it."""
    return str(error).partition(".onnx")[2].partition(" ")[2].partition(";")[0] or str(error)


def disagreement(score: Tensor, p_value: Tensor, golden: dict[str, Tensor]) -> float:
    """Largest |score − golden|/max(1, |golden|); infinite if one is unscorable and the other not, or a p-value does not belong."""
    if score.shape != golden["score"].shape or not torch.equal(score.isnan(), golden["score"].isnan()):
        return float("inf")
    known = ~score.isnan()
    expected, p = golden["score"][known], p_value[known]
    if not bool(((p >= golden["p_low"][known] - 1e-12) & (p <= golden["p_high"][known] + 1e-12)).all()):
        return float("inf")
    return float(((score[known] - expected).abs() / expected.abs().clamp(min=1.0)).amax()) if len(expected) else 0.0


def _golden(detector: Detector, x: Tensor) -> dict[str, Tensor]:
    """Inputs, the last of them NaN, with their scores, and between which p-values scores within `PARITY` lie."""
    x = torch.cat([x.to(detector.field.dtype), torch.full_like(x[:1], torch.nan, dtype=detector.field.dtype)])
    score = detector.score(x)
    slack = PARITY * score.abs().clamp(min=1.0)
    low, high = (conformal_p_values(score + sign * slack, detector.calibrated) for sign in (1, -1))
    return {"x": x.cpu().contiguous(), "score": score, "p_low": low, "p_high": high}


def _trace(graph: ScoreGraph, path: Path, shape: tuple[int, ...]) -> None:
    field = graph.field
    # Not golden: what a trace has frozen by mistake must show.
    example = torch.linspace(0, 1, 3 * int(np.prod(shape))).reshape(3, *shape).to(field.device, field.dtype)
    try:
        with field.guest(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of the tracer, about shapes that are fixed here; the golden inputs are the test
            torch.onnx.export(
                graph.eval(),
                (example,),
                str(path),
                input_names=["x"],
                output_names=["score", "p_value"],
                dynamic_axes={name: {0: "n"} for name in ("x", "score", "p_value")},
                opset_version=OPSET,
                # The tracing exporter: the newer one needs a package more and takes minutes for unrolled steps.
                dynamo=False,
            )
    # Whatever a stranger's network does under a tracer, it means the same to the user.
    except Exception as error:
        raise InputError(
            f"{field.name} cannot be written as ONNX ({first_line(error)}); give it standard operators, or use it in Python."
        ) from error


def _metadata(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what the file says of itself, and its golden inputs with their scores: checked against each other and against the graph."""
    import onnx

    from separatrix.storage._records import ExportedDetector, arguments_of, format_of, record_of, values_of

    model = onnx.load(str(path), load_external_data=False)
    found = {entry.key: entry.value for entry in model.metadata_props}
    if _KEY not in found:
        raise FileError(f"{path} is no exported detector of separatrix; give what export_onnx wrote.")
    if format_of(found[_KEY]) not in (None, FORMAT):
        raise FileError(f"{path} was not written by this version of separatrix (format {FORMAT}); {_AGAIN}.")
    tests = found.get(f"{_KEY}.golden", "")
    if found.get(f"{_KEY}.sha256") != _checksum(found[_KEY], tests):
        raise FileError(f"The metadata of {path} do not match their checksum; {_AGAIN}.")
    record = record_of(found[_KEY], ExportedDetector, f"The metadata of {path}", _AGAIN)
    kind = Detector.kinds.get(record.kind)
    if kind is None:
        raise FileError(f"{path} says that it is a detector of kind {record.kind!r}, which is unknown; {_AGAIN}.")
    arguments_of(kind, record.options, f"The metadata of {path}", _AGAIN)
    # The graph holds the calibration scores themselves, under their name unless another tool has renamed them.
    counts = [list(tensor.dims) for tensor in model.graph.initializer if tensor.name == "calibration"]
    if counts and counts != [[record.calibration]]:
        raise FileError(
            f"{path} says that it has {record.calibration} calibration scores, and has {counts[0]}; {_AGAIN}."
        )
    try:
        golden = load(base64.b64decode(tests, validate=True))
    except (ValueError, TypeError, SafetensorError) as error:
        raise FileError(f"{path} is damaged ({first_line(error)}); {_AGAIN}.") from error
    _require_golden(golden, record.input_shape, getattr(torch, record.dtype), path)
    return values_of(record), golden


def _checksum(words: str, tests: str) -> str:
    return hashlib.sha256(f"{words}\n{tests}".encode()).hexdigest()


def _require_golden(golden: dict[str, Tensor], shape: list[int], dtype: torch.dtype, path: Path) -> None:
    """Raises a FileError unless the golden inputs can test anything: at least one, each with a score that is known, or NaN."""
    n = len(golden["x"]) if "x" in golden and golden["x"].ndim else 0
    columns = {"x": ((n, *shape), dtype)} | dict.fromkeys(("score", "p_low", "p_high"), ((n,), torch.float64))
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in golden.items()}
    if found != columns or not 0 < n <= _MOST_GOLDEN or bool(golden["score"].isnan().all()):
        raise FileError(
            f"{path} has no golden inputs of shape {tuple(shape)} with their scores, so it cannot test itself; {_AGAIN}."
        )


def _require_ranks(p_value: Tensor, calibration: int, path: Path) -> None:
    """Raises a FileError unless the p-values are (1 + how many reach the score)/(n + 1) for this number n."""
    ranks = p_value[~p_value.isnan()] * (calibration + 1)
    off = (ranks - ranks.round()).abs() > _ROUNDING
    if bool((off | (ranks < 1 - _ROUNDING) | (ranks > calibration + 1 + _ROUNDING)).any()):
        raise FileError(
            f"{path} says that it has {calibration} calibration scores, and its p-values say otherwise; {_AGAIN}."
        )
