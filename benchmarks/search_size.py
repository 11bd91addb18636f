"""The size of a search: many attractors, a map that costs nothing, many starts, large latents.

    python benchmarks/search_size.py [--quick] [--out benchmarks/results]

Every row is measured in a process of its own, on one thread: processor seconds after a first small search (torch loads parts of
itself on first use), and the peak of the resident memory above what was resident before. Writes search_size.json and .md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from meters import spent
from omp import processor
from torch import Tensor

import separatrix as sx
from separatrix.limitsets._assemble import versions
from separatrix.numerics.counter_random import gaussian
from separatrix.starts import box

GRIDS = {"10³": (10, 10, 10), "3·10³": (15, 14, 14), "10⁴": (22, 22, 21)}
PER_ATTRACTOR = 4  # starts


@dataclass
class Row:
    """One search."""

    name: str
    starts: int
    latent: int
    sets: int
    missed: int  # sets that plain iteration reaches from these starts and the search does not know; -1: not compared
    evaluations_per_start: float
    seconds: float
    memory_mib: float


def wells(z: Tensor) -> Tensor:
    """Three coordinates fall to the nearest integer, the others to 0."""
    head, tail = z[:, :3], z[:, 3:]
    return torch.cat([head - 0.12 * torch.sin(2 * torch.pi * head), 0.5 * tail], dim=1)


def forks(z: Tensor) -> Tensor:
    """Two coordinates have two attractors each, the others fall to 0: four in all."""
    return torch.cat([torch.tanh(2 * z[:, :2]), 0.5 * z[:, 2:]], dim=1)


def recurrent(latent: int) -> Callable[[Tensor], Tensor]:
    """z ↦ tanh(Wz) with a random symmetric W: few attractors."""
    draw = torch.from_numpy(gaussian(seed=0, first=0, count=latent, width=latent))
    weight = 1.25 * (draw + draw.T) / (2 * latent) ** 0.5
    return lambda z: torch.tanh(z @ weight.T.to(z))


def measured(name: str, function: Callable[[Tensor], Tensor], starts: sx.starts.Starts, latent: int) -> Row:
    """One search, after a small one."""
    field = sx.LatentField.from_map(function, latent_shape=(latent,))
    sx.find_attractors(sx.LatentField.from_map(forks, latent_shape=(4,)), sx.starts.gaussian(40))
    with spent() as usage:
        limits = sx.find_attractors(field, starts)
    missed = -1
    if function is wells:
        reached = starts.block(field, 0, len(starts))[:, :3].round().unique(dim=0)
        known = {tuple(row) for row in limits.attractors.points[:, :3].round().tolist()}
        missed = sum(tuple(row) not in known for row in reached.tolist())
    evaluations = limits.cost.total / len(starts)
    return Row(name, len(starts), latent, len(limits), missed, evaluations, usage.processor, usage.memory_mib)


def search(name: str, quick: bool) -> Row:
    """The row of this name."""
    if name in GRIDS:
        grid, rest = GRIDS[name], 13
        low, high = [-0.49] * 3 + [-0.1] * rest, [wide - 0.51 for wide in grid] + [0.1] * rest
        count = PER_ATTRACTOR * grid[0] * grid[1] * grid[2]
        return measured(name, wells, box(count, low, high), 16)
    if name == "cheap map":
        return measured(name, recurrent(8), sx.starts.gaussian(10_000 if quick else 100_000), 8)
    if name == "many starts":
        return measured(name, forks, sx.starts.gaussian(10_000 if quick else 1_000_000), 64)
    return measured(name, forks, sx.starts.gaussian(20 if quick else 200), 65_536)


def markdown(record: dict[str, object]) -> str:
    """The table as it is committed."""
    rows = [Row(**row) for row in record["rows"]]  # type: ignore[attr-defined]
    lines = [
        f"Measured by `python benchmarks/search_size.py` ({record['machine']}, one thread, every search in a process of its own).",
        "The first three: a map of 10³ to 10⁴ attractors, four starts for each; missed: those that plain iteration reaches from these",
        "starts and the search does not know. Memory: the peak of what is resident above what was resident before.",
        "",
        "| search | starts | k | sets | missed | evaluations per start | seconds | ms per start | ms per set | memory |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.starts:,} | {row.latent:,} | {row.sets:,} | {'' if row.missed < 0 else row.missed} | "
        f"{row.evaluations_per_start:.1f} | {row.seconds:.1f} | {1000 * row.seconds / row.starts:.3f} | "
        f"{1000 * row.seconds / row.sets:.2f} | {row.memory_mib:.0f} MiB |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer starts, to see that it runs")
    parser.add_argument("--only", help="measure this search here and print its numbers as JSON")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if options.only:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        print(json.dumps(asdict(search(options.only, options.quick))))
        return
    names = [*list(GRIDS)[: 1 if options.quick else None], "cheap map", "many starts", "large latents"]
    rows = []
    for name in names:
        command = [sys.executable, __file__, "--only", name, *(["--quick"] if options.quick else [])]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(rows[-1], flush=True)
    record = {"machine": processor(), "versions": versions(), "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "search_size.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "search_size.md").write_text(markdown(record), encoding="utf-8")


if __name__ == "__main__":
    main()
