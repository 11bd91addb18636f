"""The faces of trackers, against objects with the methods and the rules of the real ones."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix.errors import InputError, ModelWarning
from separatrix.monitoring import MLflowLogger, TensorBoardLogger, TrackioLogger, WandbLogger
from separatrix.monitoring._loggers import as_loggers


class SummaryWriter:
    def __init__(self):
        self.scalars, self.texts, self.closed = [], [], False

    def add_scalar(self, tag, scalar_value, global_step=None):
        self.scalars.append((tag, float(scalar_value), global_step))

    def add_text(self, tag, text_string, global_step=None):
        self.texts.append((tag, text_string, global_step))

    def close(self):
        self.closed = True


class Run:
    """As W&B: a row is committed by the training, and rows only go forward."""

    def __init__(self):
        self.metrics, self.row, self.rows = {}, {}, []

    def define_metric(self, name, step_metric=None):
        self.metrics[name] = step_metric

    def log(self, data, step=None, commit=True):
        assert all(isinstance(value, float) or name == "separatrix/step" for name, value in data.items())
        self.row |= data
        if commit:
            self.rows.append(self.row)
            self.row = {}


class MLflow:
    def __init__(self):
        self.logged = []

    def log_metrics(self, metrics, step=None):
        assert all(type(value) is float for value in metrics.values())
        self.logged.append((dict(metrics), step))


class Trackio:
    def __init__(self):
        self.logged = []

    def log(self, metrics, step=None):
        self.logged.append((dict(metrics), step))


def watched(log):
    gain = torch.tensor(0.5)
    field = sx.LatentField.from_map(lambda z: torch.tanh(gain * z), (1,))
    monitor = sx.DynamicsMonitor(field, sx.starts.box(16, -2, 2, seed=0), 10, max_share=None, log=log)
    monitor.step(0)
    gain.fill_(2.0)
    monitor.step(10)
    monitor.finish()
    return monitor.history


def test_every_face_tells_the_same(tmp_path):
    writer, run, mlflow, trackio = SummaryWriter(), Run(), MLflow(), Trackio()
    path = tmp_path / "lines.jsonl"
    first, second = watched(
        [TensorBoardLogger(writer), WandbLogger(run), [MLflowLogger(mlflow), TrackioLogger(trackio)], path]
    )
    assert (first.attractors, second.attractors) == (1, 2)
    assert ("separatrix/attractors", 1.0, 0) in writer.scalars
    assert ("separatrix/attractors", 2.0, 10) in writer.scalars
    assert writer.texts == [("separatrix/events", "1 split from 0", 10)]
    assert not writer.closed, "it belongs to whoever made it"
    assert [(metrics["separatrix/attractors"], step) for metrics, step in mlflow.logged] == [(1.0, 0), (2.0, 10)]
    assert trackio.logged == mlflow.logged
    assert run.metrics == {"separatrix/step": None, "separatrix/*": "separatrix/step"}
    assert run.rows == [], "the rows are the training's"
    assert (run.row["separatrix/step"], run.row["separatrix/attractors"]) == (10, 2.0)
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("make", [WandbLogger, MLflowLogger, TrackioLogger, lambda: TensorBoardLogger("folder")])
def test_what_is_not_installed_is_said_in_one_sentence(make, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("separatrix.monitoring._loggers.importlib.import_module", missing)
    with pytest.raises(InputError, match="is not installed; pip install"):
        make()


def test_none_is_no_logger():
    assert as_loggers(None) == ()
    with pytest.raises(InputError, match="not a dict"):
        as_loggers({})


def test_a_logger_that_fails_is_said_once_and_the_others_go_on():
    class Full(Trackio):
        def log(self, metrics, step=None):
            raise OSError("No space left on device")

    beside = Trackio()
    with pytest.warns(
        ModelWarning, match="failed in TrackioLogger.log at step 0, and training goes on: OSError: No space left"
    ) as heard:
        history = watched([TrackioLogger(Full()), TrackioLogger(beside)])
    assert len(heard) == 1
    assert len(history) == len(beside.logged) == 2
