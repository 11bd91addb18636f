"""Watching the dynamics of a model while it is trained, without touching the training.

`separatrix.monitoring._lightning` and `separatrix.monitoring._huggingface` are thin callbacks; they import their frameworks.
"""

from separatrix.monitoring._budget import Usage
from separatrix.monitoring._failures import Failure
from separatrix.monitoring._glance import Glance
from separatrix.monitoring._loggers import (
    JSONLinesLogger,
    Logger,
    MLflowLogger,
    TensorBoardLogger,
    TrackioLogger,
    WandbLogger,
)
from separatrix.monitoring._monitor import DynamicsMonitor
from separatrix.monitoring._snapshot import Snapshot

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
