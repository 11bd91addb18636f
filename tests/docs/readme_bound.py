"""The tables of README.md against the committed results; what other pages say too is computed by their functions."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean
from typing import Any

from bound import Bound, result
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


README = [
    Bound("exceeded for {} of {} autoencoders that were trained to memorize, and for {} of {} that were trained well", audits),
    Bound("a mean AUROC of {:.3f} over known and {:.3f} over unseen kinds of input; a two-sided score of the same trajectories with distances and errors "
          "beside it {:.3f} and {:.3f}", scores),
    Bound("in {} of {} pairs of model and images; one step of f does better still in {} of those", wins),
    Bound("{} of {} orbits settle; a language model, TinyStories 260K: {} of {} sequences come to rest", settled),
    Bound("{} of {} pairs of models change places between the first trip and the twentieth", places),
    Bound("{:.1f} times fewer evaluations than the whole-batch loop", fewer),
]  # fmt: skip
