"""The trackers themselves, where they are installed: each is told of a short training once, and what it keeps is read back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import torch

import separatrix as sx
from separatrix.monitoring import MLflowLogger, TensorBoardLogger, TrackioLogger, WandbLogger

ATTRACTORS = "separatrix/attractors"


def watch(logger: object) -> None:
    """One attractor at step 0, two at step 10."""
    gain = torch.tensor(0.5)
    field = sx.LatentField.from_map(lambda z: torch.tanh(gain * z), (1,))
    monitor = sx.DynamicsMonitor(field, sx.starts.box(16, -2, 2, seed=0), 10, max_share=None, log=logger)
    monitor.step(0)
    gain.fill_(2.0)
    monitor.step(10)
    monitor.finish()


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    watch(TensorBoardLogger(str(tmp_path)))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars(ATTRACTORS)] == [(0, 1.0), (10, 2.0)]


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    quiet = wandb.Settings(
        x_disable_stats=True, x_disable_meta=True, disable_git=True, disable_code=True, console="off"
    )
    with wandb.init(mode="offline", project="separatrix", dir=str(tmp_path), settings=quiet) as run:
        watch(WandbLogger(run))
        run.log({"loss": 0.1})  # the training's own row carries ours
        assert run.summary[ATTRACTORS] == 2.0
        assert run.summary["separatrix/step"] == 10


def test_mlflow(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    with mlflow.start_run() as run:
        watch(MLflowLogger())
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, ATTRACTORS)
    assert [(entry.step, entry.value) for entry in history] == [(0, 1.0), (10, 2.0)]


def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio")
    trackio.init(project="separatrix", embed=False)
    watch(TrackioLogger(trackio))
    trackio.finish()
    (kept,) = tmp_path.rglob("*.db")
    with sqlite3.connect(kept) as base:
        steps = [row[0] for row in base.execute("select step from metrics order by step")]
    assert steps == [0, 10]
