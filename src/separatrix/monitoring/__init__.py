"""Watching the dynamics of a model while it is trained, without touching the training.

``LightningCallback`` and ``TransformersCallback`` are thin; each imports its framework (the extra ``monitoring``) when it is asked for.
"""

from typing import TYPE_CHECKING

from separatrix.monitoring._budget import Usage
from separatrix.monitoring._failures import Failure
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
from separatrix.orbits._glance import Glance
from separatrix.work import on_demand

if TYPE_CHECKING:
    from separatrix.monitoring._huggingface import TransformersCallback as TransformersCallback
    from separatrix.monitoring._lightning import LightningCallback as LightningCallback
else:
    __getattr__, __dir__ = on_demand(
        __name__, {"_huggingface": ("TransformersCallback",), "_lightning": ("LightningCallback",)}
    )

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
