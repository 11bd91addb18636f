"""The score of a known density, the energy of tied weights, the error bound; and the score on autoencoders."""

from __future__ import annotations

from statistics import fmean, median
from typing import Any

from readings._record import CONDITIONAL, NOT, REPRODUCED, Mean, Reading, Share, result, span


def parts(kind: str, recipe: str = "theory") -> dict[str, dict[str, Any]]:
    found = result(f"reproduce/{recipe}")["parts"]
    return {name: part for name, part in found.items() if name.startswith(f"{kind}, ")}


def by_seed(found: dict[str, dict[str, Any]], key: str) -> list[float]:
    """The mean of each seed over everything else."""
    seeds = sorted({name.rpartition(", ")[2] for name in found})
    return [fmean(part[key] for name, part in found.items() if name.endswith(seed)) for seed in seeds]


def score() -> Reading:
    found = parts("score")
    exact = all(
        one["closed"] >= 0.999 and one["apart"] <= 0.1 and one["attractors"] == one["modes"] for one in found.values()
    )
    learnt = all(one["trained"] >= 0.9 for one in found.values())
    numbers = {
        "closed": min(one["closed"] for one in found.values()),
        "attractors": sum(one["attractors"] for one in found.values()),
        "modes": sum(one["modes"] for one in found.values()),
        "apart": max(one["apart"] for one in found.values()),
        "trained": Mean(by_seed(found, "trained"), -1, 1),
        "least": min(one["trained"] for one in found.values()),
        "most": max(one["trained"] for one in found.values()),
        "plain": Mean(by_seed(found, "plain"), -1, 1),
        "turned": Mean(by_seed(found, "turned"), -1, 1),
    }
    return Reading(REPRODUCED if exact and learnt else CONDITIONAL if exact else NOT, numbers)


def energy() -> Reading:
    tied, untied = parts("energy, tied"), parts("energy, untied")
    broken, others = (sum(one["broken"] for one in found.values()) for found in (tied, untied))
    steps = sum(one["steps"] for one in tied.values())
    numbers = {
        "tied": Share(broken, steps),
        "untied": Share(others, steps),
        "asymmetry": median(one["asymmetry"] for one in tied.values()),
        "untied_asymmetry": median(one["asymmetry"] for one in untied.values()),
        "steps": steps,
        "count": broken,
        "untied_count": others,
    }
    return Reading(NOT if broken else REPRODUCED, numbers)


def bound() -> Reading:
    found, example = parts("bound"), result("reproduce/theory")["parts"]["counterexample"]
    maps = sum(one["maps"] for one in found.values())
    broken = {form: sum(one[form] for one in found.values()) for form in ("printed", "corrected", "plain")}
    assert (
        2 * example["right"] == example["left"]
    )  # the counterexample attains the corrected form, as the sentence says
    numbers = {**example, **{form: Share(count, maps) for form, count in broken.items()}}
    return Reading(NOT if broken["printed"] else REPRODUCED, numbers)


def score_on_data() -> Reading:
    found = result("reproduce/score_on_data")["parts"]
    beyond = [one["p_value"] <= 0.05 for one in found.values()]
    steep = [one["mean"] >= 0.5 for one in found.values()]
    low, high = span(one["mean"] for one in found.values())
    verdict = REPRODUCED if all(beyond) and all(steep) else CONDITIONAL if 2 * sum(beyond) >= len(beyond) else NOT
    numbers = {
        "share": Share(sum(beyond), len(beyond)),
        "k2": Mean([one["mean"] for name, one in found.items() if name.startswith("mnist_k2")], -1, 1),
        "towards": median(one["control"] for one in found.values()),
        "beyond": sum(beyond),
        "networks": len(found),
        "low": low,
        "high": high,
    }
    return Reading(verdict, numbers)
