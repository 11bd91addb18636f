"""Run the recipes again, in a folder of their own, and say whether the verdicts stand.

    SEPARATRIX_DATA=... python reproduce [--minutes 30] [--jobs 2] [--full] [--only theory ...] [--out runs/reproduce] [--list]

Recipes are begun in order, one per core: the cheapest that have verdicts first, and long ones before the short ones that fill what is left. One that would
go beyond the minutes is left out and named. What is done is in the folder and is not done again, so the same command goes on after a break, and after a
longer one with more minutes. Without ``--full`` the costly ones are cut down, and then make pages and no verdicts. ``--full`` is everything as it was
committed, or as large as the paper has it where a recipe can; that wants a GPU or a day.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from claims_page import SAID, claims
from readings import look_in

HERE = Path(__file__).parent
MOST_JOBS = 4  # by default; a recipe may take 3 GB


@dataclass(frozen=True)
class Recipe:
    """A script with what it is given.

    Attributes:
        script: without ``.py``.
        results: the stems of what it writes.
        minutes: of one CPU core, about, for its quick options.
        quick: options within the budget.
        full: options without one.
        whole: its quick run is what was committed, so that verdicts follow from it.
        needs_data: it reads $SEPARATRIX_DATA.
    """

    script: str
    results: tuple[str, ...]
    minutes: float
    quick: str = ""
    full: str = ""
    whole: bool = False
    needs_data: bool = True


RECIPES = (
    Recipe("theory", ("theory",), 1.0, whole=True),
    Recipe("fields", ("fields",), 0.5, whole=True),
    Recipe("score_on_data", ("score_on_data",), 0.5, whole=True),
    Recipe("initialisation", ("initialisation",), 0.5, "--scale small --size 64 --samples 200 --seeds 3", "--seeds 10", needs_data=False),
    Recipe("replication", ("replication",), 2.0, whole=True),
    Recipe("closed_loops", ("closed_loops",), 5.0, whole=True),
    Recipe("boundaries", ("boundaries",), 7.5, whole=True),
    Recipe("language_orbits", ("language_orbits",), 2.5, whole=True),
    Recipe("model_families", ("model_families",), 7.5, "--scale small", "--scale full"),
    Recipe("memorization", ("memorization",), 6.5, "--only memory size --seeds 1", "--full --seeds 3"),
    Recipe("probing", ("probing",), 4.0, "--only small --coded 50 --draws 1 --work runs/probing-quick", "--coded 500"),
    Recipe("foundation_orbits", ("foundation_orbits",), 3.0, "--starts 8 --steps 100", "--starts 64 --steps 300 --longer 700"),
    Recipe("training_dynamics", ("training_dynamics_mnist",), 1.0, "--data mnist --seeds 1", "--data mnist --seeds 3"),
    Recipe("contraction", ("contraction",), 0.5, "--models mnist_k2_seed0 conv2 --starts 50"),
    Recipe("ood", ("ood",), 0.5, "--count 300"),
)  # fmt: skip


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--jobs", type=int, default=min(os.cpu_count() or 1, MOST_JOBS), help="recipes at a time; each takes one core"
    )
    parser.add_argument("--full", action="store_true", help="no limit of time, nothing cut down")
    parser.add_argument("--only", nargs="+", choices=[recipe.script for recipe in RECIPES])
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--list", action="store_true", help="say what would be run")
    options = parser.parse_args(given)
    folder = options.out / ("full" if options.full else "quick")
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [recipe for recipe in RECIPES if options.only is None or recipe.script in options.only]
    ran, left = run(chosen, folder, options)
    for words in left:
        print(words)
    if not options.list:
        report(folder, [recipe for recipe in chosen if recipe.script in ran])
    return int(any("FAILED" in words for words in left))


def run(chosen: list[Recipe], folder: Path, options: argparse.Namespace) -> tuple[set[str], list[str]]:
    """The scripts that are done, now or before, and why others are not; they are begun in order, ``options.jobs`` at a time."""
    began, stopped = time.monotonic(), threading.Event()

    def attempt(number: int, recipe: Recipe) -> str:
        """Run a recipe; say why it is not done, or nothing."""
        spent = 0.0 if options.list else (time.monotonic() - began) / 60
        stamp, log = folder / f"{recipe.script}.done", folder / f"{recipe.script}.log"
        if stamp.exists():
            return ""
        if stopped.is_set():
            return "not run, interrupted"
        if recipe.needs_data and "SEPARATRIX_DATA" not in os.environ:
            return "not run, set SEPARATRIX_DATA to the folder of data and weights"
        if not options.full and spent + recipe.minutes > options.minutes:
            return f"not run, about {recipe.minutes:g} minutes more; give --minutes"
        if options.list:
            return f"about {recipe.minutes:g} minutes"
        print(f"[{number}/{len(chosen)}] {recipe.script}: {spent:.0f} of {options.minutes:g} minutes spent", flush=True)
        command = [str(HERE / f"{recipe.script}.py"), *(recipe.full if options.full else recipe.quick).split()]
        command += ["--out", str(folder)]
        limit = None if options.full else 60 * (options.minutes - spent)
        with log.open("w", encoding="utf-8") as file:
            try:
                ended = subprocess.run([sys.executable, *command], stdout=file, stderr=file, check=False, timeout=limit)
            except subprocess.TimeoutExpired:
                return "stopped when the minutes were over; the same command goes on with it"
        if ended.returncode == -signal.SIGINT:  # Ctrl-C reaches all of them, and no further one is begun
            stopped.set()
            return "interrupted; the same command goes on with it"
        if ended.returncode:
            return f"FAILED with exit code {ended.returncode}; {log} says why"
        stamp.write_text(json.dumps({"command": command}), encoding="utf-8")
        return ""

    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            reasons = list(pool.map(attempt, range(1, len(chosen) + 1), chosen))
        except KeyboardInterrupt:
            stopped.set()
            raise
    done = {recipe.script for recipe, reason in zip(chosen, reasons, strict=True) if not reason}
    return done, [f"{recipe.script}: {reason}" for recipe, reason in zip(chosen, reasons, strict=True) if reason]


def report(folder: Path, done: list[Recipe]) -> None:
    """Committed and fresh verdicts of the claims that follow from what was run."""
    fresh = {f"reproduce/{stem}" for recipe in done if recipe.whole for stem in recipe.results}
    judged = [claim for claim in claims() if set(claim.results) <= fresh]
    committed = {claim.name: claim.verdict for claim in judged}
    look_in(folder)
    for claim in claims():
        if claim.name in committed:
            before, now = SAID[committed[claim.name]], SAID[claim.verdict]
            print(
                f"{'=' if before == now else '≠'} {claim.claim}: {now}{'' if before == now else f', committed: {before}'}"
            )
    same = sum(claim.verdict == committed[claim.name] for claim in claims() if claim.name in committed)
    print(f"{len(done)} recipes are done, their pages in {folder}; {same} of {len(committed)} verdicts as committed")
