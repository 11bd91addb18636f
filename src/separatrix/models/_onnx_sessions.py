"""An ONNX file in onnxruntime, run so that Ctrl-C ends it: the runtime itself hears no signals, not even in an endless loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from separatrix.errors import FileError, first_line
from separatrix.models._folders import optional

_PATIENCE = 5.0  # seconds for a stopped run to end; one operator cannot be stopped halfway


class OnnxSession:
    """A session on the CPU.

    A run is made by a thread of its own, while the caller's waits for it and can be interrupted; an interruption stops the
    run at its next operator. This costs about 0.03 ms per run.

    Args:
        path: the file, checked by `separatrix.models._onnx_pairs.require_contained`.

    Raises:
        FileError: onnxruntime cannot run it.
        InputError: onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        with optional("onnxruntime", "onnx"):
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        self.path = path
        self._options: Callable[[], Any] = onnxruntime.RunOptions
        self._waiting: SimpleQueue[tuple[threading.Event, list[Any], Callable[[], Any]]] = SimpleQueue()
        self._worker: threading.Thread | None = None
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class
            raise FileError(f"{path} cannot be run by onnxruntime ({first_line(error)}); export it again.") from error

    @property
    def inputs(self) -> list[Any]:
        """Name, shape and type of each input."""
        return list(self._session.get_inputs())

    @property
    def outputs(self) -> list[Any]:
        """Name, shape and type of each output."""
        return list(self._session.get_outputs())

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The named outputs; whatever onnxruntime raises comes out as it is."""
        if self._worker is None or not self._worker.is_alive():  # not alive: after a fork
            self._worker = threading.Thread(target=_work, args=(self._waiting,), daemon=True)
            self._worker.start()
        options = self._options()
        done = threading.Event()
        outcome: list[Any] = []
        self._waiting.put((done, outcome, lambda: self._session.run(list(outputs), dict(feeds), options)))
        try:
            done.wait()
        except BaseException:
            options.terminate = True
            done.wait(_PATIENCE)
            raise
        result, error = outcome
        if error is not None:
            raise error
        return [np.asarray(array) for array in result]


def _work(waiting: SimpleQueue[tuple[threading.Event, list[Any], Callable[[], Any]]]) -> None:
    while True:
        done, outcome, run = waiting.get()
        try:
            outcome += [run(), None]
        except BaseException as error:  # handed on to the thread that waits
            outcome += [None, error]
        done.set()
        del done, outcome, run  # nothing of a run is kept while waiting for the next
