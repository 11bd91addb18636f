"""The ten published Burgess VAEs: attractors from encoded images, steps, ρ, and what did not settle.

    SEPARATRIX_DATA=... python reproduce/burgess.py [--starts 200]

mnist models start from encodings of MNIST test images resized to 32×32, dsprites models from N(0, I), since no dsprites images
lie with them. Writes burgess.json and .md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

import torch

import separatrix as sx
from separatrix.errors import ConvergenceWarning

NAMES = [f"{kind}_{data}" for data in ("mnist", "dsprites") for kind in ("VAE", "betaH", "betaB", "btcvae", "factor")]


def row(name: str, count: int) -> dict[str, Any]:
    begin = time.perf_counter()
    field = sx.load(f"burgess/{name}")
    if name.endswith("mnist"):
        source = Path(os.environ["SEPARATRIX_DATA"]) / "data/mnist.npz"
        starts = sx.starts.encoded(sx.data.load_images(source, key="x_test", limit=count, size=(32, 32)))
    else:
        starts = sx.starts.gaussian(count, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        limits = sx.find_attractors(field, starts)
    attractors = limits.attractors
    steps = limits.orbits.steps[limits.labels >= 0].double()
    points = attractors[attractors.kind == int(sx.limitsets.Kind.FIXED_POINT)]
    kinds: dict[str, int] = {}
    for kind in attractors.kind.tolist():
        kinds[sx.limitsets.Kind(kind).name.lower()] = kinds.get(sx.limitsets.Kind(kind).name.lower(), 0) + 1
    return {
        "model": name,
        "starts": "encoded MNIST test images" if name.endswith("mnist") else "N(0, I)",
        "attractors": len(attractors),
        "kinds": kinds,
        "reached": int((limits.labels >= 0).sum()),
        "count": count,
        "steps_median": float(steps.quantile(0.5)) if len(steps) else None,
        "steps_p95": float(steps.quantile(0.95)) if len(steps) else None,
        "rho_least": float(points.spectral_radius.min()) if len(points) else None,
        "rho_largest": float(points.spectral_radius.max()) if len(points) else None,
        "seconds": time.perf_counter() - begin,
    }


def table(record: dict[str, Any]) -> str:
    lines = [
        "# The ten Burgess VAEs",
        "",
        f"`{record['command']}`, default protocol, torch {record['torch']}, {record['seconds']:.0f} s. mnist models from "
        "encoded test images, dsprites models from N(0, I).",
        "",
        "| model | attractors | reached one | steps, median / 95 % | ρ of attracting points |",
        "|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in row["kinds"].items()) or "none"
        steps = "–" if row["steps_median"] is None else f"{row['steps_median']:.0f} / {row['steps_p95']:.0f}"
        rho = "–" if row["rho_least"] is None else f"{row['rho_least']:.3f} to {row['rho_largest']:.3f}"
        lines.append(f"| {row['model']} | {kinds} | {row['reached']} of {row['count']} | {steps} | {rho} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    begin, rows = time.perf_counter(), []
    for name in NAMES:
        rows.append(row(name, options.starts))
        print(rows[-1], flush=True)
    record = {
        "command": f"python reproduce/burgess.py --starts {options.starts}",
        "torch": torch.__version__,
        "rows": rows,
        "seconds": time.perf_counter() - begin,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "burgess.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "burgess.md").write_text(table(record), encoding="utf-8")
    print(table(record))


if __name__ == "__main__":
    main()
