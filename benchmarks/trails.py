"""Capture on trails: how often is the fate wrong, and what does it save?

    python benchmarks/trails.py [--starts 1000] [--only conv2 fc …] [--out benchmarks/results]

needs $SEPARATRIX_DATA. Per model: a search without trails, whose labels are the reference, then searches with trails of several
widths, without the audit and so without its corrections. A start counts as wrong if its set lies more than 1e-6 of the spread from
the one that it had without trails. Writes trails.json and trails.md after every model; models measured earlier keep their rows.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from engine import further_starts
from omp import processor
from real_models import Case, cases
from torch import Tensor

import separatrix as sx
from separatrix.limitsets import trails
from separatrix.limitsets.assemble import versions

MODELS = ["conv2", "conv32", "conv128", "fc", "VAE_dsprites", "betaB_mnist"]
SHARES = (trails.SHARE, 4 * trails.SHARE)
NO_AUDIT = sx.Protocol(audit=0.0)


@dataclass
class Row:
    """One model, one width. ``wrong`` is out of those ``captured`` (in regions or on trails) or not: of all ``starts``."""

    model: str
    starts: int
    share: float
    evaluations_without: float
    evaluations: float
    attractors_without: int
    attractors: int
    wrong: int


def ends(limits: sx.LimitSets) -> Tensor:
    """``(n, k)``: first point of the set of each start; NaN where it has none."""
    points = limits.points.flatten(1).to(torch.float64)
    missing = torch.full((1, points.shape[1]), torch.nan, dtype=torch.float64)
    return torch.cat([points, missing])[limits.labels]


def measure(case: Case) -> list[Row]:
    """The rows of one model."""
    count = len(case.starts)
    without = sx.find_attractors(case.field, case.starts, NO_AUDIT)
    curve = without.kind == int(sx.Kind.CLOSED_CURVE)
    reference, rows = ends(without), []
    width = trails.SHARE
    for share in SHARES:
        try:
            trails.SHARE = share
            found = sx.find_attractors(case.field, case.starts, replace(NO_AUDIT, trails=True))
        finally:
            trails.SHARE = width
        apart = (ends(found) - reference).norm(dim=1)
        on_curve = [
            (limits.labels >= 0) & kinds[limits.labels]
            for limits, kinds in ((without, curve), (found, found.kind == int(sx.Kind.CLOSED_CURVE)))
        ]
        same = (apart <= 1e-6 * without.spread) | (on_curve[0] & on_curve[1])
        same |= (without.labels < 0) | (found.labels < 0)  # not ended within the budget: no fate to compare
        rows.append(
            Row(
                case.name,
                count,
                share,
                without.cost.total / count,
                found.cost.total / count,
                len(without.attractors),
                len(found.attractors),
                int((~same).sum()),
            )
        )
        print(rows[-1], flush=True)
    return rows


def markdown(rows: list[Row]) -> str:
    """The page as it is committed."""
    known = versions()
    lines = [
        f"Measured by `python benchmarks/trails.py`: {processor()}, {os.cpu_count()} cores, torch {known['torch']}. Searches without audit; "
        f"width: share of the clearance within which an orbit is on a trail ({trails.SHARE:g} is used). Wrong: another set than without trails.",
        "",
        "| model | starts | width | evaluations per start, without trails | with | ratio | attractors, without | with | wrong |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.model} | {row.starts} | {row.share:g} | {row.evaluations_without:.1f} | {row.evaluations:.1f} | "
        f"{row.evaluations / row.evaluations_without:.2f} | {row.attractors_without} | {row.attractors} | {row.wrong} |"
        for row in rows
    ]
    for share in SHARES:
        mine = [row for row in rows if row.share == share]
        lines += [
            "",
            f"Width {share:g}: {sum(row.wrong for row in mine)} of {sum(row.starts for row in mine):,} starts wrong.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=MODELS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if "SEPARATRIX_DATA" not in os.environ:
        parser.error("set SEPARATRIX_DATA to the folder of real models and images")
    warnings.simplefilter("ignore", sx.errors.ConvergenceWarning)
    data, file = Path(os.environ["SEPARATRIX_DATA"]), options.out / "trails.json"
    for case in cases(data, options.only):
        case = further_starts(case, data, options.starts)
        case = replace(case, starts=case.starts[: options.starts])
        fresh = measure(case)
        old = [Row(**row) for row in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []
        rows = [row for row in old if row.model != case.name] + fresh
        file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
        (options.out / "trails.md").write_text(markdown(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
