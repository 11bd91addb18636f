"""Searches of many sizes and kinds, measured: evaluations, seconds, memory, disk, steps of each orbit, rounds.

    python benchmarks/measured_searches.py [--only conv2:1000 …] [--again] [--out benchmarks/results]

needs $SEPARATRIX_DATA. What these cost is what `benchmarks/plan.py` foretells, and their rounds are what `benchmarks/barriers.py` is fed with.
Every search is in a process of its own, on one thread; seconds are processor time. Searches measured earlier keep their rows. Writes measured_searches.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from meters import spent
from omp import processor
from real_models import fashion_case
from rounds import Round, traced
from torch import Tensor

import separatrix as sx
from separatrix.limitsets._assemble import versions
from separatrix.limitsets._statistical import StatisticalCapture, pays, sample_size
from separatrix.models import load_burgess_vae
from separatrix.runs import _demo as demo
from separatrix.testing import oracles
from separatrix.work import SILENT

QUANTILES = 200  # of the steps of the orbits
RECORD = "measured_searches.json"
# model and starts; the models of oracles cost nothing, so that there are more of them
SEARCHES: dict[str, tuple[int, ...]] = {
    "conv2": (1000, 10_000, 30_000),
    "conv8": (1000,),
    "conv32": (1000, 10_000),
    "conv128": (1000, 10_000),
    "fc": (1000, 3000, 10_000, 30_000),
    "VAE_dsprites": (1000,),
    "betaB_mnist": (1000,),
    "demo": (1000, 10_000),
    "late fork": (1000, 30_000),
    "Hopfield": (3000, 30_000),
    "slow passage": (1000, 30_000),
    "Newton, cube roots": (3000, 30_000),
    "closed curve": (1000,),
    "neutral": (1000,),
    "chaos": (1000,),
}
Case = tuple[sx.LatentField, Callable[[int], sx.starts.Starts]]


def slow_passage(z: Tensor) -> Tensor:
    """z ↦ z + z³(1 − z) in each coordinate: from z₀ it takes about 1/2z₀² steps to 1, so that P(T > t) ≈ 1/√(2t) for uniform starts."""
    return z + z.pow(3) * (1 - z)


def _fashion(name: str, data: Path) -> Case:
    @cache
    def images() -> Tensor:
        with np.load(data / "data/fashion_mnist.npz") as file:
            return torch.from_numpy(file["x_train"]).float().unsqueeze(1) / 255

    return fashion_case(data, name).field, lambda count: sx.starts.encoded(images()[:count])


def _burgess(name: str, data: Path) -> Case:
    field = load_burgess_vae(data / f"weights/burgess_vae/{name}.safetensors").field()
    if name.endswith("dsprites"):
        return field, lambda count: sx.starts.gaussian(count, seed=0)
    with np.load(data / "data/mnist.npz") as mnist:
        images = torch.from_numpy(mnist["x_test"]).float().unsqueeze(1) / 255
    images = torch.nn.functional.interpolate(images, size=32, mode="bilinear", align_corners=False)
    return field, lambda count: sx.starts.encoded(images[:count])


def _demo() -> Case:
    """The demo's autoencoder of digits with 16 latent numbers, trained here."""
    digits = demo._Digits.load(0)
    field = demo._trained(demo._PLANS[1], digits.train, demo._FULL, 0, SILENT).field("demo")
    std = float(field.encode(digits.train).detach().std(correction=0))
    return field, lambda count: sx.starts.gaussian(count, seed=0, std=std)


def _oracle(make: Callable[[int], oracles.Oracle]) -> Case:
    return make(1).field, lambda count: sx.starts.points(make(count).starts)


def _passage() -> Case:
    field = sx.LatentField.from_map(slow_passage, latent_shape=(2,), dtype=torch.float64)
    return field, lambda count: sx.starts.box(count, 0.0, 1.0, seed=0)


def case(name: str, data: Path) -> Case:
    """A field, and so many starts for it."""
    if name.startswith("conv") or name == "fc":
        return _fashion(name, data)
    if name.endswith(("dsprites", "mnist")):
        return _burgess(name, data)
    return {
        "demo": _demo,
        "late fork": lambda: _oracle(lambda n: oracles.late_fork(count=n)),
        "Hopfield": lambda: _oracle(lambda n: oracles.hopfield(count=n)),
        "slow passage": _passage,
        "Newton, cube roots": lambda: _oracle(lambda n: oracles.newton_cube_roots(count=n)),
        "closed curve": lambda: _oracle(lambda n: oracles.invariant_curve(count=n)),
        "neutral": lambda: _oracle(lambda n: oracles.neutral_tanh(count=n)),
        "chaos": lambda: _oracle(lambda n: oracles.henon(count=n)),
    }[name]()


@dataclass
class Measured:
    """One search.

    Attributes:
        model, starts, latent: what was searched, from how many starts.
        sets: that were found.
        evaluations: all work, in map evaluations.
        seconds: of the processor.
        memory: bytes of the resident memory at its peak, above what was resident before …
        peak: … and all of them.
        disk: bytes of the stored result.
        sampled: starts that ended by what earlier ones did.
        unsettled: starts that reached no limit set.
        steps: quantiles of the steps of the orbits, from the least to the largest; in a search that guesses, of those before it does …
        guessed: … and of all later ones.
        rounds: of each, the numbers of a `Round`.
    """

    model: str
    starts: int
    latent: int
    sets: int
    evaluations: float
    seconds: float
    memory: float
    peak: float
    disk: int
    sampled: int
    unsettled: int
    steps: list[int]
    guessed: list[int]
    rounds: list[list[float]]

    def trace(self) -> list[Round]:
        """The rounds as records."""
        return [Round(*values) for values in self.rounds]


def measured(name: str, count: int, data: Path) -> Measured:
    """Search once, after a small search: torch loads parts of itself on first use."""
    field, starts_of = case(name, data)
    starts = starts_of(count)
    sx.find_attractors(field, starts[:2], sx.Protocol(max_steps=8))
    with traced() as trace, spent() as usage:
        limits = sx.find_attractors(field, starts)
    with tempfile.TemporaryDirectory() as folder:
        sx.save_result(limits, Path(folder) / "limits")
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    rules, admitted = limits.protocol, torch.arange(count)
    if pays(count, field.latent_dim, rules.max_wrong, rules.statistics):
        admitted = StatisticalCapture(count, torch.device("cpu"), rules.max_wrong, rules.statistics).order.cpu()
    certain = rules.statistics.recorded + sample_size(rules.max_wrong) if bool((admitted.diff() < 0).any()) else count
    steps = limits.orbits.steps.cpu()[admitted]
    names = [one.name for one in fields(Round)]
    return Measured(
        model=name,
        starts=count,
        latent=field.latent_dim,
        sets=len(limits),
        evaluations=limits.cost.total,
        seconds=round(usage.processor, 3),
        memory=usage.memory_mib * 2**20,
        peak=usage.peak_mib * 2**20,
        disk=disk,
        sampled=int((limits.orbits.status == int(sx.Status.SAMPLED)).sum()),
        unsettled=int((limits.labels < 0).sum()),
        steps=_quantiles(steps[:certain]),
        guessed=_quantiles(steps[certain:]),
        rounds=[[round(getattr(one, key), 5) for key in names] for one in trace.rounds],
    )


def _quantiles(steps: Tensor) -> list[int]:
    rank = torch.linspace(0, len(steps) - 1, min(QUANTILES + 1, len(steps))).round().long()
    return steps.sort().values[rank].tolist()


def on_file(folder: Path) -> dict[str, Measured]:
    """Those measured earlier, by model and starts."""
    file = folder / RECORD
    rows = json.loads(file.read_text(encoding="utf-8"))["searches"] if file.exists() else []
    return {f"{row['model']}:{row['starts']}": Measured(**row) for row in rows}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="MODEL:STARTS")
    parser.add_argument("--again", action="store_true", help="measure also what is on file")
    parser.add_argument("--here", action="store_true", help="measure in this process and print the row as JSON")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if "SEPARATRIX_DATA" not in os.environ:
        parser.error("set SEPARATRIX_DATA to the folder of real models and images")
    wanted = options.only or [f"{name}:{count}" for name, counts in SEARCHES.items() for count in sorted(counts)]
    if options.here:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        name, count = wanted[0].rsplit(":", 1)
        print(json.dumps(asdict(measured(name, int(count), Path(os.environ["SEPARATRIX_DATA"])))))
        return
    for each in wanted:
        rows = on_file(options.out)
        if each in rows and not options.again:
            continue
        command = [sys.executable, __file__, "--here", "--only", each]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        rows[each] = Measured(**json.loads(found))
        print(each, f"{rows[each].evaluations:.0f} evaluations, {rows[each].seconds:.1f} s", flush=True)
        _write(options.out / RECORD, rows)


def _write(file: Path, rows: dict[str, Measured]) -> None:
    record: dict[str, Any] = {
        "machine": f"{processor()}, {os.cpu_count()} cores, shared with other work",
        "versions": versions(),
        "round": [one.name for one in fields(Round)],
    }
    order = [f"{name}:{count}" for name, counts in SEARCHES.items() for count in counts]
    known = [rows[each] for each in order if each in rows]
    lines = ",\n".join(json.dumps(asdict(row), separators=(",", ":")) for row in known)
    head = json.dumps(record, indent=1)[:-2]
    file.write_text(f'{head},\n "searches": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
