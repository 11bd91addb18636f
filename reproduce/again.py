"""Run the recipes again, in a folder of their own, and say whether the verdicts stand.

    SEPARATRIX_DATA=... python reproduce [--minutes 30] [--full] [--only theory ...] [--out runs/reproduce] [--list]

Recipes come in order, the cheapest and most telling first, until the next one would go beyond the minutes; what is done is in the folder and is not
done again, so the same command goes on after a break, and after a longer one with more minutes. Without ``--full`` the costly ones are cut down, and then
make pages and no verdicts. ``--full`` is everything as it was committed, or as large as the paper has it where a recipe can; that wants a GPU or a day.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from claims_page import SAID, claims
from readings import look_in

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Recipe:
    """A script with what it is given.

    Attributes:
        script: without ``.py``.
        results: the stems of what it writes.
        minutes: of one CPU core, about, as measured for the committed results.
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
    Recipe("fields", ("fields",), 1.5, whole=True),
    Recipe("score_on_data", ("score_on_data",), 1.5, whole=True),
    Recipe("closed_loops", ("closed_loops",), 6.0, whole=True),
    Recipe("replication", ("replication",), 2.5, whole=True),
    Recipe("boundaries", ("boundaries",), 8.0, whole=True),
    Recipe("initialisation", ("initialisation",), 1.0, "--scale small --size 64 --samples 200 --seeds 3", "--seeds 10", needs_data=False),
    Recipe("memorization", ("memorization",), 5.0, "--only memory size --seeds 1", "--full --seeds 3"),
    Recipe("training_dynamics", ("training_dynamics_mnist",), 2.5, "--data mnist --seeds 1", "--data mnist --seeds 3"),
    Recipe("language_orbits", ("language_orbits",), 3.0, whole=True),
    Recipe("contraction", ("contraction",), 2.0, "--models mnist_k2_seed0 conv2 --starts 50"),
    Recipe("ood", ("ood",), 1.0, "--count 300"),
    Recipe("foundation_orbits", ("foundation_orbits",), 3.0, "--starts 8 --steps 100", "--starts 64 --steps 300 --longer 700"),
    Recipe("model_families", ("model_families",), 7.0, "--scale small", "--scale full"),
    Recipe("probing", ("probing",), 20.0, "--coded 50 --draws 2", "--coded 500"),
)  # fmt: skip


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
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
    """The scripts that are done, now or before, and why others are not."""
    done, left, began = set(), [], time.monotonic()
    for number, recipe in enumerate(chosen, 1):
        spent = 0.0 if options.list else (time.monotonic() - began) / 60
        stamp = folder / f"{recipe.script}.done"
        if stamp.exists():
            done.add(recipe.script)
        elif recipe.needs_data and "SEPARATRIX_DATA" not in os.environ:
            left.append(f"{recipe.script}: not run, set SEPARATRIX_DATA to the folder of data and weights")
        elif not options.full and spent + recipe.minutes > options.minutes:
            left.append(f"{recipe.script}: not run, about {recipe.minutes:g} minutes more; give --minutes")
        elif options.list:
            left.append(f"{recipe.script}: about {recipe.minutes:g} minutes")
        else:
            print(
                f"[{number}/{len(chosen)}] {recipe.script}: {spent:.0f} of {options.minutes:g} minutes spent",
                flush=True,
            )
            wanted = (recipe.full if options.full else recipe.quick).split()
            log = folder / f"{recipe.script}.log"
            with log.open("w", encoding="utf-8") as file:
                command = [sys.executable, str(HERE / f"{recipe.script}.py"), *wanted, "--out", str(folder)]
                limit = None if options.full else 60 * (options.minutes - spent)
                try:
                    code = subprocess.run(command, stdout=file, stderr=file, check=False, timeout=limit).returncode
                except subprocess.TimeoutExpired:
                    left.append(
                        f"{recipe.script}: stopped when the minutes were over; the same command goes on with it"
                    )
                    continue
            if code:
                left.append(f"{recipe.script}: FAILED with exit code {code}; {log} says why")
            else:
                stamp.write_text(json.dumps({"command": command[1:]}), encoding="utf-8")
                done.add(recipe.script)
    return done, left


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
