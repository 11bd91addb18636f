"""Out-of-distribution detection: scores from trajectories, decisions with a false-alarm rate that holds."""

from typing import TYPE_CHECKING

from separatrix.ood._baselines import KNNDetector, MahalanobisDetector, ReconstructionDetector, ResidualDetector
from separatrix.ood._batch_scorer import BatchScorer
from separatrix.ood._decisions import AlarmBudget, Decision, Decisions
from separatrix.ood._detector import Detector
from separatrix.ood._files import load_detector
from separatrix.ood._fitting import Fitted, fit_detector
from separatrix.ood._landmarks import landmarks, training_attractors
from separatrix.ood._monitor import MonitorReport, StreamMonitor
from separatrix.ood._onnx_detector import OnnxDetector, export_onnx
from separatrix.ood._pytorch_ood_face import PytorchOODFace
from separatrix.ood._score_run import score_to_table
from separatrix.ood._self_check import SelfCheck, self_check
from separatrix.ood._simple_inputs import blurred, simple_inputs
from separatrix.ood._trajectory import TrajectoryDetector
from separatrix.ood._typicality import TypicalityDetector
from separatrix.ood._watch import load_monitor, save_monitor
from separatrix.work import on_demand

if TYPE_CHECKING:
    from separatrix.ood._sklearn_face import LatentEncoder, LatentOutlierDetector, OODClassifier
else:
    __getattr__, __dir__ = on_demand(
        __name__, {"_sklearn_face": ("LatentEncoder", "LatentOutlierDetector", "OODClassifier")}
    )

__all__ = [
    "AlarmBudget",
    "BatchScorer",
    "Decision",
    "Decisions",
    "Detector",
    "Fitted",
    "KNNDetector",
    "LatentEncoder",
    "LatentOutlierDetector",
    "MahalanobisDetector",
    "MonitorReport",
    "OODClassifier",
    "OnnxDetector",
    "PytorchOODFace",
    "ReconstructionDetector",
    "ResidualDetector",
    "SelfCheck",
    "StreamMonitor",
    "TrajectoryDetector",
    "TypicalityDetector",
    "blurred",
    "export_onnx",
    "fit_detector",
    "landmarks",
    "load_detector",
    "load_monitor",
    "save_monitor",
    "score_to_table",
    "self_check",
    "simple_inputs",
    "training_attractors",
]
