"""One call from a model and ID data to a fitted detector that was tested before it is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from separatrix.arguments import checked
from separatrix.data import ImageSource, tensor_of
from separatrix.errors import DetectorWarning, InputError, warn
from separatrix.field import LatentField
from separatrix.ood._detector import Detector
from separatrix.ood._self_check import SelfCheck, self_check
from separatrix.ood._trajectory import TrajectoryDetector
from separatrix.protocol import Protocol
from separatrix.words import one_line
from separatrix.work import Progress

AUTO = "auto"
_STEPS = 10


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A detector, and what the self-check saw (None where it was not asked for)."""

    detector: Detector
    check: SelfCheck | None

    __repr__ = one_line


@checked
def fit_detector(
    field: LatentField,
    train: ImageSource,
    kind: str = "typicality",
    *,
    calibration: ImageSource | None = None,
    steps: int = _STEPS,
    protocol: Protocol | None = None,
    check: bool = True,
    seed: int = 0,
    progress: bool | Progress = False,
) -> Fitted:
    """Fit the detector of that kind; test all of them against simple inputs, and say what was seen.

    Args:
        field: the latent field.
        train: ID inputs that the network was not trained on; half are held out for calibration.
        kind: one of ``Detector.kinds``, or ``"auto"``: the one that the self-check recommends. The default has the highest mean AUROC on kinds of
            input that nothing was chosen on, and ``"auto"`` does no better there (docs/ood.md).
        calibration: ID inputs for calibration only; then all of ``train`` is fitted on.
        steps: of the trajectories, where the detector follows any.
        protocol: of the search for training attractors.
        check: do the self-check (`self_check`); ``"auto"`` needs it.
        seed: of the split and of the check.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError: no such kind, too few inputs, or inputs that the model does not take.

    Warns:
        DetectorWarning: simple inputs score as more typical than the data with this detector, on this model.
    """
    kinds = dict(sorted(Detector.kinds.items()))
    if kind not in (AUTO, *kinds):
        raise InputError(f"There is no detector {kind!r}; choose one of {AUTO}, {', '.join(kinds)}.")
    if kind == AUTO and not check:
        raise InputError("The choice is the self-check's: leave it on, or name a detector.")
    data = tensor_of(train)
    found = self_check(field, data, protocol=protocol, seed=seed, progress=progress) if check else None
    if kind == AUTO:
        assert found is not None
        kind = found.recommended
    options: dict[str, Any] = {}
    if kind in ("trajectory", "typicality"):
        options = {"steps": steps, "protocol": protocol}
    if kind == TrajectoryDetector.kind:
        options["self_check"] = False  # done above
    with Progress.of(progress).stage("fitting"):
        detector = kinds[kind](field, **options).fit(data, calibration, seed=seed)
    if found is not None:
        detector.notes = (*detector.notes, *found.findings)
        tested = found.auroc.get(kind, {})
        inverted = {name: area.value for name, area in tested.items() if area.high < 0.5}
        if inverted:
            listing = ", ".join(f"{name} (AUROC {value:.2f})" for name, value in inverted.items())
            better = f"{found.recommended} does best" if found.recommended != kind else "no other does better"
            warn(
                f"With the {kind} detector these inputs score as more typical than the data: {listing}; {better} "
                "on simple inputs.",
                DetectorWarning,
            )
    return Fitted(detector=detector, check=found)
