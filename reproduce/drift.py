"""Generation loss of real autoencoders: which rots how, and is it predictable?

    SEPARATRIX_DATA=... python reproduce/drift.py [--trips 20] [--only NAME]

TAEF2 and VAElight take photographs of 256×256 pixels through D∘E twenty times, rounded to 8 bits between the trips as every file does; so do
the ten Burgess VAEs and the five Fashion-MNIST autoencoders with pictures of their own kind, and, to try the format alone, a
random AutoencoderKL. Two questions go beyond the curves. Does the derivative of D∘E at the picture tell when its error has doubled (−3 dB)?
And does the order of models, or of pictures, after one trip tell the order after twenty? By the first people choose today.
One case is one cell in --work, so an interrupted run goes on. Writes drift.json, drift.md and the figures.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drift_inputs import Case, cases
from drift_page import draw, draw_pictures, findings, page
from foundation_orbits import rounded
from torch import Tensor

import separatrix as sx
from separatrix.studies import linearised

SHOWN = (0, 1, 2, 5, 10, 20)  # trips whose pictures are shown


def measured(case: Case, trips: int) -> tuple[dict[str, Any], Tensor]:
    """One cell, and the first two pictures along the way, ``(2, frames, c, h, w)``."""
    field, images = case.load(), case.images()
    begin = time.process_time()
    found = sx.drift(field, images, trips=trips, name=case.model, shown=2)
    spent = time.process_time() - begin
    guess = linearised(field, images, trips=case.linear)
    doubled = [value if math.isfinite(value) else None for value in found.doubling.tolist()]
    predicted = [value if math.isfinite(value) else None for value in guess.predicted_doubling.tolist()]
    cell = {
        "model": case.model,
        "pictures": case.pictures,
        "group": case.group,
        "shape": list(images.shape[1:]),
        "psnr": found.psnr.tolist(),
        "ssim": found.ssim.mean(dim=0).tolist(),
        "brightness": found.brightness.mean(dim=0).tolist(),
        "contrast": found.contrast.nanmean(dim=0).tolist(),
        "gap": found.idempotence_gap,
        "rot": str(found.statement.code),
        "safe": {str(bar): found.safe_trips(bar).words for bar in (30, 20)},
        "fastest": _fastest(found.rates),
        "doubled": doubled,
        "linear": {
            "trips": case.linear,
            "predicted": guess.predicted.mean(dim=0).tolist(),
            "measured": guess.measured.mean(dim=0).tolist(),
            "doubled": predicted,
            "plainly_doubled": [v if math.isfinite(v) else None for v in guess.doubling.tolist()],
        },
        "headline": str(found.statement),
        "cpu_seconds": spent,
        "cpu_seconds_linear": time.process_time() - begin - spent,
    }
    kept = [place for place, frame in enumerate(found.frames) if frame in SHOWN]
    return cell, found.pictures[:, kept]


def _fastest(rates: dict[str, float]) -> list[Any]:
    """The part of the error that grows fastest, and its factor per trip."""
    known = {name: rate for name, rate in rates.items() if math.isfinite(rate)}
    name = max(known, key=lambda part: known[part], default="")
    return [name, known.get(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trips", type=int, default=20)
    parser.add_argument("--count", type=int, default=40, help="pictures for each small model")
    parser.add_argument("--few", type=int, default=2, help="pictures of each upsampled set for the large ones")
    parser.add_argument("--only", help="cases whose name begins so; the page has what is known so far")
    parser.add_argument("--work", type=Path, default=Path("runs/drift"), help="what is done so far")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    cells: dict[str, Any] = {}
    pictures: dict[str, Any] = {}
    for case in cases(options.count, options.few):
        place = options.work / f"{case.name}.json"
        if not place.exists() and case.name.startswith(options.only or ""):
            cell, shown = measured(case, options.trips)
            np.save(place.with_suffix(".npy"), shown.numpy())
            place.write_text(json.dumps(rounded(cell)), encoding="utf-8")
            print(
                f"{case.name}: {cell['headline']} ({cell['cpu_seconds']:.0f} + {cell['cpu_seconds_linear']:.0f} s)",
                flush=True,
            )
        if place.exists():
            cells[case.name] = json.loads(place.read_text(encoding="utf-8"))
            pictures[case.name] = np.load(place.with_suffix(".npy"))
    record: dict[str, Any] = {
        "command": f"python reproduce/drift.py --trips {options.trips} --count {options.count} --few {options.few}",
        "trips": options.trips,
        "torch": torch.__version__,
        "cells": cells,
        "missing": [case.name for case in cases(options.count, options.few) if case.name not in cells],
    }
    record["findings"] = findings(record)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "drift.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    (options.out / "drift.md").write_text(page(record), encoding="utf-8")
    draw(record, options.out)
    draw_pictures(pictures, options.out / "drift_pictures.png")


if __name__ == "__main__":
    main()
