"""Attractors of the real models: counts, tolerances ten times tighter, fidelity against plain float64 iteration.

    python benchmarks/real_models.py [--only conv2 fc …] [--out benchmarks/results]

needs $SEPARATRIX_DATA. With --only, the rows of the other models stay as they are. Writes real_models.json and real_models.md; the table in the docs is that file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import separatrix as sx
from separatrix.limitsets._assemble import versions
from separatrix.models import ConvAutoencoder, DenseAutoencoder, load_burgess_vae
from separatrix.testing import Fidelity, PlainEnds, basin_fidelity, plain_float64


@dataclass(frozen=True)
class Case:
    """One model with the starts it is judged on."""

    name: str
    field: sx.LatentField
    starts: Tensor
    plain: PlainEnds | None  # None: computed here


def fashion_case(data: Path, name: str) -> Case:
    """The Fashion-MNIST autoencoders, from the starts for which plain iteration is on file."""
    model: torch.nn.Module
    if name == "fc":
        model = DenseAutoencoder((1, 28, 28), 64)
    else:
        model = ConvAutoencoder((1, 28, 28), int(name.removeprefix("conv")), base_channels=32, stages=2)
    model.load_state_dict(load_file(data / f"weights/fashion_ae/{name}.safetensors"))
    plain = load_file(data / f"weights/fashion_ae/{name}_plain.safetensors")
    return Case(name, model.field(), plain["start"].float(), PlainEnds(plain["end"], plain["steps"]))


def burgess_case(data: Path, name: str, count: int = 1000) -> Case:
    """A Burgess VAE: from N(0, I) for dSprites, from encoded test images for MNIST."""
    field = load_burgess_vae(data / f"weights/burgess_vae/{name}.safetensors").field()
    if name.endswith("dsprites"):
        starts = sx.starts.gaussian(count, seed=0).block(field, 0, count)
    else:
        with np.load(data / "data/mnist.npz") as mnist:
            images = torch.from_numpy(mnist["x_test"][:count]).float().unsqueeze(1) / 255
        images = torch.nn.functional.interpolate(images, size=32, mode="bilinear", align_corners=False)
        starts = sx.starts.encoded(images).block(field, 0, count)
    return Case(name, field, starts, None)


def cases(data: Path, only: list[str]) -> Iterator[Case]:
    """All models of the table, or the ones named."""
    objectives = ("VAE", "betaH", "betaB", "btcvae", "factor")
    for name in ("conv2", "conv8", "conv32", "conv128", "fc"):
        if not only or name in only:
            yield fashion_case(data, name)
    for name in [f"{objective}_{images}" for images in ("dsprites", "mnist") for objective in objectives]:
        if not only or name in only:
            yield burgess_case(data, name)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    model: str
    latent: int
    starts: int
    attractors: int
    attractors_ten_times_tighter: int
    closed_curves: int
    cycles: int
    not_attracting: int
    unresolved: int
    largest_basin: float
    median_steps: float
    p95_steps: float
    largest_rho: float
    largest_residual: float
    fidelity: float
    compared: int
    evaluations_per_start: float
    plain_evaluations_per_start: float
    trivial: bool
    seconds: float


def compared(case: Case, limits: sx.LimitSets, count: int) -> tuple[PlainEnds, Fidelity]:
    """Plain iteration and the agreement with it, on the starts on file or on ``count`` evenly spaced ones."""
    if case.plain is not None:
        return case.plain, basin_fidelity(limits, case.plain)
    chosen = torch.linspace(0, len(case.starts) - 1, min(count, len(case.starts))).long()
    plain = plain_float64(case.field, case.starts[chosen])
    return plain, basin_fidelity(replace(limits, labels=limits.labels[chosen]), plain)


def measure(case: Case, count: int) -> Row:
    """Run one model; compare ``count`` starts with plain iteration where none is on file."""
    begin = time.perf_counter()
    limits = sx.find_attractors(case.field, case.starts)
    seconds = time.perf_counter() - begin
    tight = sx.find_attractors(case.field, case.starts, sx.Protocol().tightened(10))
    plain, fidelity = compared(case, limits, count)
    attractors = limits.attractors
    points = attractors[attractors.period > 0]
    steps = limits.orbits.steps[limits.labels >= 0].to(torch.float64)
    return Row(
        model=case.name,
        latent=case.field.latent_dim,
        starts=len(case.starts),
        attractors=len(attractors),
        attractors_ten_times_tighter=len(tight.attractors),
        closed_curves=len(limits.of_kind(sx.limitsets.Kind.CLOSED_CURVE)),
        cycles=len(limits.of_kind(sx.limitsets.Kind.CYCLE)),
        not_attracting=int((limits.stable != 1).sum()),
        unresolved=int((limits.labels < 0).sum()),
        largest_basin=float(limits.fractions.max()) if len(limits) else 0.0,
        median_steps=float(steps.median()) if len(steps) else float("nan"),
        p95_steps=float(steps.quantile(0.95)) if len(steps) else float("nan"),
        largest_rho=float(points.spectral_radius.max()) if len(points) else float("nan"),
        largest_residual=float(points.residual.max()) if len(points) else float("nan"),
        fidelity=fidelity.share,
        compared=fidelity.compared,
        evaluations_per_start=limits.cost.total / len(case.starts),
        plain_evaluations_per_start=float(torch.where(plain.steps < 0, 20_000, plain.steps + 1).double().mean()),
        trivial=sx.limitsets.triviality(limits).trivial,
        seconds=seconds,
    )


def markdown(rows: list[Row], machine: str) -> str:
    """The table as it stands in the docs."""
    lines = [
        f"Measured by `python benchmarks/real_models.py` ({machine}). The starts of the Fashion-MNIST models are those for",
        "which plain iteration is on file; dSprites models start from N(0, I), MNIST models from encoded test images.",
        "Fidelity: share of starts whose set is the one that plain float64 iteration ends on.",
        "",
        "| model | k | starts | attractors | 10× tighter | curves | unresolved | largest basin | steps median / p95 | "
        "max ρ | max residual | fidelity | evaluations per start (plain) |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        trivial = " (trivial)" if row.trivial else ""
        lines.append(
            f"| {row.model} | {row.latent} | {row.starts} | {row.attractors}{trivial} | "
            f"{row.attractors_ten_times_tighter} | {row.closed_curves} | {row.unresolved} | {row.largest_basin:.1%} | "
            f"{row.median_steps:.0f} / {row.p95_steps:.0f} | {row.largest_rho:.4f} | {row.largest_residual:.1e} | "
            f"{row.fidelity:.2%} of {row.compared} | {row.evaluations_per_start:.0f} "
            f"({row.plain_evaluations_per_start:.0f}) |"
        )
    return "\n".join(lines) + "\n"


def _on_file(path: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]] if path.exists() else []


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--compare", type=int, default=1000, help="starts of a VAE compared with plain iteration")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if "SEPARATRIX_DATA" not in os.environ:
        parser.error("set SEPARATRIX_DATA to the folder of real models and images")
    warnings.simplefilter("ignore", sx.errors.ConvergenceWarning)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    options.out.mkdir(parents=True, exist_ok=True)
    rows = _on_file(options.out / "real_models.json") if options.only else []
    for case in cases(Path(os.environ["SEPARATRIX_DATA"]), options.only):
        measured = measure(case, options.compare)
        rows = [row for row in rows if row.model != case.name] + [measured]
        print(markdown([measured], machine).splitlines()[-1], f"{measured.seconds:.0f} s", flush=True)
        # Written after every model: an interrupted run keeps what it has.
        record = {"machine": machine, "versions": versions(), "rows": [asdict(row) for row in rows]}
        (options.out / "real_models.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (options.out / "real_models.md").write_text(markdown(rows, machine), encoding="utf-8")


if __name__ == "__main__":
    main()
