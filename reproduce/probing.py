"""Data-free probing of TAEF2, the ten Burgess VAEs and the five Fashion-MNIST autoencoders, with every control.

    SEPARATRIX_DATA=... python reproduce/probing.py [--only taef2 ...] [--coded 100] [--draws 6] [--side 32] [--device cpu]

As many draws from N(0, I) as the latent has dimensions are iterated and taken as a dictionary (Fumero et al., ICLR 2026, section
on data-free probing). TAEF2 does not converge: 100 steps, and the end points are the atoms. The others have few dimensions,
so that another draw of the noise is another dictionary: errors are averaged over several draws. What is done is kept in --work,
so an interrupted run goes on. Writes probing.json, probing.md and the figures.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from devices import available
from matplotlib.figure import Figure
from probing_inputs import LARGE, SMALL, Source, taef2
from probing_orbits import SNAPSHOTS, noise_orbits
from probing_page import page

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.models import untrained_copy
from separatrix.plots import contact_sheet, probe_atoms, probe_grid, probe_overview, probe_reconstructions
from separatrix.studies import Probe, Role, appearance, data_free_dictionaries, pooled
from separatrix.studies._probing.data_free import DataFreeDictionaries
from separatrix.studies._probing.summary import probe_summary
from separatrix.words import jsonable

MOST_STEPS = 3000  # of the small models; some have orbits that never settle
LARGE_STEPS = 100
PICTURED = {
    "taef2 ImageNet": "probing_taef2",
    "VAE_mnist MNIST": "probing_VAE_mnist",
    "conv32 FashionMNIST": "probing_conv32",
}

SHEETS = ("taef2", "VAE_mnist", "conv128")


def small_cells(name: str, options: argparse.Namespace, cells: Cells) -> None:
    """All data sets of one small model: a search per draw, shared by the sets."""
    build, sources = SMALL[name]
    field = build().to(device=options.device)
    pairs = {data: source(options.coded, 1000) for data, source in sources.items()}
    probes: dict[str, list[Probe]] = {data: [] for data in sources}
    counts = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for draw in range(options.draws):
            starts = sx.starts.gaussian(field.latent_dim, seed=draw)
            limits = sx.find_attractors(field, starts, sx.Protocol(max_steps=MOST_STEPS))
            base = data_free_dictionaries(field, limits, seed=draw)
            if draw == 0:
                cells.look(name, field, limits, starts)
            counts.append({"attractors": len(limits.attractors), "reached": int((limits.labels >= 0).sum())})
            for data, pair in pairs.items():
                probes[data].append(sx.probe(field, base, pair.coded, reference=pair.reference, name=data, seed=draw))
    for data, found in probes.items():
        shares = {
            f"{space} against {control}": [probe.against(control, space).share for probe in found]
            for space in ("latent", "image")
            for control in (Role.ORTHONORMAL, Role.ONCE)
        }
        ranks = {
            known.name: sum(p.dictionaries[i].geometry.effective_rank for p in found) / len(found)
            for i, known in enumerate(found[0].dictionaries)
        }
        more = {"draws": counts, "shares_by_draw": shares, "effective_rank": ranks, "dimension": field.latent_dim}
        cells(name, data, pooled(found), field, more)


def large_dictionaries(
    field: sx.LatentField, options: argparse.Namespace, cells: Cells
) -> tuple[DataFreeDictionaries, dict[str, Any]]:
    """End points of both copies, and of the trained one after a few steps."""
    starts = sx.starts.gaussian(field.latent_dim, seed=0)
    place = options.work / f"taef2_{options.side}"
    trained = noise_orbits(field, starts, LARGE_STEPS, place / "trained")
    fresh = noise_orbits(untrained_copy(field, 0), starts, LARGE_STEPS, place / "untrained")
    cells.look("taef2", field, trained.orbits, starts)
    base = data_free_dictionaries(field, trained.orbits, starts=starts, untrained=fresh.orbits)
    for column, steps in enumerate(SNAPSHOTS):
        base = base.also(f"after {steps} steps", trained.snapshots[:, column], f"f applied {steps} times")
    statuses = {
        key: {status.name: count for status, count in orbits.counts.items()}
        for key, orbits in (("trained", trained.orbits), ("untrained", fresh.orbits))
    }
    ranks = {known.name: known.geometry.effective_rank for known in base.dictionaries}
    return base, {"statuses": statuses, "effective_rank": ranks, "dimension": field.latent_dim}


class Cells:
    """What is known so far, one JSON file per model and data set."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder, self.out = folder / "cells", out
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, model: str, data: str, found: Probe, field: sx.LatentField, more: dict[str, Any]) -> None:
        """Keep one probe, and its pictures where they are wanted."""
        record = rounded(jsonable({"model": model, **probe_summary(found), **more}))
        if figure := PICTURED.get(f"{model} {data}"):
            title = f"{model}, {data}"
            self.save(probe_atoms(found, field, title=f"What the atoms look like: {title}"), f"{figure}_atoms")
            self.save(probe_reconstructions(found, field, title=f"Coded and decoded: {title}"), f"{figure}_coded")
        self.path(model, data).write_text(json.dumps(record), encoding="utf-8")
        print(f"{model}, {data}: {found.statement}", flush=True)

    def look(
        self, model: str, field: sx.LatentField, found: sx.LimitSets | sx.Orbits, starts: sx.starts.Starts
    ) -> None:
        """Keep what decoded noise attractors look like, once per model."""
        seen = appearance(field, found, starts=starts)
        record = {
            "what": seen.what,
            "count": len(seen),
            "share": float(seen.looks_like_an_image.double().mean()),
            "start_share": seen.start_share,
            "structure": float(seen.structure.median()),
            "start_structure": float(seen.start_structure.median()),
            "sentence": str(seen.statement),
        }
        if model in SHEETS:
            self.save(
                contact_sheet(seen, title=f"Where noise ends in {model}: decoded {seen.what}"), f"probing_{model}_sheet"
            )
        self.path(model, "appearance").write_text(json.dumps(rounded(jsonable(record))), encoding="utf-8")

    def path(self, model: str, data: str) -> Path:
        """Where a cell is kept."""
        return self.folder / f"{model} {data}.json"

    def read(self, model: str, data: str) -> dict[str, Any] | None:
        """A cell, or None."""
        path = self.path(model, data)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def save(self, figure: Figure, name: str) -> None:
        """A picture among the results."""
        self.out.mkdir(parents=True, exist_ok=True)
        figure.savefig(self.out / f"{name}.png", dpi=120)


def rounded(value: Any) -> Any:
    """Six significant digits, so that the file stays small and the same on machines that round differently."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


def computed(options: argparse.Namespace, cells: Cells) -> None:
    """Every cell that is not there yet."""
    wanted = set(options.only)
    for name, (_, sources) in SMALL.items():
        if wanted & {name, "small"} and any(cells.read(name, data) is None for data in sources):
            small_cells(name, options, cells)
    large: dict[str, Source] = LARGE if "taef2" in wanted else {}
    missing = [data for data in large if cells.read("taef2", data) is None]
    if not missing and (not large or cells.read("taef2", "appearance") is not None):
        return
    field = taef2(options.side).to(device=options.device)
    base, more = large_dictionaries(field, options, cells)
    for data in missing:
        pair = large[data](options.coded, field.latent_dim)
        cells("taef2", data, sx.probe(field, base, pair.coded, reference=pair.reference, name=data), field, more)


def drawn(cells: Cells, rows: dict[str, dict[str, Any]]) -> None:
    """All figures that need nothing but the cells."""

    def columns(names: list[tuple[str, str, str]]) -> dict[str, dict[str, Any]]:
        return {title: rows[f"{model} {data}"] for title, model, data in names if f"{model} {data}" in rows}

    plans = {
        "probing_taef2": (
            "TAEF2 at 32 px: noise attractors as a dictionary",
            [(data, "taef2", data) for data in LARGE],
        ),
        "probing_burgess_mnist": (
            "Burgess VAEs of MNIST, coding MNIST",
            [(name, name, "MNIST") for name in SMALL if name.endswith("_mnist")],
        ),
        "probing_burgess_dsprites": (
            "Burgess VAEs of dSprites, coding sprites",
            [(name, name, "sprites") for name in SMALL if name.endswith("_dsprites")],
        ),
        "probing_fashion": (
            "Fashion-MNIST autoencoders, coding Fashion-MNIST",
            [(name, name, "FashionMNIST") for name in ("conv2", "conv8", "conv32", "conv128", "fc")],
        ),
    }
    for figure, (title, names) in plans.items():
        if chosen := columns(names):
            cells.save(probe_grid(chosen, title=title), figure)
    if rows:
        controls = (Role.ORTHONORMAL, Role.ONCE, Role.NOISE, Role.UNTRAINED)
        cells.save(probe_overview(rows, controls=controls, title="What iterating gains"), "probing_overview")


def main() -> None:
    """Compute what is missing, then write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        nargs="+",
        default=["taef2", "small"],
        choices=("taef2", "small", *SMALL),
        help="some models; the page has what is known so far",
    )
    parser.add_argument("--coded", type=int, default=100, help="images coded per data set")
    parser.add_argument("--draws", type=int, default=6, help="draws of the noise for the small models")
    parser.add_argument("--side", type=int, default=32, help="pixels of TAEF2's images")
    parser.add_argument("--device", type=available, default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/probing"), help="what is done so far")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells = Cells(options.work, options.out)
    computed(options, cells)
    rows = {}
    for model, sources in (*((name, entry[1]) for name, entry in SMALL.items()), ("taef2", LARGE)):
        for data in sources:
            if (found := cells.read(model, data)) is not None:
                rows[f"{model} {data}"] = found
    looks = {model: found for model in (*SMALL, "taef2") if (found := cells.read(model, "appearance")) is not None}
    where = f" --device {options.device}" if options.device.type != "cpu" else ""
    command = (
        f"python reproduce/probing.py --coded {options.coded} --draws {options.draws} --side {options.side}{where}"
    )
    record = {
        "command": command,
        "torch": torch.__version__,
        "rows": rows,
        "appearance": looks,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "probing.json").write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")
    (options.out / "probing.md").write_text(page(record), encoding="utf-8")
    drawn(cells, rows)


if __name__ == "__main__":
    main()
