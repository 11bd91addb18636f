"""What workers are worth: the same search by this process, by one worker and by two, and what parts and the coordinator cost.

    python benchmarks/scale.py [--data ../shared] [--starts 20000] [--only conv32 fc …] [--out benchmarks/results]

Each row is measured in a process of its own, with one thread per worker, while nothing else should run: ``load`` says what did. Rounds alternate, so
that all engines see the same machine, and the medians are given. *Parts* is what cutting and sending costs: the processor time of one search in parts by
one worker, its own and that of the coordinator, over that of one pool in this process. Bits are compared, not only counted. Writes scale.json and .md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from meters import spent
from omp import processor
from real_models import cases
from search_size import wells

import separatrix as sx
from separatrix.engines import Engine, Here, Processes
from separatrix.limitsets import _parts as parts
from separatrix.limitsets._assemble import versions
from separatrix.limitsets._search import Search
from separatrix.protocol import Rounds
from separatrix.starts import box

MODELS = ("conv32", "conv128", "fc", "VAE_mnist")
GRID = (22, 22, 21)  # wells: 10,164 attractors


def field_of(name: str, data: Path) -> tuple[sx.LatentField, float]:
    """A real model, and the scale of its starts."""
    case = next(iter(cases(data, [name])))
    return case.field, 3.0 if name.startswith(("conv", "fc")) else 1.0


def bits(limits: sx.LimitSets) -> bytes:
    """What a search is, as it is stored."""
    with tempfile.TemporaryDirectory() as folder:
        sx.save_result(limits, f"{folder}/limits")
        return b"".join(path.read_bytes() for path in sorted(Path(folder, "limits").glob("[rt]*")))


def children() -> float:
    """Processor seconds of processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def engine_of(name: str) -> Engine:
    """The engine of a column."""
    if name == "Ray, 2":
        return sx.engines.Ray(workers=2)
    return {"here": Here(), "1 worker": Processes(1), "2 workers": Processes(2)}[name]


def searched(
    field: sx.LatentField, starts: sx.starts.Starts, engine: Engine | None, rules: sx.Protocol | None = None
) -> tuple[sx.LimitSets, float]:
    """The limit sets and the seconds by the clock."""
    begun = time.perf_counter()
    return sx.find_attractors(field, starts, rules or sx.Protocol(), engine=engine), time.perf_counter() - begun


def speed(name: str, count: int, data: Path, engines: list[str], rounds: int, cut: int | None) -> dict[str, Any]:
    """Seconds of one search by each engine."""
    rules = sx.Protocol(rounds=Rounds(parts=cut, least_in_a_part=32) if cut else Rounds())
    field, std = field_of(name, data)
    starts = sx.starts.gaussian(count, seed=0, std=std)
    found: dict[str, list[float]] = {engine: [] for engine in engines}
    stored, load = set(), os.getloadavg()[0]
    made = {engine: engine_of(engine) for engine in engines}
    for one in made.values():
        sx.find_attractors(field, starts[:2000], engine=one)  # processes start, torch loads a part of itself
    for _ in range(rounds):
        for engine in engines:
            limits, seconds = searched(field, starts, made[engine], rules)
            found[engine].append(seconds)
            stored.add(bits(limits))
    for one in made.values():
        one.close()
    return {
        "model": name if cut is None else f"{name}, --parts {cut}",
        "starts": count,
        "sets": len(limits),
        "evaluations": limits.cost.map,
        "seconds": {engine: statistics.median(times) for engine, times in found.items()},
        "each": found,
        "equal": len(stored) == 1,
        "load": load,
    }


def overhead(name: str, count: int, data: Path, rounds: int) -> dict[str, Any]:
    """Processor seconds of a search in one pool, in parts, and in parts by one worker."""
    field, std = field_of(name, data)
    starts = sx.starts.gaussian(count, seed=0, std=std)
    sx.find_attractors(field, starts[:500])
    found: dict[str, list[float]] = {"one pool": [], "parts": [], "one worker": []}
    whole = sx.Protocol(rounds=Rounds(least_in_a_part=2**30))
    for _ in range(rounds):
        for way, times in found.items():
            own, others = time.process_time(), children()
            if way == "one worker":
                with Processes(1) as engine:
                    searched(field, starts, engine)
            else:
                searched(field, starts, None, whole if way == "one pool" else None)
            times.append(time.process_time() - own + children() - others)
    return {"model": name, "starts": count, "seconds": {way: statistics.median(times) for way, times in found.items()}}


@contextmanager
def settling() -> Iterator[list[float]]:
    """The seconds that each round of a search takes to settle."""
    found: list[float] = []
    genuine = Search._settle

    def timed(self: Search) -> None:
        begun = time.perf_counter()
        genuine(self)
        found.append(time.perf_counter() - begun)

    Search._settle = timed  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Search._settle = genuine  # type: ignore[method-assign]


def coordinator(count: int) -> dict[str, Any]:
    """Memory and settling of a process that gives all parts to two workers: so many starts, ten thousand limit sets, k = 16."""
    low, high = [-0.49] * 3 + [-0.1] * 13, [wide - 0.51 for wide in GRID] + [0.1] * 13
    field = sx.LatentField.from_map(wells, latent_shape=(16,))
    starts = box(count, low, high)
    sx.find_attractors(field, starts[:500])
    with Processes(2) as engine, settling() as settled, spent() as usage:
        limits, seconds = searched(field, starts, engine)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "starts": count,
        "sets": len(limits),
        "seconds": seconds,
        "processor": usage.processor,
        "peak_mib": resident,
        "above_mib": usage.memory_mib,
        "rounds": len(settled),
        "longest_settling": max(settled),
    }


def rerun(count: int, data: Path, rounds: int) -> dict[str, Any]:
    """A finished run is read again."""
    field, std = field_of("conv32", data)
    starts = sx.starts.gaussian(count, seed=0, std=std)
    taken = []
    genuine = parts.Crew.follow

    def counted(self: parts.Crew, given: list[parts.Part], head: parts.Round) -> Iterator[parts.Followed]:
        taken.append(len(given))
        return genuine(self, given, head)

    parts.Crew.follow = counted  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        sx.runs.attractors(field, starts, out=f"{folder}/run", figures=False)
        first = sum(taken)
        times = []
        for _ in range(rounds):
            begun = time.perf_counter()
            sx.runs.attractors(field, starts, out=f"{folder}/run", figures=False)
            times.append(time.perf_counter() - begun)
    return {"starts": count, "parts": first, "parts_again": sum(taken) - first, "seconds": statistics.median(times)}


def page(record: dict[str, Any]) -> str:
    """The tables as they are committed."""
    lines = [
        f"Measured by `python benchmarks/scale.py` ({record['machine']}; one thread per worker, medians of alternating rounds; results",
        "have the same bits in every column where *equal* says yes).",
        "",
    ]
    if speeds := record["speed"]:
        engines = list(next(iter(speeds.values()))["seconds"])
        lines += [
            "| model | starts | evaluations | "
            + " | ".join(f"{engine}, s" for engine in engines)
            + " | two over one | rounds | equal | load |",
            "|---|---|---|" + "---|" * (len(engines) + 4),
        ]
        for one in speeds.values():
            times = one["seconds"]
            cells = " | ".join(f"{times[engine]:.1f}" if engine in times else "" for engine in engines)
            pace = times["1 worker"] / times["2 workers"]
            lines.append(
                f"| {one['model']} | {one['starts']:,} | {one['evaluations']:,} | {cells} | {pace:.2f} × | "
                f"{len(one['each']['1 worker'])} | "
                f"{'yes' if one['equal'] else 'NO'} | {one['load']:.1f} |"
            )
        lines.append("")
    if costs := record["overhead"]:
        lines += [
            "Processor seconds of one search in one pool, in parts, and in parts by one worker (its start and the sending of the model included):",
            "",
            "| model | starts | one pool | parts | one worker | parts over one pool | worker over one pool |",
            "|---|---|---|---|---|---|---|",
        ]
        for one in costs.values():
            pool, cut, worker = (one["seconds"][way] for way in ("one pool", "parts", "one worker"))
            lines.append(
                f"| {one['model']} | {one['starts']:,} | {pool:.1f} | {cut:.1f} | {worker:.1f} | {100 * (cut / pool - 1):+.1f} % | "
                f"{100 * (worker / pool - 1):+.1f} % |"
            )
        lines.append("")
    if one := record["coordinator"]:
        lines += [
            f"The coordinator of {one['starts']:,} starts, k = 16, {one['sets']:,} limit sets, with two workers: {one['peak_mib']:.0f} MiB at most "
            f"({one['above_mib']:.0f} MiB above what torch takes), {one['rounds']} rounds, of which the longest took {one['longest_settling']:.1f} s to "
            f"settle; {one['seconds']:.0f} s in all, {one['processor']:.0f} s of them its own.",
            "",
        ]
    if one := record["rerun"]:
        lines += [
            f"A finished run of {one['starts']:,} starts, which had {one['parts']} parts, is read again in {one['seconds']:.2f} s with "
            f"{one['parts_again']} parts computed.",
            "",
        ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write; what is there is measured again only where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SEPARATRIX_DATA", "../shared")))
    parser.add_argument("--starts", type=int, default=20_000)
    parser.add_argument("--million", type=int, default=1_000_000, help="starts of the coordinator's search")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--parts", type=int, help="as the option of `separatrix attractors`")
    parser.add_argument("--only", nargs="+", default=["speed", "overhead", "coordinator", "rerun"])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--engines", nargs="+", default=["here", "1 worker", "2 workers"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--measure", nargs=2, metavar=("SECTION", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        section, model = options.measure
        made = {
            "speed": lambda: speed(model, options.starts, options.data, options.engines, options.rounds, options.parts),
            "overhead": lambda: overhead(model, options.starts // 4, options.data, options.rounds),
            "coordinator": lambda: coordinator(options.million),
            "rerun": lambda: rerun(options.starts, options.data, options.rounds),
        }[section]()
        print(json.dumps(made))
        return
    path = options.out / "scale.json"
    record = {"speed": {}, "overhead": {}, "coordinator": None, "rerun": None}
    if path.exists():
        record |= json.loads(path.read_text(encoding="utf-8"))
    record |= {"machine": processor(), "versions": versions()}
    for section in options.only:
        for model in options.models if section in ("speed", "overhead") else [""]:
            command = [sys.executable, __file__, "--measure", section, model, *sys.argv[1:]]
            done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            print(done, flush=True)
            if model:
                record[section][done["model"]] = done
            else:
                record[section] = done
            options.out.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            (options.out / "scale.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
