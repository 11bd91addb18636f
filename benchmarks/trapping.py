"""How much evidence it takes: escapes among accepted points for several rules, and how long each makes an orbit wait.

    python benchmarks/trapping.py [--systems 400] [--out benchmarks/results]

f(a + d) = a + Jd + bend·(random quadratic in d), with J of spectral radius ρ and a strictly triangular part ``shear`` times
its diagonal, in 1 to 6 dimensions. 400 points at distances 1e-9 to 3 start near each a; far out, orbits escape. A point that is
accepted (`separatrix.limitsets._approach`) and does not converge to a afterwards is an error. Writes trapping.json and .md.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from separatrix.limitsets._approach import Approach
from separatrix.limitsets._assemble import versions
from separatrix.limitsets._regions import StepNorms, TrappingRegions
from separatrix.protocol import Capturing

POINTS, STEPS = 400, 400
NEVER = 2**62  # steps
RULES = {
    "three good steps": Capturing(fall=math.ulp(0.0), firm_in_a_row=NEVER),
    "three good steps and a tenfold fall": Capturing(firm_in_a_row=NEVER),
    "the same, or 3 steps linear by a margin": Capturing(firm_in_a_row=3),
    "the same, or 8 steps linear by a margin": Capturing(firm_in_a_row=8),
    "the same, or 16 steps linear by a margin (used)": Capturing(),
}


@dataclass
class Counts:
    """Over all systems, for one rule."""

    rule: str
    accepted: int = 0
    escaped: int = 0
    systems_with_escapes: int = 0
    median_wait: float = 0.0  # steps from the start to acceptance
    mean_wait: float = 0.0


class QuadraticMap:
    """One random system, drawn from its seed."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.k = int(rng.integers(1, 7))
        self.radius, self.shear, self.bend = rng.uniform(0.05, 0.98), rng.uniform(0, 2), rng.uniform(0, 30)
        k = self.k
        triangle = np.triu(rng.standard_normal((k, k)), 1) * self.shear
        triangle += np.diag(self.radius * np.tanh(rng.standard_normal(k)))
        triangle[0, 0] = self.radius
        turn = np.linalg.qr(rng.standard_normal((k, k)))[0]
        self.jacobian = torch.from_numpy(turn @ triangle @ turn.T)
        self.centre = torch.from_numpy(rng.standard_normal(k))
        self.curved = torch.from_numpy(rng.standard_normal((k, k, k)))
        directions = torch.nn.functional.normalize(torch.from_numpy(rng.standard_normal((POINTS, k))), dim=1)
        self.starts = self.centre + torch.logspace(-9, 0.5, POINTS, dtype=torch.float64)[:, None] * directions

    def __call__(self, z: Tensor) -> Tensor:
        d = z - self.centre
        return self.centre + d @ self.jacobian.T + self.bend * torch.einsum("ijk,nj,nk->ni", self.curved, d, d)

    def regions(self, rules: Capturing) -> TrappingRegions:
        """Around the centre, with the unit of length as the spread."""
        centre = self.centre[None]
        radius = torch.linalg.eigvals(self.jacobian).abs().max()[None]
        norms = StepNorms.of(self.jacobian[None, None], radius)
        return TrappingRegions.around(centre, norms, torch.full_like(radius, torch.inf), 1.0, rules=rules)

    def escapes(self, z: Tensor) -> int:
        """How many of the points do not converge to the centre."""
        for _ in range(int(30 / (1 - self.radius)) + 20):
            z = self(z)
        return int((~((z - self.centre).norm(dim=1) < 1e-5)).sum())


def accepted(system: QuadraticMap, rules: Capturing) -> tuple[Tensor, Tensor, Tensor]:
    """Which starts are accepted within STEPS steps, where they are then, and after how many steps."""
    regions, z = system.regions(rules), system.starts
    evidence, orbit = Approach.none(len(z), z.device), torch.arange(len(z))
    done, ends, wait = torch.zeros(len(z), dtype=torch.bool), z.clone(), torch.zeros(len(z), dtype=torch.int64)
    for step in range(1, STEPS + 1):
        image = system(z)
        now = evidence.see(regions, orbit, z, image)
        fresh = now & ~done
        ends[fresh], wait[fresh] = image[fresh], step
        done |= now
        z = image
        if bool((done | ~z.isfinite().all(dim=1)).all()):
            break
    return done, ends[done], wait[done]


def measure(systems: int) -> list[Counts]:
    """All rules on the same systems and starts."""
    table = []
    for rule, rules in RULES.items():
        counts, waits = Counts(rule), []
        for seed in range(systems):
            system = QuadraticMap(seed)
            done, ends, wait = accepted(system, rules)
            lost = system.escapes(ends)
            counts.accepted += int(done.sum())
            counts.escaped += lost
            counts.systems_with_escapes += lost > 0
            waits += wait.tolist()
        counts.median_wait, counts.mean_wait = statistics.median(waits), statistics.fmean(waits)
        table.append(counts)
    return table


def markdown(table: list[Counts], systems: int) -> str:
    """The table as it is committed."""
    lines = [
        f"Measured by `python benchmarks/trapping.py`: {systems} random quadratic maps in 1 to 6 dimensions, ρ 0.05–0.98, shear "
        f"0–2, bend 0–30, {POINTS} starts each, seeds 0 to {systems - 1}.",
        "",
        "| rule | accepted | of them escape | systems with an escape | median steps to acceptance | mean |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.rule} | {c.accepted:,} | {c.escaped:,} | {c.systems_with_escapes} | {c.median_wait:g} | {c.mean_wait:.1f} |"
        for c in table
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", type=int, default=1200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    table = measure(options.systems)
    text = markdown(table, options.systems)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    record = {"systems": options.systems, "versions": versions(), "rules": [asdict(counts) for counts in table]}
    (options.out / "trapping.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "trapping.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
