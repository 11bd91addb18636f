"""What forecasts say against what searches took: evaluations, seconds, memory and disk.

    python benchmarks/plan.py [--only conv2:1000 …] [--again] [--out benchmarks/results]

needs $SEPARATRIX_DATA and the measured searches (`python benchmarks/measured_searches.py`). Every forecast is made in a process of its own, on one
thread, by the clock that the searches were measured with: processor time. Writes plan.json and plan.md; forecasts made earlier keep their rows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import measured_searches as measured
import torch
from omp import processor

from separatrix.limitsets import forecast
from separatrix.limitsets._assemble import versions

RECORD = "plan.json"
# what is foretold, and where it stands in a `Measured`
AMOUNTS = {"evaluations": "evaluations", "seconds": "seconds", "memory": "peak", "disk": "disk"}
INTERVALS = ("evaluations", "seconds")
SHORT = 2.0  # seconds: of searches that are over sooner, most of the time goes into what is loaded once
WORDS = {
    "evaluations": "evaluations",
    "seconds": f"seconds, searches of {SHORT:g} s and more",
    "memory": "memory",
    "disk": "disk",
}


def foretold(name: str, count: int, data: Path) -> dict[str, Any]:
    """The forecast of one search."""
    field, starts_of = measured.case(name, data)
    expected = forecast(field, starts_of(count), clock=time.process_time)
    return {
        "model": name,
        "starts": count,
        **{key: value for key, value in expected.to_dict().items() if key != "type"},
    }


def compared(plan: dict[str, Any], found: measured.Measured) -> dict[str, Any]:
    """One row: for each amount the measured number over the foretold one, and whether it lies in the interval."""
    expected = {
        "evaluations": plan["evaluations"]["expected"],
        "seconds": plan["seconds"]["expected"],
        "memory": plan["coordinator"],
        "disk": plan["result"],
    }
    ratios = {what: getattr(found, key) / expected[what] for what, key in AMOUNTS.items()}
    within = {what: plan[what]["low"] <= getattr(found, what) <= plan[what]["high"] for what in INTERVALS}
    shares = {"evaluations": plan["cost"] / found.evaluations, "seconds": plan["spent"] / found.seconds}
    return {"model": found.model, "starts": found.starts, "ratio": ratios, "within": within, "share": shares}


def summary(rows: list[dict[str, Any]], found: dict[str, measured.Measured]) -> dict[str, Any]:
    """The distribution of the ratios: geometric mean, the factor of one standard deviation, the extremes, and how many lie within."""
    result = {}
    for what in AMOUNTS:
        chosen = [row for row in rows if what != "seconds" or found[f"{row['model']}:{row['starts']}"].seconds >= SHORT]
        logs = [math.log(row["ratio"][what]) for row in chosen]
        mean = sum(logs) / len(logs)
        spread = math.sqrt(sum((one - mean) ** 2 for one in logs) / max(len(logs) - 1, 1))
        inside = [row["within"][what] for row in chosen] if what in INTERVALS else []
        result[what] = {
            "searches": len(logs),
            "mean": math.exp(mean),
            "factor": math.exp(spread),
            "least": math.exp(min(logs)),
            "largest": math.exp(max(logs)),
            "within": sum(inside),
        }
    return result


def page(record: dict[str, Any]) -> str:
    """The Markdown page."""
    lines = [
        "# What forecasts say against what searches took",
        "",
        f"`python benchmarks/plan.py`, {record['machine']}, one thread, torch {record['versions']['torch']}. Numbers are measured over foretold: above 1 "
        "the search took more. Seconds are processor time, on a machine whose other work makes the same search up to half as long again.",
        "",
        "| | searches | geometric mean | one standard deviation | from | to | within the 90 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, one in record["summary"].items():
        within = f"{one['within']} of {one['searches']}" if what in INTERVALS else ""
        lines.append(
            f"| {WORDS[what]} | {one['searches']} | {one['mean']:.2f} | × {one['factor']:.2f} | {one['least']:.2f} | {one['largest']:.2f} | {within} |"
        )
    lines += [
        "",
        "| model | starts | evaluations | × foretold | interval | seconds | × foretold | interval | memory, × | disk, × | looked at | share of the evaluations | open |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row, plan, found in record["rows"]:
        work, clock = plan["evaluations"], plan["seconds"]
        lines.append(
            f"| {row['model']} | {row['starts']:,} | {found['evaluations']:,.0f} | {row['ratio']['evaluations']:.2f} | "
            f"{work['low']:,.0f} to {work['high']:,.0f} | {found['seconds']:.1f} | {row['ratio']['seconds']:.2f} | {clock['low']:.1f} to {clock['high']:.1f} | "
            f"{row['ratio']['memory']:.2f} | {row['ratio']['disk']:.2f} | {plan['looked']:,} | {row['share']['evaluations']:.1%} | {plan['open']:.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Foretell, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="MODEL:STARTS")
    parser.add_argument("--again", action="store_true", help="foretell also what is on file")
    parser.add_argument("--here", action="store_true", help="foretell in this process and print the row as JSON")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if "SEPARATRIX_DATA" not in os.environ:
        parser.error("set SEPARATRIX_DATA to the folder of real models and images")
    found = measured.on_file(options.out)
    wanted = options.only or list(found)
    if options.here:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        name, count = wanted[0].rsplit(":", 1)
        print(json.dumps(foretold(name, int(count), Path(os.environ["SEPARATRIX_DATA"]))))
        return
    file = options.out / RECORD
    known = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    plans = {f"{plan['model']}:{plan['starts']}": plan for _, plan, _ in known}
    for each in wanted:
        if each in plans and not options.again:
            continue
        command = [sys.executable, __file__, "--here", "--only", each]
        plans[each] = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        )
        print(each, plans[each]["sentence"], flush=True)
        _write(options.out, plans, found)
    _write(options.out, plans, found)


def _write(folder: Path, plans: dict[str, dict[str, Any]], found: dict[str, measured.Measured]) -> None:
    rows = [(compared(plans[key], found[key]), plans[key], _numbers(found[key])) for key in found if key in plans]
    record = {
        "machine": f"{processor()}, {os.cpu_count()} cores, shared with other work",
        "versions": versions(),
        "summary": summary([row for row, _, _ in rows], found),
        "rows": rows,
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (folder / "plan.md").write_text(page(record), encoding="utf-8")


def _numbers(found: measured.Measured) -> dict[str, Any]:
    """Return a measured search without its orbits and rounds, which are in measured_searches.json."""
    return {key: value for key, value in vars(found).items() if key not in ("steps", "guessed", "rounds")}


if __name__ == "__main__":
    main()
