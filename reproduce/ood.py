"""Out-of-distribution detection on a Fashion-MNIST autoencoder: every detector, both FPR95 conventions, observed false alarms.

    python reproduce/ood.py [--model conv32] [--count 1000] [--out reproduce/results]

needs $SEPARATRIX_DATA. ID: Fashion-MNIST; the detectors are fitted and calibrated on training images that the network was not
trained on (its own were the first 10000) and tested on the test images. Writes ood.json and ood.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import separatrix as sx
from separatrix.models import ConvAutoencoder
from separatrix.numerics import auroc_interval, conformal_p_values, fpr95_id_kept, fpr95_ood_caught
from separatrix.ood import blurred, simple_inputs, training_attractors

TRAINED_ON = 10_000  # the network's own images, the first of the training set
RATES = (0.01, 0.05, 0.1)
SPLITS = 20
PAIRED = ("blurred", "negative")  # input i is made from test image i


def images(data: Path, name: str, key: str, first: int, count: int) -> Tensor:
    """Images as 1×28×28 in [0, 1]."""
    with np.load(data / f"data/{name}.npz") as arrays:
        return torch.from_numpy(arrays[key][first : first + count]).float().unsqueeze(1) / 255


def measured(model: str, count: int, data: Path) -> dict[str, Any]:
    """All numbers of the two tables."""
    began = time.perf_counter()
    network = ConvAutoencoder((1, 28, 28), int(model.removeprefix("conv")), base_channels=32, stages=2)
    network.load_state_dict(load_file(data / f"weights/fashion_ae/{model}.safetensors"))
    field = network.field()
    train = images(data, "fashion_mnist", "x_train", TRAINED_ON, 3 * count)
    test = images(data, "fashion_mnist", "x_test", 0, 2 * count)
    fit, calibration = train[: 2 * count], train[2 * count :]
    simple = simple_inputs(test, count=count, seed=1)
    strange = {
        "MNIST": images(data, "mnist", "x_test", 0, count),
        "uniform noise": simple["noise"],
        "constant": simple["constant"],
        "blurred": blurred(test, 2.0),
        "negative": 1 - test,
    }
    limits = training_attractors(field, field.encode(fit[:150]), sx.Protocol(max_steps=1000)).limits
    check = sx.self_check(field, train, limits=limits)
    detectors = (
        sx.TrajectoryDetector(field, attractors=limits, self_check=False),
        sx.TypicalityDetector(field, attractors=limits),
        sx.ood.KNNDetector(field),
        sx.ood.MahalanobisDetector(field),
        sx.ood.ReconstructionDetector(field),
        sx.ood.ResidualDetector(field),
    )
    rows, alarms = [], []
    for detector in detectors:
        inside = detector.fit(fit, calibration).score(test)
        for name, x in strange.items():
            outside = detector.score(x)
            area = auroc_interval(inside, outside, paired=name in PAIRED)
            rows.append(
                {
                    "detector": detector.kind,
                    "ood": name,
                    "auroc": area.value,
                    "low": area.low,
                    "high": area.high,
                    "fpr95_id_kept": fpr95_id_kept(inside, outside),
                    "fpr95_ood_caught": fpr95_ood_caught(inside, outside),
                }
            )
        alarms.append({"detector": detector.kind, **observed(inside)})
        print(detector.kind, f"{time.perf_counter() - began:.0f} s", flush=True)
    return {
        "command": f"python reproduce/ood.py --model {model} --count {count}",
        "model": model,
        "count": count,
        "limits": repr(limits),
        "self_check": {"ok": check.ok, "recommended": check.recommended, "findings": list(check.findings)},
        "rows": rows,
        "alarms": alarms,
        "seconds": round(time.perf_counter() - began),
    }


def observed(scores: Tensor) -> dict[str, float]:
    """Mean false-alarm rate on test images over random halves: one half calibrates, the other is decided on."""
    rates = dict.fromkeys(map(str, RATES), 0.0)
    for split in range(SPLITS):
        order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(split))
        calibration, fresh = order[: len(order) // 2], order[len(order) // 2 :]
        p = conformal_p_values(scores[fresh], scores[calibration])
        for rate in RATES:
            rates[str(rate)] += float((p <= rate).double().mean()) / SPLITS
    return rates


def page(result: dict[str, Any]) -> str:
    """The tables in Markdown."""
    check = result["self_check"]
    lines = [
        "# Out-of-distribution detection, Fashion-MNIST as ID",
        "",
        f"`{result['command']}`; {result['seconds']} s on one thread. {result['limits']}.",
        f"Per OOD set {result['count']} inputs, ID {2 * result['count']} test images, each of which is also blurred and turned into its "
        "negative. Intervals: 95 %, DeLong, of those two over pairs.",
        "",
        f"Self-check on ID images alone: {' '.join(check['findings'])}",
        "",
        "| detector | OOD | AUROC (95 %) | OOD accepted, 95 % of ID kept | ID rejected, 95 % of OOD caught |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['detector']} | {row['ood']} | {row['auroc']:.3f} ({row['low']:.3f}–{row['high']:.3f}) | "
        f"{row['fpr95_id_kept']:.3f} | {row['fpr95_ood_caught']:.3f} |"
        for row in result["rows"]
    ]
    lines += [
        "",
        f"Observed false alarms on ID test images, mean over {SPLITS} random halves of them (one calibrates):",
        "",
        "| detector | " + " | ".join(f"promised {rate:g}" for rate in RATES) + " |",
        "|---" * (1 + len(RATES)) + "|",
    ]
    lines += [f"| {a['detector']} | " + " | ".join(f"{a[str(r)]:.4f}" for r in RATES) + " |" for a in result["alarms"]]
    lines += [
        "",
        "The features of the typicality detector were chosen on this network and conv8 with sets like these: its rows are not",
        "an independent test.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="conv32", choices=("conv2", "conv8", "conv32", "conv128"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("reproduce/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = measured(options.model, options.count, Path(os.environ["SEPARATRIX_DATA"]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ood.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "ood.md").write_text(page(result), encoding="utf-8")


if __name__ == "__main__":
    main()
