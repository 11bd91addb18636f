"""Watching the dynamics of a model while it is trained, without touching the training.

`separatrix.monitoring.lightning` and `separatrix.monitoring.huggingface` are thin callbacks; they import their frameworks.
"""

from separatrix.monitoring.budget import Usage
from separatrix.monitoring.failures import Failure
from separatrix.monitoring.glance import Glance
from separatrix.monitoring.loggers import (
    JSONLinesLogger,
    Logger,
    MLflowLogger,
    TensorBoardLogger,
    TrackioLogger,
    WandbLogger,
)
from separatrix.monitoring.monitor import DynamicsMonitor
from separatrix.monitoring.snapshot import Snapshot

__all__ = [
    "DynamicsMonitor",
    "Failure",
    "Glance",
    "JSONLinesLogger",
    "Logger",
    "MLflowLogger",
    "Snapshot",
    "TensorBoardLogger",
    "TrackioLogger",
    "Usage",
    "WandbLogger",
]
