"""The tables of README.md against the committed results; what other pages say too is computed by their functions."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean
from typing import Any

from bound import Bound, result
from claims_bound import dictionaries, inverted, language
from memorization_bound import clean
from models_bound import rotting
from ood_bound import known, mean, unseen


def audits() -> Sequence[Any]:
    memorizing, of, *_, exceeded, well = clean()
    return memorizing, of, exceeded, well


def scores() -> Sequence[Any]:
    return *inverted()[:2], mean("typicality", known), mean("typicality", unseen)


def wins() -> Sequence[Any]:
    wins, pairs, worse, *_ = dictionaries()
    return wins, pairs, worse


def settled() -> Sequence[Any]:
    record = result("reproduce/foundation_orbits")
    at_rest, sequences, *_ = language()
    return sum(record["reached"].values()), record["starts"] * len(record["groups"]), at_rest, sequences


def places() -> Sequence[Any]:
    return [value for value in rotting() if isinstance(value, int)][:2]


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
