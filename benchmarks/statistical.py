"""Do statistical captures keep their bound? Forks that deceive whoever concludes from the way of others, many seeds each.

    python benchmarks/statistical.py [--seeds 20] [--out benchmarks/results]

The way of all orbits is one channel for a long time, then they part, a minority to one side: in one coordinate, in three at once (eight
attractors), behind a slow saddle, and in a coordinate in which starts differ by a thousandth of what they differ by in others. From each
start the answer is known. Per fork, minority and seed: one search of 4000 starts with ``max_wrong`` 1 % (374 orbits in the sample), and for a
fourth of the seeds one of 12,000 with 0.1 % (3744), for one in twenty of 30,000. A run is *beyond its bound* if more of the labels that were
given so are wrong than its result says; at 95 % confidence one run in twenty may be. Writes statistical.json and statistical.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binom
from torch import Tensor

import separatrix as sx
from separatrix.limitsets._assemble import versions

MINORITIES = (0.002, 0.005, 0.01, 0.03)
SIZES = ((4_000, 1e-2, 1), (12_000, 1e-3, 4), (30_000, 1e-3, 20))  # starts, max_wrong, of how many seeds one
_PULL = 0.2
_TINY = 1e-3


@dataclass(frozen=True)
class Fork:
    """A map of R⁵, starts in a box, and the side that each start goes to."""

    name: str
    function: Callable[[Tensor, float], Tensor]
    low: tuple[float, ...]
    high: tuple[float, ...]
    forked: tuple[int, ...]  # coordinates that part at their threshold
    unit: float = 1.0

    def threshold(self, minority: float) -> float:
        return self.unit * (2 * minority - 1)


def _well(y: Tensor, gate: Tensor, threshold: float) -> Tensor:
    d = y - threshold
    return y + _PULL * gate * d * (1 - d.square() / 4)


def _channel(coordinates: tuple[int, ...], unit: float = 1.0) -> Callable[[Tensor, float], Tensor]:
    def function(z: Tensor, minority: float) -> Tensor:
        s = z[:, :1]
        gate = torch.sigmoid((s - 0.9) / 0.01)
        columns = [s + 0.02 * (1 - s)]
        for index in range(1, 5):
            y = z[:, index : index + 1]
            columns.append(
                _well(y, gate, unit * (2 * minority - 1))
                if index in coordinates
                else 0.7 * y + 0.05 * torch.tanh(s * y)
            )
        return torch.cat(columns, dim=1)

    return function


def _behind_a_saddle(z: Tensor, minority: float) -> Tensor:
    """s leaves the saddle at 0 by a hundredth per step, and only beyond 0.9 does y choose."""
    s, y = z[:, :1], z[:, 1:2]
    gate = torch.sigmoid((s.abs() - 0.9) / 0.01)
    return torch.cat([s + 0.02 * s * (1 - s.square()), _well(y, gate, 2 * minority - 1), 0.7 * z[:, 2:]], dim=1)


FORKS = (
    Fork("one late fork", _channel((1,)), (0.0, -1.0, -0.5, -0.5, -0.5), (0.3, 1.0, 0.5, 0.5, 0.5), (1,)),
    Fork("three late forks", _channel((1, 2, 3)), (0.0, -1.0, -1.0, -1.0, -0.5), (0.3, 1.0, 1.0, 1.0, 0.5), (1, 2, 3)),
    Fork("behind a slow saddle", _behind_a_saddle, (0.02, -1.0, -0.5, -0.5, -0.5), (0.2, 1.0, 0.5, 0.5, 0.5), (1,)),
    Fork(
        "in a coordinate that hardly varies",
        _channel((4,), _TINY),
        (0.0, -0.5, -0.5, -0.5, -_TINY),
        (0.3, 0.5, 0.5, 0.5, _TINY),
        (4,),
        _TINY,
    ),
)


@dataclass(frozen=True)
class Run:
    """One search."""

    fork: str
    minority: float
    seed: int
    starts: int
    bound: float
    captured: int  # by the sample's leave; 0 where it gave none
    followed: int
    disagreements: int
    wrong: int  # of the captured
    wrong_otherwise: int  # labels that rest on certain captures, and are wrong
    lost: int  # attractors with a start of their own that were not found
    evaluations: float  # per start
    seconds: float


def measured(fork: Fork, minority: float, seed: int, starts: int, bound: float) -> Run:
    """Search, and compare each label with the side that its start lies on."""
    field = sx.LatentField.from_map(
        lambda z: fork.function(z, minority), latent_shape=5, dtype=torch.float64, name=fork.name
    )
    source = sx.starts.box(starts, fork.low, fork.high, seed=seed)
    began = time.process_time()
    found = sx.find_attractors(field, source, sx.Protocol(max_wrong=bound))
    seconds = time.process_time() - began
    side = source.block(field, 0, starts)[:, fork.forked] > fork.threshold(minority)
    reached = found.points[found.labels][:, fork.forked] > fork.threshold(minority)
    wrong = (side != reached).any(dim=1) | (found.labels < 0)
    sampled = ~found.orbits.followed
    sample = found.audit.statistical if found.audit else None
    return Run(
        fork=fork.name,
        minority=minority,
        seed=seed,
        starts=starts,
        bound=bound,
        captured=sample.captured if sample else 0,
        followed=sample.followed if sample else 0,
        disagreements=sample.disagreements if sample else 0,
        wrong=int((wrong & sampled).sum()),
        wrong_otherwise=int((wrong & ~sampled).sum()),
        lost=len(side.unique(dim=0)) - len(reached.unique(dim=0)),
        evaluations=found.cost.total / starts,
        seconds=seconds,
    )


def runs(seeds: int) -> Iterator[tuple[Fork, float, int, int, float]]:
    """All of them, the small ones first."""
    for starts, bound, every in SIZES:
        for fork in FORKS:
            for minority in MINORITIES:
                for seed in range(0, seeds, every):
                    yield fork, minority, seed, starts, bound


def page(record: dict[str, Any]) -> str:
    """The Markdown page."""
    rows = [Run(**run) for run in record["runs"]]
    beyond = [run for run in rows if run.wrong > run.bound * run.captured]
    used = [run for run in rows if run.captured]
    silent = [run for run in rows if run.lost and not run.captured]
    allowed = int(binom.ppf(0.975, len(used), 0.05))
    lines = [
        "# Do statistical captures keep their bound?",
        "",
        f"`python benchmarks/statistical.py`, torch {record['versions']['torch']}. Labels of starts whose side is known.",
        "",
        f"* Runs that used statistical captures: {len(used)} of {len(rows)}. Beyond their bound: {len(beyond)}, where 95 % confidence allows up to {allowed}.",
        f"* Wrong labels among the {sum(run.captured for run in rows):,} given by a sample: {sum(run.wrong for run in rows):,}; among all others: {sum(run.wrong_otherwise for run in rows):,}.",
        f"* Runs that lost an attractor: {sum(run.lost > 0 for run in rows)}, of which said nothing of a sample: {len(silent)}.",
        "",
        "| fork | minority | starts | bound | runs | used | captured, of all starts | wrong, of those captured | beyond the bound | attractors lost | evaluations per start |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((run.starts, run.bound, run.fork, run.minority) for run in rows)
    for starts, bound, fork, minority in keys:
        mine = [
            run for run in rows if (run.starts, run.bound, run.fork, run.minority) == (starts, bound, fork, minority)
        ]
        captured, wrong = sum(run.captured for run in mine), sum(run.wrong for run in mine)
        share = f"{wrong / captured:.3%}" if captured else "–"
        lines.append(
            f"| {fork} | {minority:.1%} | {starts:,} | {bound:.1%} | {len(mine)} | {sum(run.captured > 0 for run in mine)} | "
            f"{captured / (starts * len(mine)):.0%} | {share} | {sum(run.wrong > run.bound * run.captured for run in mine)} | "
            f"{sum(run.lost for run in mine)} | {sum(run.evaluations for run in mine) / len(mine):.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write after every run; what is known is not measured again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = options.out / "statistical.json"
    known = json.loads(table.read_text(encoding="utf-8"))["runs"] if table.exists() else []
    done = {(run["fork"], run["minority"], run["seed"], run["starts"]) for run in known}
    for fork, minority, seed, starts, bound in runs(options.seeds):
        if (fork.name, minority, seed, starts) in done:
            continue
        run = measured(fork, minority, seed, starts, bound)
        print(run, flush=True)
        known.append(asdict(run))
        record = {"versions": versions(), "runs": known}
        table.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (options.out / "statistical.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
