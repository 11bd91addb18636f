"""Out-of-distribution detection: scores from trajectories, decisions with a false-alarm rate that holds."""

from separatrix.ood._baselines import KNNDetector, MahalanobisDetector, ReconstructionDetector, ResidualDetector
from separatrix.ood._decisions import AlarmBudget, Decision, Decisions
from separatrix.ood._detector import Detector
from separatrix.ood._files import load_detector
from separatrix.ood._monitor import MonitorReport, StreamMonitor
from separatrix.ood._onnx_detector import OnnxDetector, export_onnx
from separatrix.ood._self_check import SelfCheck, self_check
from separatrix.ood._trajectory import TrajectoryDetector
from separatrix.ood._typicality import TypicalityDetector

__all__ = [
    "AlarmBudget",
    "Decision",
    "Decisions",
    "Detector",
    "KNNDetector",
    "MahalanobisDetector",
    "MonitorReport",
    "OnnxDetector",
    "ReconstructionDetector",
    "ResidualDetector",
    "SelfCheck",
    "StreamMonitor",
    "TrajectoryDetector",
    "TypicalityDetector",
    "export_onnx",
    "load_detector",
    "self_check",
]
