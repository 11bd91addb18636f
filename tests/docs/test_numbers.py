"""Numbers in prose are those of the committed results: a phrase that says another one fails, and so does a number without a phrase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from bound import Bound, prose, result, unbound
from memorization_bound import MEMORIZATION
from models_bound import DRIFT, MODELS
from ood_bound import OOD, best_other, choice, recommended, unseen
from probing_bound import PROBING
from readme_bound import README, paces
from scale_bound import SCALE

from separatrix.monitoring import _budget as budget
from separatrix.protocol import Curves, Rounds


def used_rule() -> Sequence[Any]:
    record = result("benchmarks/trapping")
    (used,) = [rule for rule in record["rules"] if rule["rule"].endswith("(used)")]
    assert used["escaped"] == 0
    return used["accepted"], record["systems"]


def rivals() -> Sequence[Any]:
    return ["" if result("benchmarks/engine")["versions"]["torchdeq"] == "not installed" else "torchdeq, "]


def passes() -> Sequence[Any]:
    model = result("benchmarks/engine")["models"]["fc"]
    (row,) = [row for row in model["rows"] if row["method"] == "separatrix.find_attractors"]
    return [model["network_passes"], round(row["evaluations_per_start"] * row["starts"])]


def engines() -> Sequence[Any]:
    rows = result("benchmarks/explorer_engines")["rows"]
    return [*(row["bytes"] / 1e3 for row in rows), *(row["fastest_ms"] for row in rows)]


def paces_of_shards() -> Sequence[Any]:
    small, usual = result("benchmarks/score_shards")["rows"]
    reading = 1000 * small["reading"] / small["pictures"]
    return 100 * usual["pace"], usual["parameters"], 100 * small["pace"], small["parameters"], reading


def decoding_of_shards() -> Sequence[Any]:
    small, _ = result("benchmarks/score_shards")["rows"]
    return [1000 * small["decoding"] / small["pictures"]]


def noticed() -> Sequence[Any]:
    mutants = [one for one in result("benchmarks/mutation")["mutants"] if not one["word"].startswith("equivalent")]
    return sum(one["now"] == "killed" for one in mutants), len(mutants)


# page, from the heading, to the heading, its phrases
PAGES: list[tuple[str, str, str, list[Bound]]] = [
    ("docs/ood.md", "## What was measured", "## How the typicality detector was chosen", OOD),
    ("docs/probing.md", "## When it works, and when not", "## What this does not show", PROBING),
    ("README.md", "## What it found on real models", "## What you can trust", README),
]
# Phrases of pages whose other numbers are settings, examples and constants of the code
SINGLE: list[tuple[str, Bound]] = [
    ("README.md", Bound("failed for none of {:,} starts of [{} hostile maps]", used_rule)),
    (
        "docs/design.md",
        Bound(
            "ONNX Runtime Web adds {:,.0f} kB to a file, TensorFlow.js's WebAssembly backend {:.0f} kB and ours {:.0f} kB, where the model "
            "itself has 210; the fastest of ten runs took {:.2f}, {:.2f} and {:.2f} ms per step",
            engines,
        ),
    ),
    *(("docs/memorization.md", bound) for bound in MEMORIZATION),
    *(("docs/models.md", bound) for bound in MODELS),
    *(("docs/drift.md", bound) for bound in DRIFT),
    *(("docs/scale.md", bound) for bound in SCALE),
    ("README.md", Bound("side by side with the loops, {}Adam and scipy", rivals)),
    (
        "docs/design.md",
        Bound(
            "altered kinds from {:.3f} to {:.3f}, and counting twice what is too far to {:.3f}",
            lambda: choice("altered"),
        ),
    ),
    ("docs/design.md", Bound("typicality has {:.3f}, the next best {:.3f}", lambda: best_other(unseen)[:2])),
    ("docs/design.md", Bound("(following the self-check: {:.3f})", lambda: recommended()[2:])),
    ("docs/design.md", Bound("may cost {:.0f} % of the evaluations", lambda: [100 * Curves.test_share])),
    ("docs/design.md", Bound("{} starts, then", lambda: [Rounds.pilot])),
    ("CONTRIBUTING.md", Bound("notice {} of {} drawn at random that can change a result", noticed)),
    ("docs/design.md", Bound("on {} of {} models ({:.2f} to {:.2f} of its pace;", paces)),
    ("docs/design.md", Bound("model takes {:,} passes for {:,} evaluations", passes)),
    (
        "docs/ood.md",
        Bound(
            "scored at {:.0f} % of the bare network's pace by a network of {:,} parameters, and at {:.0f} % by one of {:,}, which misses the bar of "
            "90 %: reading a picture's member takes {:.2f} ms",
            paces_of_shards,
        ),
    ),
    ("docs/ood.md", Bound("Decoding a PNG 28×28 ({:.2f} ms) is not counted", decoding_of_shards)),
    ("docs/training.md", Bound("glances may use {:.0f} % of the budget", lambda: [100 * budget._GLANCE_SHARE])),
]
EVERY = [pytest.param(page, bound, id=f"{page}: {bound.phrase[:50]}") for page, bound in SINGLE] + [
    pytest.param(page, bound, id=f"{page}: {bound.phrase[:50]}") for page, _, _, phrases in PAGES for bound in phrases
]


@pytest.mark.parametrize(("page", "bound"), EVERY)
def test_a_phrase_stands_in_its_page_with_the_numbers_of_the_results(page: str, bound: Bound) -> None:
    assert bound.words in prose(page)


@pytest.mark.parametrize(("page", "first", "last", "phrases"), PAGES, ids=[page for page, *_ in PAGES])
def test_every_number_is_bound_to_a_result_or_listed_with_its_reason(
    page: str, first: str, last: str, phrases: list[Bound]
) -> None:
    assert list(unbound(prose(page, first, last), phrases)) == []


def test_a_wrong_number_and_a_number_without_a_phrase_are_found() -> None:
    text = "better in 11 of 36 pairs, and 7 times faster"
    assert Bound("in {} of {} pairs", lambda: (12, 36)).words not in text
    assert [found.split()[0] for found in unbound(text, [Bound("in {} of {} pairs", lambda: (11, 36))])] == ["7"]
