"""Every detector on every network against every OOD set; decisions over 20 splits; throughput; the self-check's verdicts.

    python benchmarks/ood.py [--only WORD] [--out benchmarks/results]

needs $SEPARATRIX_DATA, scikit-image and transformers. Trains its networks (ood_data.py says which), on one thread. Writes ood.json and ood.md.
No network here, no test image of the tables, ID or OOD, and none of the kinds of `ood_altered.unseen_kinds` was used to choose a feature,
a rule or a number of the detectors' scores: they were chosen on other networks, with training images as ID and as OOD, and on
other kinds (ood_choice.py). docs/ood.md says more.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from ood_data import FIRST_FRESH, PAIRED, SIMPLE, UNSEEN, Case, arrays, cases, id_images, ood_images, shaped
from ood_table import page
from scipy.stats import betabinom
from torch import Tensor

import separatrix as sx
from separatrix.errors import SeparatrixWarning
from separatrix.limitsets._assemble import versions
from separatrix.numerics import auroc_interval, fpr95_id_kept
from separatrix.ood import landmarks, training_attractors

RATES = (0.01, 0.05, 0.1)
SPLITS, CALIBRATION, FRESH = 20, 200, 300


def detectors(field: sx.LatentField, limits: sx.LimitSets, steps: int) -> dict[str, sx.ood.Detector]:
    """All of them, and typicality without the lengths that need no trajectory; the paper's only where there is an attractor to measure distances to."""
    found: dict[str, sx.ood.Detector] = {
        "typicality": sx.TypicalityDetector(field, attractors=limits, steps=steps),
        "course alone": sx.TypicalityDetector(field, attractors=limits, steps=steps, baselines=False),
        "knn": sx.ood.KNNDetector(field),
        "mahalanobis": sx.ood.MahalanobisDetector(field),
        "reconstruction": sx.ood.ReconstructionDetector(field),
        "residual": sx.ood.ResidualDetector(field),
    }
    if len(landmarks(limits).points):
        found["trajectory"] = sx.TrajectoryDetector(field, attractors=limits, steps=steps, self_check=False)
    return found


def measured(case: Case) -> dict[str, Any]:
    """One network: AUROCs with intervals, the self-check, and for the bar the decisions and the throughput."""
    began, cpu = time.perf_counter(), time.process_time()
    field = case.make()
    trained = time.process_time() - cpu
    fit, calibration, test = id_images(case)
    sets = ood_images(case, test)
    limits = training_attractors(field, field.encode(fit[: case.starts]), case.protocol).limits
    check = sx.self_check(field, fit, limits=limits)
    rows, splits, speed = [], [], None
    for kind, detector in detectors(field, limits, case.steps).items():
        detector.fit(fit, calibration)
        inside = detector.score(test)
        for name, x in sets.items():
            outside = detector.score(x)
            # What cannot be scored is not accepted either.
            inside, outside = (s.nan_to_num(nan=torch.inf, posinf=torch.inf) for s in (inside, outside))
            paired = name in PAIRED
            against = inside[: len(outside)] if paired else inside
            area = auroc_interval(against, outside, paired=paired)
            rows.append(
                {
                    "detector": kind,
                    "ood": name,
                    "count": len(x),
                    "auroc": area.value,
                    "low": area.low,
                    "high": area.high,
                    "fpr95_id_kept": fpr95_id_kept(against, outside),
                }
            )
        if case.name == "k = 32, seed 0" and kind != "course alone":
            splits += decided(detector)
        if case.name == "k = 32, seed 0" and kind in ("typicality", "trajectory"):
            speed = {**(speed or {}), kind: throughput(detector, test)}
    found = landmarks(limits)
    return {
        "model": case.name,
        "family": case.family,
        "id": case.id_name,
        "sizes": case.sizes._asdict(),
        "steps": case.steps,
        "attractors": found.attractors,
        "starts": case.starts,
        "reached": found.reached,
        "check": {
            "ok": check.ok, "inverted": list(check.inverted), "recommended": check.recommended,
            "coverage": check.coverage if check.coverage == check.coverage else None, "describes": check.describes,
            "auroc": {name: list(area) for name, area in check.auroc.get("trajectory", {}).items()},
        },
        "rows": rows,
        "splits": splits,
        "throughput": speed,
        "seconds": {"training": round(trained, 1), "cpu": round(time.process_time() - cpu, 1),
                    "all": round(time.perf_counter() - began, 1)},
    }  # fmt: skip


def decided(detector: sx.ood.Detector) -> list[dict[str, Any]]:
    """False alarms among fresh ID inputs: each split calibrates and decides on inputs of its own.

    Once shuffled, and once in the order of the file, in which neighbours share a writer: there, those who calibrate are not
    exchangeable with those who are decided on.
    """
    width = CALIBRATION + FRESH
    pool = shaped(arrays("mnist", "x_train")[FIRST_FRESH : FIRST_FRESH + SPLITS * width], (1, 28, 28))
    scores = detector.score(pool)
    shuffled = scores[torch.randperm(len(scores), generator=torch.Generator().manual_seed(0))]
    return [
        {"detector": detector.kind, "order": order, **_alarms(detector, values)}
        for order, values in (("shuffled", shuffled), ("as in the file", scores))
    ]


def _alarms(detector: sx.ood.Detector, scores: Tensor) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for rate in RATES:
        rank = int(rate * (CALIBRATION + 1) + 1e-9)
        law = betabinom(FRESH, rank, CALIBRATION + 1 - rank)
        alarms = []
        for part in scores.split(CALIBRATION + FRESH):
            detector.calibration = part[:CALIBRATION].sort().values
            alarms.append(int(detector.decide_scores(part[CALIBRATION:], fpr=rate).is_ood.sum()))
        spread = law.std() / SPLITS**0.5
        result[str(rate)] = {
            "alarms": alarms,
            "observed": sum(alarms) / (SPLITS * FRESH),
            "expected": law.mean() / FRESH,
            "low": (law.mean() - 1.96 * spread) / FRESH,
            "high": (law.mean() + 1.96 * spread) / FRESH,
            "splits_inside": sum(bool(law.ppf(0.025) <= count <= law.ppf(0.975)) for count in alarms),
        }
    return result


def throughput(detector: Any, x: Tensor, repeats: int = 5) -> float:
    """Seconds of the bare network over seconds of the detector, for the same encodings and map evaluations; median of repeats."""
    field = detector.field
    evaluations, typical = detector.steps + 1, detector.kind == "typicality"
    ratios = []
    for _ in range(repeats):
        began = time.process_time()
        with field.guest():
            for part in x.split(128):
                z = field.encode(part)
                for _ in range(evaluations):
                    z = field.bare(z)
                if typical:
                    field.decode(z)  # of the reconstruction error
        middle = time.process_time()
        detector.score(x)
        ratios.append((middle - began) / (time.process_time() - middle))
    return sorted(ratios)[repeats // 2]


def main() -> None:
    """Measure, and write after every network, so that nothing is lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", default="", help="networks whose family, ID set or name contains this; others stay as they are"
    )
    parser.add_argument("--models", type=Path, help="keep trained networks in this folder, and take them from there")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", SeparatrixWarning)
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "ood.json"
    known = json.loads(table.read_text(encoding="utf-8"))["models"] if options.only and table.exists() else []
    done = {(m["family"], m["id"], m["model"]): m for m in known}
    listed = cases(options.models)
    for case in listed:
        if options.only.lower() not in f"{case.family} {case.id_name} {case.name}".lower():
            continue
        found = measured(case)
        done[case.family, case.id_name, case.name] = found
        print(case.family, case.id_name, case.name, found["seconds"], flush=True)
        order = [done[key] for c in listed if (key := (c.family, c.id_name, c.name)) in done]
        result = {
            "versions": versions(),
            "simple": list(SIMPLE),
            "unseen": list(UNSEEN),
            "models": order,
            "seconds": round(sum(m["seconds"]["all"] for m in order)),
            "cpu_seconds": round(sum(m["seconds"]["cpu"] for m in order)),
        }
        table.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (options.out / "ood.md").write_text(page(result), encoding="utf-8")


if __name__ == "__main__":
    main()
