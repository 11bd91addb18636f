"""Snapshots go to loggers: one small protocol, and faces of the usual trackers that import nothing before they are made."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from typing import Protocol as Interface

from separatrix.errors import FileError, InputError
from separatrix.words import one_line

_PREFIX = "separatrix"


class Logger(Interface):
    """It tells what a monitor asks of a logger."""

    def log(self, record: Mapping[str, Any]) -> None:
        """One snapshot: ``Snapshot.to_dict()``. Its ``step`` may lie behind the training's, because snapshots wait."""

    def close(self) -> None:
        """No more snapshots will come."""


class JSONLinesLogger:
    """One JSON object per line, appended and flushed at once, so that a crash loses nothing that was seen.

    Args:
        path: the file; an existing one is continued.

    Raises:
        FileError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path.touch()
        except OSError as error:
            raise FileError(
                f"{self.path} cannot be written ({error.strerror}); give a path in an existing, writable folder."
            ) from error

    def __repr__(self) -> str:
        return f"JSONLinesLogger({self.path})"

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line, all of it or nothing."""
        line = json.dumps(dict(record), allow_nan=False, ensure_ascii=False).encode() + b"\n"
        with self.path.open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end and not self._ends_a_line(file, end):
                line = b"\n" + line  # a training that was killed left half a line
            try:
                file.write(line)
                file.flush()
            except OSError:  # the disk is full
                with suppress(OSError):
                    os.truncate(self.path, end)
                raise

    @staticmethod
    def _ends_a_line(file: BinaryIO, end: int) -> bool:
        file.seek(end - 1)
        return file.read(1) == b"\n"

    def close(self) -> None:
        """Nothing is open between lines."""


class TensorBoardLogger:
    """Scalars to TensorBoard.

    Args:
        writer: a `torch.utils.tensorboard.SummaryWriter` (or anything with its ``add_scalar``), or the folder for a new one.
    """

    __repr__ = one_line

    def __init__(self, writer: Any) -> None:
        self._own = isinstance(writer, (str, os.PathLike))
        if self._own:
            writer = _module("torch.utils.tensorboard", "tensorboard").SummaryWriter(os.fspath(writer))
        self._writer = writer

    def log(self, record: Mapping[str, Any]) -> None:
        """One scalar per number, at the snapshot's step; events as text."""
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, record["step"])
        if record.get("events"):
            self._writer.add_text(f"{_PREFIX}/events", ", ".join(record["events"]), record["step"])

    def close(self) -> None:
        """Closes a writer that was made here."""
        if self._own:
            self._writer.close()


class WandbLogger:
    """Metrics to Weights & Biases, on a step axis of their own: W&B drops what is logged at an earlier step than its last.

    Args:
        run: the run; ``wandb.run`` if not given.
    """

    __repr__ = one_line

    def __init__(self, run: Any = None) -> None:
        self._run = run if run is not None else _module("wandb", "wandb").run
        if self._run is None:
            raise InputError("There is no W&B run; call wandb.init() first, or pass the run.")
        self._run.define_metric(f"{_PREFIX}/step")
        self._run.define_metric(f"{_PREFIX}/*", step_metric=f"{_PREFIX}/step")

    def log(self, record: Mapping[str, Any]) -> None:
        """Goes with the next row that the training logs, whose step it does not touch."""
        self._run.log({**scalars(record), f"{_PREFIX}/step": record["step"]}, commit=False)

    def close(self) -> None:
        """The run belongs to the training."""


class MLflowLogger:
    """Metrics to MLflow's active run.

    Args:
        client: the module ``mlflow``, or anything with its ``log_metrics``; imported if not given.
    """

    __repr__ = one_line

    def __init__(self, client: Any = None) -> None:
        self._client = client if client is not None else _module("mlflow", "mlflow")

    def log(self, record: Mapping[str, Any]) -> None:
        """At the snapshot's step."""
        self._client.log_metrics(scalars(record), step=record["step"])

    def close(self) -> None:
        """The run belongs to the training."""


class TrackioLogger:
    """Metrics to trackio.

    Args:
        client: the module ``trackio`` or a run, anything with its ``log``; imported if not given.
    """

    __repr__ = one_line

    def __init__(self, client: Any = None) -> None:
        self._client = client if client is not None else _module("trackio", "trackio")

    def log(self, record: Mapping[str, Any]) -> None:
        """At the snapshot's step."""
        self._client.log(scalars(record), step=record["step"])

    def close(self) -> None:
        """The run belongs to the training."""


def scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record under names that trackers group, unknown ones left out.

    >>> scalars({"step": 3, "attractors": 2, "residual": None, "trivial": False, "ids": [0, 4], "events": ["4 born"]})
    {'separatrix/attractors': 2.0, 'separatrix/trivial': 0.0, 'separatrix/events': 1.0}
    >>> scalars({"step": 9, "settled": 0.5, "attractors": None, "events": None})
    {'separatrix/settled': 0.5}
    """
    numbers = {
        f"{_PREFIX}/{name}": float(value)
        for name, value in record.items()
        if isinstance(value, (int, float)) and name != "step"
    }
    events = record.get("events")
    return numbers if events is None else {**numbers, f"{_PREFIX}/events": float(len(events))}


LogTarget = str | os.PathLike[str] | Logger | list["LogTarget"] | tuple["LogTarget", ...] | None
"""Snapshots go to one of these: a path for JSON lines, a logger, several of them, or nowhere."""


def as_loggers(log: LogTarget) -> tuple[Logger, ...]:
    """A path as JSON lines, loggers as they are, None as none."""
    if log is None:
        return ()
    if isinstance(log, (str, os.PathLike)):
        return (JSONLinesLogger(log),)
    if isinstance(log, (list, tuple)):
        return tuple(logger for part in log for logger in as_loggers(part))
    if callable(getattr(log, "log", None)) and callable(getattr(log, "close", None)):
        return (log,)
    raise InputError(f"log takes a path, a logger with log and close, or a list of them, not a {type(log).__name__}.")


def _module(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{package} is not installed; pip install {package}, or log to a .jsonl file.") from error
