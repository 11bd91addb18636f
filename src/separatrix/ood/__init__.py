"""Out-of-distribution detection: scores from trajectories, decisions with a false-alarm rate that holds."""

from separatrix.ood.baselines import KNNDetector, MahalanobisDetector, ReconstructionDetector, ResidualDetector
from separatrix.ood.decisions import Budget, Decisions, Verdict
from separatrix.ood.detector import Detector
from separatrix.ood.files import load_detector
from separatrix.ood.monitor import MonitorReport, StreamMonitor
from separatrix.ood.onnx_detector import OnnxDetector, export_onnx
from separatrix.ood.self_check import SelfCheck, self_check
from separatrix.ood.trajectory import TrajectoryDetector
from separatrix.ood.typicality import TypicalityDetector

__all__ = [
    "Budget",
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
    "Verdict",
    "export_onnx",
    "load_detector",
    "self_check",
]
