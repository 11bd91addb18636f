"""The recipe ``ood fit``: a detector, as `fit_detector` makes it, in a folder, and a run with a page about it beside it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from separatrix.arguments import checked
from separatrix.data import ImageSet
from separatrix.field import LatentField, RecordedField
from separatrix.ood import Detector, Fitted, SelfCheck, fit_detector
from separatrix.ood._files import identity
from separatrix.protocol import Protocol
from separatrix.report._detector import Calibrated, detector_page, detector_picture
from separatrix.runs._around import extremes, scenes_around
from separatrix.runs._living import STORED, Scenes, Sleeper
from separatrix.runs._plan import Plan, data_record, model_record
from separatrix.runs._run import RUNNING, Run, opened
from separatrix.runs._views import Ended, View, provenance, write_views
from separatrix.storage import PathLike, storable
from separatrix.words import counted, jsonable, without_folders
from separatrix.work import Progress

RECIPE = "ood fit"
STAGE = "detector"
RATES = (0.1, 0.05, 0.01, 0.005, 0.001)
_SHOWN = 24  # held-out inputs with the highest scores


@storable
class StoredDetector(Calibrated):
    """The page's share of a detector, in the folder of a run; the detector itself is in its own."""


@dataclass(frozen=True, kw_only=True)
class FitRun(Ended):
    """It tells what was fitted; ``summary`` has the thresholds and the self-check."""

    fitted: Fitted


@checked
def fit(
    field: LatentField,
    images: ImageSet,
    place: PathLike,
    kind: str = "typicality",
    *,
    calibration: ImageSet | None = None,
    steps: int = 10,
    protocol: Protocol | None = None,
    check: bool = True,
    seed: int = 0,
    out: PathLike | None = None,
    overwrite: bool = False,
    figures: bool = True,
    explorer: bool = True,
    progress: bool | Progress = False,
) -> FitRun:
    """Fit a detector, store it, and write a run about it: the self-check, the rates that it can promise, the held-out pictures with the highest scores.

    The detector is fitted anew every time.

    Args:
        field, kind, steps, protocol, check, seed: as for `fit_detector`.
        images: its ``train``.
        place: the folder of the detector.
        calibration: as there.
        out: the folder of the run; without one there is the detector alone.
        overwrite: replace an earlier detector, and an earlier run of another one.
        figures, explorer: as for `attractors`; on the living page a reader starts from held-out pictures with the highest scores, and from usual ones.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError, FileError: as `fit_detector` and ``Detector.save``; or something that is not to be replaced is at ``out``.

    Warns:
        DetectorWarning: simple inputs score as more typical than the data with this detector, on this model.
        FigureWarning: a figure is missing.

    Cost: that of `fit_detector`. With ``out``, six map evaluations. With ``explorer`` too, where a page can hold the model, at most 200 steps of twelve pictures,
    and what it takes to verify the attractors that are found (`scenes_around`).
    """
    began = time.perf_counter()
    options = {"detector": kind, "steps": steps, "check": check, "seed": seed}
    options |= {} if protocol is None else {"protocol": protocol.to_dict()}
    data = {} if out is None else data_record(data=images, calibration=calibration)
    plan = Plan(recipe=RECIPE, model={} if out is None else model_record(field), data=data, options=options)
    with (
        Progress.of(progress).stage(RECIPE, 9 if out is None else 10) as line,
        opened(out, plan, overwrite=overwrite) as run,
    ):
        with line.stage("fitting and testing", worth=9):
            fitted = fit_detector(
                field, images, kind, calibration=calibration, steps=steps, protocol=protocol, check=check, seed=seed, progress=line
            )  # fmt: skip
        stored = fitted.detector.save(place, overwrite=overwrite)
        found = _calibrated(fitted, images, calibration, str(stored))
        if run.folder is not None:
            run.record["state"] = RUNNING  # until its page is of this detector
            run.renew(STAGE, found)
            living = _living(fitted.detector, images if calibration is None else calibration)
            viewer = partial(fit_view, living=living) if figures and explorer else fit_view
            write_views(run, viewer, {}, figures=figures, explorer=explorer, anew=True, progress=line)
        return FitRun(
            fitted=fitted,
            summary=_summary(found),
            folder=run.folder,
            seconds=time.perf_counter() - began,
        )


def fit_view(run: Run, _: Mapping[str, RecordedField], living: Sleeper = STORED) -> View:
    """Everything that is written of such a run; no model is asked for any of it but the living page, by whoever has it."""
    found: StoredDetector = run.load(STAGE)
    title = without_folders(str(run.plan["model"]["name"]))
    return View(
        summary=_summary(found) | {"kind": f"separatrix {RECIPE}", "of": found.kind},
        figures={STAGE: lambda _: detector_picture(found)},
        living={STAGE: living},
        page=lambda drawn: detector_page(found, title, provenance(run), drawn),
    )


def _calibrated(fitted: Fitted, images: ImageSet, calibration: ImageSet | None, place: str) -> StoredDetector:
    detector, source = fitted.detector, images if calibration is None else calibration
    assert detector.held_out is not None
    held_out, scores = detector.held_out, detector.calibrated
    rows = held_out[-_SHOWN:].flip(0)
    pictures = source[rows]
    if len(set(pictures.names)) < len(pictures):
        pictures = replace(
            pictures, names=tuple(f"{name} ({row})" for name, row in zip(pictures.names, rows.tolist(), strict=True))
        )
    others = "" if calibration is None else f", and {len(calibration):,} for calibration"
    return StoredDetector(
        described=detector.describe(),
        place=place,
        given=f"{counted(len(images), 'image')}{others}",
        calibration=scores.cpu(),
        lost=detector.lost_in_calibration,
        thresholds={rate: detector.threshold(rate) for rate in RATES if rate * (len(scores) + 1) >= 1},
        check=fitted.check,
        names=pictures.names,
        highest=tuple(scores[-_SHOWN:].flip(0).tolist()),
        pictures=pictures,
    )


def _summary(found: Calibrated) -> dict[str, Any]:
    return jsonable(
        {
            "detector": found.place,
            **found.described,
            "calibration": len(found.calibration),
            "lost_in_calibration": found.lost,
            "smallest_fpr": found.smallest_rate,
            "thresholds": {f"{rate:g}": threshold for rate, threshold in found.thresholds.items()},
            "check": None if found.check is None else _check(found.check),
            "code": found.statement.slug,
            "statement": str(found.statement),
            "highest": dict(zip(found.names, found.highest, strict=True)),
        }
    )


def _check(check: SelfCheck) -> dict[str, object]:
    """JSON-ready, everything that the check saw."""
    return {
        "ok": check.ok,
        "recommended": check.recommended,
        "inverted": list(check.inverted),
        "reached": check.reached,
        "coverage": check.coverage,
        "unlike": check.unlike,
        "auroc": {kind: {name: list(area) for name, area in row.items()} for kind, row in check.auroc.items()},
        "code": check.statement.slug,
        "findings": list(check.findings),
    }


def _living(detector: Detector, source: ImageSet) -> Sleeper:
    """The living page of the detector's model, of held-out pictures."""
    assert detector.held_out is not None
    chosen = extremes(detector.held_out.tolist())
    starts = ImageSet(
        pixels=source.pixels[list(chosen)],
        names=tuple(f"{words}: {source.names[row]}" for row, words in chosen.items()),
    )
    field = detector.field

    def made(line: Progress) -> Scenes:
        title = without_folders(field.name)
        return scenes_around(field, starts, title=title, cost=0, progress=line)

    return Sleeper(make=made, of=" ".join((identity(detector), starts.fingerprint, *starts.names)))
