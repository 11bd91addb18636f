"""ONNX files of every batch, and of no end: a fixed batch is filled up, and Ctrl-C ends an endless loop."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import separatrix as sx
from separatrix.errors import FieldError
from separatrix.models._onnx_sessions import OnnxSession

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write(module: nn.Module, path: Path, example: torch.Tensor, *, free: bool = False, outputs: int = 1) -> Path:
    names = [f"y{i}" for i in range(outputs)]
    axes: dict[str, Any] = {name: {0: "n"} for name in ("x", *names)} if free else {}
    torch.onnx.export(
        module, (example,), str(path), input_names=["x"], output_names=names, dynamic_axes=axes, dynamo=False
    )
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_a_fixed_batch_takes_any_number_of_rows(tmp_path: Path, batch: int) -> None:
    down, up = nn.Linear(6, 2), nn.Linear(2, 6)
    encoder = write(down, tmp_path / "encoder.onnx", torch.zeros(batch, 6))
    write(up, tmp_path / "decoder.onnx", torch.zeros(batch, 2))
    field = sx.load(encoder)
    for count in (1, 2, 3, 4, 7):
        z = torch.randn(count, 2)
        assert torch.allclose(field(z), down(up(z)).detach(), atol=1e-6)
    assert field.check().ok


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = self.down(x)
        return z, z.exp()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_first_of_several_outputs_is_taken_and_said(tmp_path: Path) -> None:
    encoder = write(Two(), tmp_path / "encoder.onnx", torch.zeros(1, 6), free=True, outputs=2)
    write(nn.Linear(2, 6), tmp_path / "decoder.onnx", torch.zeros(1, 2), free=True)
    (note,) = [note for note in sx.load(encoder).details["notes"] if note.startswith("encode has the outputs y0, y1")]
    assert note.endswith("of which the first, y0, is taken; the option encoded takes others.")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_onnxruntime_refuses_is_one_sentence(tmp_path: Path) -> None:
    encoder = write(nn.Linear(6, 2), tmp_path / "encoder.onnx", torch.zeros(1, 6), free=True)
    write(nn.Linear(2, 5), tmp_path / "decoder.onnx", torch.zeros(1, 2), free=True)
    with pytest.raises(FieldError, match=r"encoder\.onnx cannot encode a batch"):
        sx.find_attractors(sx.load(encoder), torch.zeros(2, 2))


def endless(path: Path) -> Path:
    """x → a loop whose condition stays true: y = x + 1 + 1 + …"""
    helper, kinds = onnx.helper, onnx.TensorProto
    body = helper.make_graph(
        [helper.make_node("Add", ["before", "one"], ["after"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", kinds.INT64, []),
            helper.make_tensor_value_info("go", kinds.BOOL, []),
            helper.make_tensor_value_info("before", kinds.FLOAT, [None, 2]),
        ],
        [
            helper.make_tensor_value_info("on", kinds.BOOL, []),
            helper.make_tensor_value_info("after", kinds.FLOAT, [None, 2]),
        ],
        [helper.make_tensor("one", kinds.FLOAT, [1], [1.0])],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["", "true", "x"], ["y"], body=body)],
        "endless",
        [helper.make_tensor_value_info("x", kinds.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", kinds.FLOAT, [None, 2])],
        [helper.make_tensor("true", kinds.BOOL, [], [True])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from pathlib import Path
from separatrix.models._onnx_sessions import OnnxSession
session = OnnxSession(Path(sys.argv[1]))
print("begun", flush=True)
try:
    session.run(["y"], {"x": np.zeros((1, 2), np.float32)})
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_an_endless_loop_hears_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(endless(tmp_path / "endless.onnx"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.2)  # whether the run has begun or not, the signal ends it
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=120)
    assert said == "interrupted\n", errors
    assert process.returncode == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_session_goes_on_after_an_error(tmp_path: Path) -> None:
    session = OnnxSession(write(nn.Linear(2, 2), tmp_path / "m.onnx", torch.zeros(1, 2), free=True))
    for _ in range(2):
        with pytest.raises(Exception, match=r"(?i)invalid"):
            session.run(["y0"], {"x": np.zeros((1, 3), np.float32)})
        assert session.run(["y0"], {"x": np.zeros((2, 2), np.float32)})[0].shape == (2, 2)
