"""The engine side by side with what a user would pick instead: evaluations, fidelity, unstable points, time, memory.

    python benchmarks/engine.py [--starts 1000] [--only conv2 fc …] [--all] [--stability] [--out benchmarks/results]

needs $SEPARATRIX_DATA and `pip install separatrix[benchmarks]`. Per model, in one run, on the same starts: the loop on the whole batch, the loop with compaction (float64
to a step of 1e-10 of the spread, float32 to what float32 reaches, the paper's rule), torchdeq's Anderson and Broyden, Adam on
‖f(z) − z‖², scipy's root finders, and `find_attractors`. Starts are those for which plain float64 iteration is on file, then
encoded training images. Writes engine.json and engine.md after every model; models measured earlier keep their rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engine_table import markdown
from meters import network_time, spent
from omp import processor
from real_models import Case, cases
from rivals import Outcome, adam, loop, missing, scipy_root, torchdeq_solver, whole_batch_pace
from torch import Tensor

import separatrix as sx
from separatrix.limitsets import spectrum_of
from separatrix.limitsets._assemble import versions
from separatrix.limitsets._polish import polish
from separatrix.models._taef2 import TAEF2
from separatrix.numerics import nearest
from separatrix.testing import PlainEnds, basin_fidelity, plain_float64

FASHION = ["conv2", "conv8", "conv32", "conv128", "fc"]
CAP, LONG_CAP = 3000, 20_000  # steps of the loop as everybody writes it; of plain iteration that wants to end
FINE, COARSE, PAPER = 1e-10, 3e-6, 1e-3  # steps: float64 and float32 as shares of the spread; the paper's, absolute
HOPELESS = 1000  # steps after which the loop need not run orbits on a closed curve: they never end
ACCURATE = 1e-8  # of the spread: what counts as on the limit set
RIGHT = 1e-3  # of the spread: a rival's end this near to the end of plain iteration is in the right basin
BIG_BATCH = 3000
TOLERANCES = (1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
RIVAL_STARTS, SCIPY_STARTS = 48, 16
_VAE_REFERENCE = 200  # starts of a model without plain ends on file that are iterated plainly here


@dataclass
class Row:
    """One method on one model. Shares are of the starts that were compared, NaN where there are none."""

    method: str
    precision: str
    starts: int
    evaluations_per_start: float
    evaluations_to_long_cap: float  # with 20,000 steps as the cap, where known
    fidelity: float
    compared: int
    unstable: float
    accurate: float
    ended: float
    wall: float  # seconds per 1000 starts
    processor: float
    memory_mib: float


class Judge:
    """Where do end points lie? Judged by plain float64 iteration and by the limit sets known."""

    def __init__(self, fine: sx.LatentField, limits: sx.LimitSets, plain: PlainEnds) -> None:
        self.fine, self.limits, self.plain = fine, limits, plain
        traces = [limits.trace(number) for number in range(len(limits))]
        self.owner = torch.tensor([n for n, trace in enumerate(traces) for _ in trace])
        self.points = torch.cat(traces) if traces else limits.points
        self.settled = plain.steps >= 0

    def row(self, method: str, precision: str, outcome: Outcome, where: Tensor, long: float = float("nan")) -> Row:
        """``where``: which starts these were. Only starts with a settled plain end are compared."""
        n, unit = len(where), self.limits.spread
        known = where < len(self.settled)
        known[known.clone()] = self.settled[where[known]]
        ends = outcome.ends.to(torch.float64)
        apart = (ends[known] - self.plain.end[where[known]]).flatten(1).norm(dim=1)
        neighbour = nearest(ends, self.points)
        stable = self.limits.stable[self.owner[neighbour.index]] == 1
        near = (neighbour.distance <= ACCURATE * unit) & stable
        return Row(
            method=method,
            precision=precision,
            starts=n,
            evaluations_per_start=outcome.evaluations / n,
            evaluations_to_long_cap=long,
            fidelity=_mean(apart <= RIGHT * unit),
            compared=int(known.sum()),
            unstable=_mean(self.unstable(ends, outcome.claimed)),
            accurate=_mean(near[known]),
            ended=_mean(outcome.claimed),
            wall=1000 * outcome.spent.wall / n,
            processor=1000 * outcome.spent.processor / n,
            memory_mib=outcome.spent.memory_mib,
        )

    def unstable(self, ends: Tensor, claimed: Tensor) -> Tensor:
        """``(n,)`` bool: claimed to be a limit, and Newton's method finds an unstable fixed point right there."""
        unit = self.limits.spread
        neighbour = nearest(ends, self.points)
        kind = self.limits.stable[self.owner[neighbour.index]]
        at = neighbour.distance <= RIGHT * unit
        result = claimed & at & (kind == 0)
        open_rows = (claimed & ~at & ends.flatten(1).isfinite().all(dim=1)).nonzero().squeeze(1)
        for rows in open_rows.split(32):
            polished = polish(self.fine, ends[rows], damped=True)
            if polished.jacobian is not None:
                there = polished.at_floor & (polished.moved <= 10 * RIGHT * unit)
                result[rows] = there & (spectrum_of(polished.jacobian).radius >= 1)
        return result


def _mean(hits: Tensor) -> float:
    return float(hits.double().mean()) if len(hits) else float("nan")


def further_starts(case: Case, data: Path, wanted: int) -> Case:
    """Encoded training images after the starts on file, up to ``wanted`` in all."""
    extra = wanted - len(case.starts)
    if extra <= 0 or case.name not in FASHION:
        return case
    with np.load(data / "data/fashion_mnist.npz") as images:
        x = torch.from_numpy(images["x_train"][:extra]).float().unsqueeze(1) / 255
    return replace(case, starts=torch.cat([case.starts, sx.starts.encoded(x).block(case.field, 0, extra)]))


def taef2_case(data: Path, count: int = 16) -> Case:
    """TAEF2 at 32 pixels from encoded CIFAR-10 images: a field on which nothing converges."""
    latent = TAEF2.read(data / "weights/taef2", (32, 32)).field("taef2")
    with np.load(data / "data/cifar10_10k2k.npz") as images:
        x = torch.from_numpy(images["x_test"][:count]).permute(0, 3, 1, 2).float() / 255
    return Case("taef2", latent, sx.starts.encoded(x).block(latent, 0, count), None)


def measure(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """All methods on one model."""
    starts, latent = case.starts, case.field
    protocol = sx.Protocol(max_steps=CAP) if case.name == "taef2" else sx.Protocol()
    sx.find_attractors(latent, starts[:2], sx.Protocol(max_steps=8))  # torch loads a part of itself on first use
    with network_time() as network, spent() as usage:
        limits = sx.find_attractors(latent, starts, protocol)
    with spent() as usage_capped:
        capped = sx.find_attractors(latent, starts, replace(protocol, max_steps=CAP))
    fine = latent.to(dtype=torch.float64)
    unit = limits.spread
    _say(f"{case.name}: ours {usage.processor:.0f} s of the processor, {limits}")
    curves = {n for n in range(len(limits)) if limits.kind[n] == int(sx.limitsets.Kind.CLOSED_CURVE)}
    on_curve = torch.tensor([label in curves for label in limits.labels.tolist()])
    long_cap = CAP if case.name == "taef2" else LONG_CAP
    double = loop(fine, starts, [FINE * unit], long_cap, on_curve, HOPELESS)
    _say(f"  float64 loop {double.spent.processor:.0f} s, {double.run} evaluations")
    single = loop(latent, starts, [PAPER, COARSE * unit], CAP, on_curve, HOPELESS)
    _say(f"  float32 loop {single.spent.processor:.0f} s, {single.run} evaluations")
    plain = case.plain or plain_float64(latent, starts[:_VAE_REFERENCE], cap=long_cap)
    judge = Judge(fine, limits, plain)
    fidelity = basin_fidelity(_first(limits, len(plain.steps)), plain)
    everyone = torch.arange(len(starts))
    ours = judge.row(
        "separatrix.find_attractors",
        "float32, sets in float64",
        Outcome(_set_points(limits), limits.cost.total, limits.labels >= 0, usage),
        everyone,
    )
    ours.fidelity, ours.compared = fidelity.share, fidelity.compared
    at_cap = judge.row(
        "separatrix.find_attractors, cap 3000",
        "float32, sets in float64",
        Outcome(_set_points(capped), capped.cost.total, capped.labels >= 0, usage_capped),
        everyone,
    )
    others = PlainEnds(double.ends[:, 0], torch.where(on_curve, -1, double.steps[:, 0]))
    further = basin_fidelity(limits, others)
    pace64, pace32 = whole_batch_pace(fine, starts, BIG_BATCH), whole_batch_pace(latent, starts, BIG_BATCH)
    big = len(starts) / BIG_BATCH  # the pace is that of 3000 latents; rows give seconds per 1000 starts
    rows = [
        judge.row(
            "loop, whole batch, step² < 1e-6, cap 3000",
            "float32",
            single.whole_batch(0, CAP, pace32.scaled(big)),
            everyone,
        ),
        judge.row(
            "loop, whole batch, step < 1e-10, cap 3000",
            "float64",
            double.whole_batch(0, CAP, pace64.scaled(big)),
            everyone,
        ),
        judge.row("loop, active set, step² < 1e-6, cap 3000", "float32", single.active(0, CAP), everyone),
        judge.row("loop, active set, step < 3e-6, cap 3000", "float32", single.active(1, CAP), everyone),
        judge.row(
            "loop, active set, step < 1e-10, cap 3000",
            "float64",
            double.active(0, CAP),
            everyone,
            float(double.per_orbit(0, long_cap).double().mean()),
        ),
    ]
    if case.name != "taef2":
        for name, precision, rival, where in _rivals(case, fine, unit):
            rows.append(judge.row(name, precision, rival, where))
            _say(f"  {name} {rival.spent.processor:.0f} s")
    rows += [at_cap, ours]
    return {
        "model": case.name,
        "latent": latent.latent_dim,
        "starts": len(starts),
        "spread": unit,
        "rows": [asdict(row) for row in rows],
        "sets": repr(limits),
        "attractors": len(limits.attractors),
        "unstable_reported_stable": int(
            ((limits.stable == 1) & (limits.period > 0) & ~(limits.spectral_radius < 1)).sum()
        ),
        "audit": limits.audit.sentence if limits.audit else "",
        "agrees_with_float64_loop": [further.agreeing, further.compared],
        "largest_distance_of_plain_ends": _largest_distance(judge, limits),
        "network_share": network.seconds / usage.processor,
        "network_passes": network.passes,
        "chunk": {"float32": single.chunk, "float64": double.chunk},
        "hopeless": int(on_curve.sum()),
        "counts_by_tolerance": _counts(case) if options.stability else {},
        "load": os.getloadavg()[0],
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }


def _rivals(case: Case, fine: sx.LatentField, unit: float) -> Iterator[tuple[str, str, Outcome, Tensor]]:
    """The solvers, on evenly spaced starts out of those with plain ends."""
    last = (len(case.plain.steps) if case.plain else _VAE_REFERENCE) - 1
    where = torch.linspace(0, last, RIVAL_STARTS).long()
    few = torch.linspace(0, last, SCIPY_STARTS).long()
    for name in ("anderson", "broyden"):
        outcome = torchdeq_solver(fine, case.starts[where], name, FINE * unit, 300 if name == "anderson" else 150)
        yield f"torchdeq {name}", "float64", outcome, where
    yield "Adam on ‖f(z) − z‖²", "float32", adam(case.field, case.starts[where], unit, COARSE * unit, 600), where
    for method in ("hybr", "krylov"):
        yield f"scipy root, {method}", "float64", scipy_root(fine, case.starts[few], method, FINE * unit, 1000), few


def _first(limits: sx.LimitSets, count: int) -> sx.LimitSets:
    return replace(limits, labels=limits.labels[:count])


def _set_points(limits: sx.LimitSets) -> Tensor:
    """Where each start ends: its set's point, or for closed curves and unlabelled starts the last point of the orbit."""
    ends = limits.orbits.points.to(torch.float64).clone()
    fixed = limits.labels >= 0
    fixed[fixed.clone()] = limits.period[limits.labels[fixed]] == 1
    ends[fixed] = limits.points[limits.labels[fixed]].to(ends)
    return ends


def _largest_distance(judge: Judge, limits: sx.LimitSets) -> float:
    """How far plain float64 ends lie from the points of the sets, at most, in spreads: both agree on where the sets are."""
    ends = judge.plain.end[judge.settled]
    return float(nearest(ends, judge.points).distance.max() / limits.spread) if len(ends) else float("nan")


def _counts(case: Case) -> dict[str, int]:
    """Number of attractors for each stop tolerance, from the starts on file."""
    starts = case.starts[: len(case.plain.steps)] if case.plain else case.starts
    result = {}
    for tolerance in TOLERANCES:
        limits = sx.find_attractors(case.field, starts, sx.Protocol(tolerance=tolerance))
        result[f"{tolerance:g}"] = len(limits.attractors)
    return result


def _say(line: str) -> None:
    print(line, flush=True)


def _about(options: argparse.Namespace) -> dict[str, Any]:
    found = {**versions(), "scipy": version("scipy"), "torchdeq": version("torchdeq")}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores, shared with other work",
        "threads": torch.get_num_threads(),
        "versions": found,
        "commit": options.commit or commit.stdout.strip(),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=0, help="starts per model; those on file come first")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--all", action="store_true", help="the Burgess VAEs and TAEF2 as well")
    parser.add_argument("--stability", action="store_true", help="count attractors for stop tolerances 1e-6 to 1e-10")
    parser.add_argument("--commit", default="", help="written into the record where there is no repository")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if "SEPARATRIX_DATA" not in os.environ:
        parser.error("set SEPARATRIX_DATA to the folder of real models and images")
    if words := missing():
        parser.error(words)
    warnings.simplefilter("ignore", sx.errors.ConvergenceWarning)
    data = Path(os.environ["SEPARATRIX_DATA"])
    only = options.only or ([] if options.all else FASHION)
    record_file = options.out / "engine.json"
    options.out.mkdir(parents=True, exist_ok=True)
    for case in _chosen(data, only, options):
        measured = measure(further_starts(case, data, options.starts), options)
        models = json.loads(record_file.read_text(encoding="utf-8"))["models"] if record_file.exists() else {}
        models[case.name] = measured
        record = {**_about(options), "models": models}
        record_file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (options.out / "engine.md").write_text(markdown(record), encoding="utf-8")


def _chosen(data: Path, only: list[str], options: argparse.Namespace) -> Iterator[Case]:
    if only != ["taef2"]:
        yield from cases(data, only)
    if options.all or "taef2" in only:
        yield taef2_case(data)


if __name__ == "__main__":
    main()
