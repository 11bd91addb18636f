"""What the rounds' barriers cost at 1, 10, 100 and 1000 workers, simulated from measured orbits and times.

    python benchmarks/barriers.py [--validate] [--quick] [--out benchmarks/results]

Reads measured_searches.json. With --validate it first compares the simulation with real searches: one process, at another number of starts than its times
were fitted to, and 1, 2 and 4 worker processes with a model that sleeps, so that the other work of the machine does not count.
Writes barriers.json, barriers.md and barriers.png.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from barrier_simulation import Cluster, Outcome, Steps, Times, fitted, simulated, without_accidents
from measured_searches import Measured, on_file
from omp import processor
from rounds import traced
from torch import Tensor

import separatrix as sx
from separatrix.engines import Processes, using
from separatrix.limitsets._assemble import versions
from separatrix.limitsets._ledger import Ledger
from separatrix.limitsets._parts import _SENT, Part
from separatrix.limitsets._statistical import sample_size
from separatrix.orbits._pool import Rows
from separatrix.protocol import DEFAULT
from separatrix.storage import from_bytes, to_bytes

WORKERS = (1, 10, 100, 1000)
STARTS = 1_000_000
MODELS = ("conv2:10000", "demo:10000", "slow passage:1000")  # whose orbits end soon, later, and some very late
NETWORK = 1 / 1.25e9  # seconds per byte at 10 Gbit/s
FOUNDATION = 10e-3  # seconds of an evaluation of a model that takes a GPU
WIDE = 2**20  # orbits under way at once, in the wide rounds
VALIDATED = (
    ("conv2:1000", "conv2:10000"),
    ("demo:1000", "demo:10000"),
    ("late fork:1000", "late fork:30000"),
)  # fitted to the first, compared with the second
SLEEP, SLEEPERS, SLEEPING_WORKERS, WARM = 400e-6, 3000, (1, 2, 4), 2100
CERTAIN = DEFAULT.statistics.recorded + sample_size(DEFAULT.max_wrong)  # orbits before a search guesses
BILLION = "demo:10000"  # whose steps the calculation for 10⁹ starts takes
Row = dict[str, Any]


def steps_of(found: Measured, count: int, seed: int = 0) -> Steps:
    """So many orbits with the steps of the measured ones, in the order of their admission."""
    share = np.random.default_rng(seed).random(count)
    first, later = (np.array(known) for known in (found.steps, found.guessed or found.steps))
    certain = min(count, CERTAIN)
    drawn = [
        known[(part * len(known)).astype(int)] for known, part in ((first, share[:certain]), (later, share[certain:]))
    ]
    return np.concatenate(drawn)


def sending(latent: int) -> tuple[float, float, int]:
    """Seconds per part and per byte to pack a part and to unpack what comes back, and the bytes of a row there and back."""
    seconds, sizes = [], (64, 1024)
    lengths = []
    for rows in sizes:
        z = torch.zeros(rows, latent)
        index = torch.arange(rows)
        part = Part(False, index, Rows.fresh(index, z, sx.Protocol()), torch.zeros(rows, dtype=torch.bool))
        best = []
        for _ in range(9):
            begin = time.perf_counter()
            content = to_bytes(part, _SENT)
            from_bytes(content, _SENT)
            best.append(time.perf_counter() - begin)
        seconds.append(min(best))
        lengths.append(len(content))
    byte = max(seconds[1] - seconds[0], 0.0) / (lengths[1] - lengths[0])
    return max(seconds[0] - byte * lengths[0], 1e-5), byte, 2 * lengths[1] // sizes[1]


def times_of(found: Measured, evaluation: float | None = None) -> Times:
    """Times of a model on one core; of a heavier one if an ``evaluation`` takes so long."""
    sent, byte, row_bytes = sending(found.latent)
    times = fitted(found.trace(), sent, byte + NETWORK, row_bytes)
    return times if evaluation is None else replace(times, row=evaluation, fine_row=2 * evaluation)


# -- what is compared ------------------------------------------------------------------------------------------------------

NARROW = {"parts": 2000, "least_in_a_part": 32}  # a thousand workers have two parts each
BEST = {"rules": replace(DEFAULT.rounds, most_under_way=WIDE, **NARROW)}
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "1,048,576 orbits under way at once": {"rules": replace(DEFAULT.rounds, most_under_way=WIDE)},
    "parts from 32 rows on": {"rules": replace(DEFAULT.rounds, **NARROW)},
    "both": BEST,
    "both, slow parts given again after 1.5 times the median": {**BEST, "cluster": {"reissue": 1.5}},
    "both, slow parts never given again": {**BEST, "cluster": {"reissue": 0.0}},
    "both, given again after 1.5 times, and nobody is ended": {**BEST, "cluster": {"reissue": 1.5, "restart": 0.0}},
    "both, settling beside the steps": {**BEST, "cluster": {"overlap": True}},
    "both, and nothing ever goes wrong": {**BEST, "cluster": {"slow": 0.0, "jitter": 0.0, "lost": 0.0}},
}


def rows(quick: bool, found: dict[str, Measured]) -> list[Row]:
    """All that is simulated."""
    result = []
    for key in MODELS:
        steps = steps_of(found[key], STARTS // (50 if quick else 1))
        for words, evaluation in (("measured", None), ("10 ms", FOUNDATION)):
            times = times_of(found[key], evaluation)
            for name, told in VARIANTS.items():
                options = {one: value for one, value in told.items() if one != "cluster"}
                for workers in WORKERS:
                    cluster = Cluster(workers, **told.get("cluster", {}))
                    seen = simulated(steps, times, cluster, **options)
                    result.append({"model": key.split(":")[0], "evaluation": words, "variant": name} | _numbers(seen))
    return result


def larger(found: dict[str, Measured]) -> list[Row]:
    """Ten times as many starts in a search, and how much of the workers' time is then used."""
    steps = steps_of(found[BILLION], 10 * STARTS)
    times = times_of(found[BILLION], FOUNDATION)
    return [
        {"variant": name, "starts": len(steps)}
        | _numbers(simulated(steps, times, Cluster(WORKERS[-1]), **VARIANTS[name]))
        for name in ("as it is", "both")
    ]


def on_paper(found: dict[str, Measured]) -> Row:
    """10⁹ starts on 1000 GPUs: what each part of the machinery has to carry.

    An orbit makes the mean steps of the measured ones; an evaluation takes 10 ms; latents have 32 numbers in float32.
    """
    starts, workers, latent = 10**9, WORKERS[-1], 32
    times, measured = times_of(found[BILLION], FOUNDATION), found[BILLION]
    mean = float(np.mean(measured.guessed))
    wide = torch.zeros(1, latent, dtype=torch.float64)
    blank = Ledger.blank(1, wide)
    columns = [*vars(blank).values(), *vars(blank.ends).values()]
    ledger = sum(column.nbytes for column in columns if isinstance(column, Tensor))
    _, byte, row_bytes = sending(latent)
    settle = times.joined + times.ended
    rounds = mean / DEFAULT.rounds.steps + 1  # in which an orbit takes part, as its steps and one more end it
    return {
        "starts": starts,
        "workers": workers,
        "latent": latent,
        "steps": mean,
        "evaluations": starts * mean,
        "days": starts * mean * FOUNDATION / workers / 86_400,
        "ledger_bytes": ledger,
        "ledger_gb": starts * ledger / 1e9,
        "row_bytes": row_bytes,
        "traffic_tb": starts * rounds * row_bytes / 1e12,
        "traffic_hours": starts * rounds * row_bytes * NETWORK / 3600,
        "packing_hours": starts * rounds * row_bytes * byte / 3600,
        "coordinator_us": 1e6 * settle,
        "coordinator_hours": starts * settle / 3600,
        "result_bytes": 4 * latent + 49,
        "result_gb": starts * (4 * latent + 49) / 1e9,
        "shard": STARTS,
        "shards": starts // STARTS,
        "shard_ledger_gb": STARTS * ledger / 1e9,
        "shard_sample": CERTAIN,
    }


def _numbers(seen: Outcome) -> Row:
    there = seen.seconds * seen.workers
    return {
        "workers": seen.workers,
        "seconds": seen.seconds,
        "efficiency": seen.efficiency,
        "waited": seen.waited / there,
        "alone": seen.alone / there,
        "rounds": seen.rounds,
        "parts": seen.parts,
        "largest_mb": seen.largest / 1e6,
    }


# -- validation ------------------------------------------------------------------------------------------------------------


def one_process(found: dict[str, Measured]) -> list[Row]:
    """Real searches of one process, and their simulation with times that were fitted to a search of another size."""
    result = []
    for fitted_to, compared in VALIDATED:
        if not {fitted_to, compared} <= found.keys():
            continue
        times = fitted(found[fitted_to].trace(), 0.0, 0.0, 0)
        real, seen = (
            found[compared],
            simulated(steps_of(found[compared], found[compared].starts), times, without_accidents(Cluster(1))),
        )
        taken = sum(
            one.step_seconds + one.fine_seconds + one.joining_seconds + one.settle_seconds for one in real.trace()
        )
        result.append(
            {"search": compared, "fitted_to": fitted_to, "workers": 1, "rounds": len(real.rounds), "simulated_rounds": seen.rounds,
             "seconds": taken, "simulated": seen.seconds}
        )  # fmt: skip
    return result


def sleepy(z: Tensor) -> Tensor:
    """z ↦ z + (tanh 2z − z)/5, at so many seconds per row in which nothing is computed."""
    time.sleep(SLEEP * len(z))
    return z + 0.2 * (torch.tanh(2 * z) - z)


def processes() -> list[Row]:
    """Real searches with worker processes and a model that sleeps, and their simulation with times fitted to one process."""
    field = sx.LatentField.from_map(sleepy, latent_shape=(8,))
    starts = sx.starts.gaussian(SLEEPERS, seed=0)
    rules = sx.Protocol(max_wrong=0.0)
    sx.find_attractors(field, starts[:40], rules)
    with traced(time.perf_counter) as trace:
        begin = time.perf_counter()
        limits = sx.find_attractors(field, starts, rules)
        alone = time.perf_counter() - begin
    sent, byte, row_bytes = sending(8)
    times = fitted(trace.rounds, sent, byte, row_bytes)
    steps = limits.orbits.steps.numpy()
    result = []
    for workers in SLEEPING_WORKERS:
        seconds, restart = alone, 0.0
        if workers > 1:
            with using(Processes(workers)) as engine:
                begin = time.perf_counter()
                list(engine.map(pow, list(range(2 * workers)), 2))  # all are there …
                restart = time.perf_counter() - begin
                sx.find_attractors(
                    field, starts[:WARM], sx.Protocol(max_steps=2, capture=False)
                )  # … and have the model
                begin = time.perf_counter()
                again = sx.find_attractors(field, starts, rules)
                seconds = time.perf_counter() - begin
            assert bool((again.labels == limits.labels).all())
        seen = simulated(steps, times, without_accidents(Cluster(workers, restart=restart)), guessed=False)
        result.append(
            {"search": f"sleeping model:{SLEEPERS}", "fitted_to": "the same, one process", "workers": workers, "rounds": len(trace.rounds),
             "simulated_rounds": seen.rounds, "seconds": seconds, "simulated": seen.seconds}
        )  # fmt: skip
        print(result[-1], flush=True)
    return result


# -- pages -----------------------------------------------------------------------------------------------------------------


def page(record: Row) -> str:
    """The Markdown page."""
    lines = [
        "# What the barriers of rounds cost",
        "",
        f"`python benchmarks/barriers.py`, {record['machine']}. A search of {STARTS:,} starts, simulated event by event (`barrier_simulation.py`): orbits make the "
        "steps of measured ones, times are those of measured rounds on one core, or 10 ms for an evaluation, as of a model that takes a GPU. Unless something "
        f"else is said, the time of a part varies by {Cluster(1).jitter:.0%}, {Cluster(1).slow:.0%} of the parts take {Cluster(1).times:g} times as long, a worker is lost every "
        f"{1 / Cluster(1).lost:.0f} hours and is back after {Cluster(1).again:.0f} s, a part that takes {Cluster(1).reissue:g} times the median is given again, and bytes take 10 Gbit/s. "
        "Efficiency: the work of one worker that never waits, over all that the workers were there for.",
        "",
        "## The simulation against real searches",
        "",
        "| search | workers | times fitted to | rounds, real | simulated | seconds, real | simulated | real / simulated |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['search']} | {row['workers']} | {row['fitted_to']} | {row['rounds']} | {row['simulated_rounds']} | {row['seconds']:.1f} | "
        f"{row['simulated']:.1f} | {row['seconds'] / row['simulated']:.2f} |"
        for row in record["validation"]
    ]
    for model in dict.fromkeys(row["model"] for row in record["rows"]):
        for evaluation in ("measured", "10 ms"):
            chosen = [row for row in record["rows"] if (row["model"], row["evaluation"]) == (model, evaluation)]
            heads = " | ".join(f"{workers:,} workers" for workers in WORKERS)
            lines += [
                "",
                f"## {model}, an evaluation takes {'what it took' if evaluation == 'measured' else evaluation}",
                "",
            ]
            lines += [
                f"| efficiency | {heads} | waiting at {WORKERS[-1]:,} | coordinator alone at {WORKERS[-1]:,} | time at {WORKERS[-1]:,} | rounds |",
                "|---" * (len(WORKERS) + 5) + "|",
            ]
            for name in dict.fromkeys(row["variant"] for row in chosen):
                these = {row["workers"]: row for row in chosen if row["variant"] == name}
                last = these[WORKERS[-1]]
                shares = " | ".join(f"{these[workers]['efficiency']:.1%}" for workers in WORKERS)
                lines.append(
                    f"| {name} | {shares} | {last['waited']:.0%} | {last['alone']:.0%} | {last['seconds']:,.0f} s | {last['rounds']:,} |"
                )
    return "\n".join(lines) + "\n"


def figure(record: Row, path: Path) -> None:
    """Efficiency by workers, for each model as it is and with wide rounds."""
    drawn, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, evaluation in zip(axes, ("measured", "10 ms"), strict=True):
        for number, model in enumerate(dict.fromkeys(row["model"] for row in record["rows"])):
            for style, name in (
                ("--", "as it is"),
                ("-", "both"),
                (":", "both, settling beside the steps"),
            ):
                line = [
                    row for row in record["rows"]
                    if (row["model"], row["evaluation"], row["variant"]) == (model, evaluation, name)
                ]  # fmt: skip
                label = model if name == "both" else None
                shares = [row["efficiency"] for row in line]
                axis.plot(
                    [row["workers"] for row in line], shares, style, marker="o", ms=3, color=f"C{number}", label=label
                )
        axis.set(xscale="log", xlabel="workers", ylim=(0, 1), title=f"evaluation: {evaluation}")
    axes[0].set_ylabel("efficiency")
    axes[0].plot([], [], "k--", label="as it is")
    axes[0].plot([], [], "k-", label="--parts 2000 --under-way 1048576")
    axes[0].plot([], [], "k:", label="both, settling beside the steps")
    axes[0].legend(fontsize=7, frameon=False)
    drawn.tight_layout()
    drawn.savefig(path, dpi=110)


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--validate", action="store_true", help="run real searches with a model that sleeps")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the starts, to see that it runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = on_file(Path(__file__).parent / "results")
    file = options.out / "barriers.json"
    before = json.loads(file.read_text(encoding="utf-8"))["validation"] if file.exists() else []
    sleeping = processes() if options.validate else [row for row in before if row["search"].startswith("sleeping")]
    record = {
        "machine": f"{processor()}, {os.cpu_count()} cores, shared with other work",
        "versions": versions(),
        "protocol": asdict(DEFAULT.rounds),
        "wide": WIDE,
        "times": {key: asdict(times_of(found[key])) for key in MODELS},
        "validation": one_process(found) + sleeping,
        "rows": rows(options.quick, found),
        "larger": [] if options.quick else larger(found),
        "on_paper": on_paper(found),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "barriers.md").write_text(page(record), encoding="utf-8")
    figure(record, options.out / "barriers.png")
    print(page(record))


if __name__ == "__main__":
    main()
