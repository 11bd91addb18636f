"""Searches of tens of thousands of starts, most of them ended by the leave of a sample: evaluations, time, wrong labels.

    python benchmarks/engine_large.py [--starts 30000] [--only conv2 fc …] [--out benchmarks/results]

needs $SEPARATRIX_DATA. The starts are encoded Fashion-MNIST images in the order of the file; of conv8, whose orbits take 1500 steps, a third of
them. In the same run, on 300 of these starts: the loop over the whole batch in float64 to a step of 1e-10 of the spread (its steps are the largest number that one of
the 300 takes, so that for all starts it costs at least as much), and the careful user's loop in float32, active set, to 3e-6. Then 1000 of the labels
that rest on the sample, drawn at random, are compared with those of a search that captures certainly alone. Writes engine_large.json and .md after every model.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from meters import network_time, spent
from omp import processor
from real_models import fashion_case
from rivals import loop
from torch import Tensor

import separatrix as sx
from separatrix.limitsets import same_sets
from separatrix.limitsets._assemble import versions

MODELS = ("conv2", "fc", "conv32", "conv128", "conv8")
CAP, FINE, COARSE, HOPELESS = 3000, 1e-10, 3e-6, 1000
RIVALS, CHECKED = 300, 1000
BAR = 15.0


@dataclass(frozen=True)
class Row:
    """One model."""

    model: str
    latent: int
    starts: int
    attractors: int
    bound: float
    captured: int
    followed: int
    disagreements: int
    checked: int
    wrong: int
    unlabelled: int
    evaluations_per_start: float
    whole_batch_per_start: float
    single_per_start: float
    seconds_per_1000: float
    single_seconds_per_1000: float
    network_share: float

    @property
    def gain(self) -> float:
        """Evaluations of the whole-batch loop over ours."""
        return self.whole_batch_per_start / self.evaluations_per_start


def encoded(field: sx.LatentField, data: Path, count: int) -> Tensor:
    """Encoded training images in the order of the file."""
    with np.load(data / "data/fashion_mnist.npz") as images:
        x = torch.from_numpy(images["x_train"][:count]).float().unsqueeze(1) / 255
    return sx.starts.encoded(x).block(field, 0, len(x))


def measured(name: str, data: Path, count: int) -> Row:
    """Search, the rivals on a few of the starts, and the labels again."""
    field = fashion_case(data, name).field
    starts = encoded(field, data, count)
    draw = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    sx.find_attractors(field, starts[:2], sx.Protocol(max_steps=8))  # torch loads a part of itself on first use
    with network_time() as network, spent() as usage:
        limits = sx.find_attractors(field, starts)
    sample = limits.audit.statistical if limits.audit else None
    few = draw[:RIVALS]
    curves = {n for n in range(len(limits)) if limits.kind[n] == int(sx.limitsets.Kind.CLOSED_CURVE)}
    on_curve = torch.tensor([label in curves for label in limits.labels[few].tolist()])
    fine = field.to(dtype=torch.float64)
    double = loop(fine, starts[few], [FINE * limits.spread], CAP, on_curve, HOPELESS)
    single = loop(field, starts[few], [COARSE * limits.spread], CAP, on_curve, HOPELESS).active(0, CAP)
    checked = (~limits.orbits.followed).nonzero().squeeze(1)
    checked = checked[torch.randperm(len(checked), generator=torch.Generator().manual_seed(1))[:CHECKED]]
    wrong = 0
    if len(checked):
        certain = sx.find_attractors(field, starts[checked], sx.Protocol(max_wrong=0.0))
        place = torch.cat([same_sets(certain, limits), torch.tensor([-1])])
        wrong = int((place[certain.labels] != limits.labels[checked]).sum())
    return Row(
        model=name,
        latent=field.latent_dim,
        starts=count,
        attractors=len(limits.attractors),
        bound=sample.bound if sample else 0.0,
        captured=sample.captured if sample else 0,
        followed=sample.followed if sample else 0,
        disagreements=sample.disagreements if sample else 0,
        checked=len(checked),
        wrong=wrong,
        unlabelled=int((limits.labels < 0).sum()),
        evaluations_per_start=limits.cost.total / count,
        whole_batch_per_start=float(double.per_orbit(0, CAP).max()),
        single_per_start=single.evaluations / RIVALS,
        seconds_per_1000=1000 * usage.processor / count,
        single_seconds_per_1000=1000 * single.spent.processor / RIVALS,
        network_share=network.seconds / usage.processor,
    )


def page(record: dict[str, Any]) -> str:
    """The Markdown page."""
    rows = [Row(**row) for row in record["rows"]]
    mean = math.exp(sum(math.log(row.gain) for row in rows) / len(rows))
    verdict = "**met**" if mean >= BAR else "**missed**"
    lines = [
        "# Searches of tens of thousands of starts",
        "",
        f"`python benchmarks/engine_large.py`, {record['machine']}, one thread, torch {record['versions']['torch']}. Evaluations count derivative products "
        "(vjp 2, jvp 4) and all that is done once; seconds are processor time per 1000 starts.",
        "",
        f"* Evaluations of the whole-batch loop over ours, geometric mean of {len(rows)}: {mean:.1f} × (bar {BAR:g}): {verdict}.",
        f"* Wrong among the labels that rest on a sample, of {sum(row.checked for row in rows):,} followed again: "
        f"{sum(row.wrong for row in rows)}; the bound is {max(row.bound for row in rows):.1%}.",
        "",
        "| model | k | starts | attractors | by the sample | followed, of them elsewhere | checked, wrong | evaluations per start | whole batch, float64 | × | "
        "active set, float32 | seconds | active set, float32, seconds | × | network |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.model} | {row.latent} | {row.starts:,} | {row.attractors} | {row.captured:,} | {row.followed:,}, {row.disagreements} | "
        f"{row.checked:,}, {row.wrong} | {row.evaluations_per_start:.1f} | {row.whole_batch_per_start:.0f} | {row.gain:.1f} | {row.single_per_start:.0f} | "
        f"{row.seconds_per_1000:.2f} | {row.single_seconds_per_1000:.2f} | {row.single_seconds_per_1000 / row.seconds_per_1000:.2f} | {row.network_share:.0%} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=30_000)
    parser.add_argument("--only", nargs="*", default=list(MODELS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if "SEPARATRIX_DATA" not in os.environ:
        parser.error("set SEPARATRIX_DATA to the folder of real models and images")
    torch.set_num_threads(1)
    file = options.out / "engine_large.json"
    for name in options.only:
        row = measured(name, Path(os.environ["SEPARATRIX_DATA"]), options.starts // (3 if name == "conv8" else 1))
        print(row, flush=True)
        known = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
        kept = {one["model"]: one for one in known} | {name: asdict(row)}
        record = {
            "versions": versions(),
            "machine": f"{processor()}, {os.cpu_count()} cores, shared with other work",
            "rows": [kept[one] for one in MODELS if one in kept],
        }
        file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (options.out / "engine_large.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
