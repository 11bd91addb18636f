"""The tables of README.md against the committed results; what other pages say too is computed by their functions."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean
from typing import Any

from bound import Bound, result, span
from memorization_bound import clean
from models_bound import language, swapping, taef2
from ood_bound import known, mean, unseen
from probing_bound import against_the_basis, of_the_wins


def audits() -> Sequence[Any]:
    memorizing, of, *_, exceeded, well = clean()
    return memorizing, of, exceeded, well


def scores() -> Sequence[Any]:
    return [mean(kind, kept) for kind in ("trajectory", "typicality") for kept in (known, unseen)]


def wins() -> Sequence[Any]:
    return *against_the_basis()[:2], of_the_wins()[1]


def settled() -> Sequence[Any]:
    return *taef2()[:2], language()["at_rest"], result("reproduce/language_orbits")["sequences"]


def places() -> Sequence[Any]:
    return swapping()[:2]


def fewer() -> Sequence[Any]:
    rows = result("benchmarks/engine_large")["rows"]
    return [geometric_mean(row["whole_batch_per_start"] / row["evaluations_per_start"] for row in rows)]


def paces() -> Sequence[Any]:
    """Pace of a search over that of the careful loop in float32: how many models are slower, of how many, and by how much."""
    models = result("benchmarks/engine")["models"].values()
    ours, loop = "separatrix.find_attractors, cap 3000", "loop, active set, step < 3e-6, cap 3000"
    rows = [{row["method"]: row["processor"] for row in model["rows"]} for model in models]
    slower = [row[loop] / row[ours] for row in rows if row[loop] < row[ours]]
    words = ("no", "one", "two", "three", "four", "five")
    return [words[len(slower)], words[len(rows)], min(slower), max(slower)]


def starts() -> Sequence[Any]:
    rows = [row for model in result("benchmarks/engine")["models"].values() for row in model["rows"]]
    return span(row["starts"] for row in rows if row["method"] == "separatrix.find_attractors")


def tighter() -> Sequence[Any]:
    rows = result("benchmarks/real_models")["rows"]
    return sum(row["attractors"] == row["attractors_ten_times_tighter"] for row in rows), len(rows)


def solvers() -> Sequence[Any]:
    models = result("benchmarks/engine")["models"].values()
    assert len(models) == 5
    found = [row["fidelity"] for model in models for row in model["rows"] if row["method"].startswith("torchdeq")]
    return 100 * min(found), 100 * max(found)


README = [
    Bound("at {} to {} starts a careful loop is quicker in seconds on {} of {} models", lambda: [*starts(), *paces()[:2]]),
    Bound("ten times tighter the count stayed the same on {} of {} real models", tighter),
    Bound("in the basin of their start for {:.0f} % to {:.0f} % of starts on five real models", solvers),
    Bound("exceeded for {} of {} autoencoders that were trained to memorize, and for {} of {} that were trained well", audits),
    Bound("a mean AUROC of {:.3f} over known and {:.3f} over unseen kinds of input; a two-sided score of the same trajectories with distances and errors "
          "beside it {:.3f} and {:.3f}", scores),
    Bound("in {} of {} pairs of model and images; one step of f does better still in {} of those", wins),
    Bound("{} of {} orbits settle; a language model, TinyStories 260K: {} of {} sequences come to rest", settled),
    Bound("{} of {} pairs of models change places between the first trip and the twentieth", places),
    Bound("{:.1f} times fewer evaluations than the whole-batch loop", fewer),
]  # fmt: skip
