"""Phrases of docs/models.md on real models, bound to the scripts that followed them; and those of docs/claims.md that say the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from bound import Bound, result


def language() -> dict[str, Any]:
    """The trained network of ``reproduce/language_orbits``."""
    found: dict[str, Any] = result("reproduce/language_orbits")["models"]["trained"]
    return found


def untrained() -> list[dict[str, Any]]:
    models = result("reproduce/language_orbits")["models"]
    return [model for name, model in models.items() if name != "trained"]


def settles() -> Sequence[Any]:
    record, real = result("reproduce/language_orbits"), language()
    share = real["relative_residual"]["median"]
    fresh = [one["relative_residual"]["median"] for one in untrained()]
    at_rest = sum(one["at_rest"] for one in untrained())
    assert share[-1] < 1e-5 < 1e-4 < min(one[-1] for one in fresh)
    return (
        record["sequences"],
        record["length"],
        record["steps"],
        real["at_rest"],
        share[1],
        share[-1],
        math.ceil(real["largest_norm"]),
        fresh[0][1],
        min(one[-1] for one in fresh),
        at_rest,
        record["sequences"] * len(fresh),
    )


def forgets() -> Sequence[Any]:
    median = language()["log_probability"]["median"]
    chance = -math.log(result("reproduce/language_orbits")["vocabulary"])
    assert median[10] < chance < median[1]
    return median[1], median[10], chance


def alone() -> Sequence[Any]:
    single, fresh = language()["single"], [one["single"] for one in untrained()]
    assert single["sentence"] == f"all {single['starts']} starts reached an attractor"
    assert {one["attractors"] for one in fresh} == {1}
    assert len(single["hits"]) == 2
    return single["starts"], single["attractors"], *single["hits"], *single["radius"]


def vaelight() -> Sequence[Any]:
    record = result("reproduce/vaelight")
    groups = record["orbits"]
    rest = [groups[label]["at_rest"] for label in ("ImageNet images", "N(0, I)")]
    share = groups["ImageNet images"]["relative_residual"]["median"]
    return share[0], share[-1], record["steps"], sum(rest), 2 * record["starts"]


def vaelight_sets() -> Sequence[Any]:
    found = result("reproduce/vaelight")["search"]
    return (found["words"],)


def vaelight_probes() -> Sequence[Any]:
    """How many of the data sets iterated noise codes better than f once and than a random basis, in latent space."""
    sets = result("reproduce/vaelight")["probes"]["sets"].values()
    better = [
        sum(one["gains"]["latent"][control][1] > 0 for one in sets)
        for control in ("random orthonormal basis", "f applied once")
    ]
    return better[0], len(sets), better[1]


def taef2() -> Sequence[Any]:
    record = result("reproduce/foundation_orbits")
    return sum(record["reached"].values()), record["starts"] * len(record["groups"]), record["steps"]


def rotting() -> Sequence[Any]:
    return *_course("taef2, photographs"), *_course("vaelight, photographs")


def swapping() -> Sequence[Any]:
    models = result("reproduce/drift")["findings"]["models"]
    return models["swaps"], models["pairs"], models["certain"]


def upsampled() -> Sequence[Any]:
    bsds, imagenet = _course("taef2, BSDS"), _course("taef2, ImageNet")
    assert _course("taef2, photographs")[0] < min(bsds[0], imagenet[0])
    return bsds[0], imagenet[0], bsds[2], imagenet[2], bsds[3], imagenet[3]


def _course(case: str) -> tuple[float, ...]:
    """Mean PSNR after 1, 5 and 20 trips, and the contrast that is left."""
    cell = result("reproduce/drift")["cells"][case]
    means = np.mean(cell["psnr"], axis=0)
    return *(float(means[trip - 1]) for trip in (1, 5, 20)), cell["contrast"][-1]


def prophecy() -> Sequence[Any]:
    found = result("reproduce/drift")["findings"]
    linear, pictures = found["linear"], found["pictures"]
    return linear["ratio"], linear["agree"], linear["cases"], pictures["agree"], pictures["cases"]


MODELS = [
    Bound("sends {} sequences of {} tokens that it wrote itself through its own stream: after {} steps {} of them are at rest (residual below a thousandth "
          "of the norm), the median residual has fallen from {:.2f} of the norm at step 1 to {:.0e}, and no norm exceeds {}. Untrained it falls from "
          "{:.2f} to {:.0e}, and {} of {} are at rest", settles),
    Bound("it gives the next token a mean log-probability of {:.2f} after one pass and {:.2f} after ten, where chance has {:.2f}", forgets),
    Bound("each of its {} tokens alone goes to one of {} attractors ({} and {} of them; ρ {:.2f} and {:.2f}), untrained to a single one", alone),
    Bound("‖f(z) − z‖ / ‖z‖ of encoded images falls from {:.2f} to {:.4f} in {} steps, and {} of {} orbits from images and noise are at rest", vaelight),
    Bound("a search from noise says: {}", vaelight_sets),
    Bound("better than a random basis in latent space on {} of {} sets of images, and than f applied once on {}", vaelight_probes),
    Bound("at 32 px {} of {} orbits come to rest in {} steps", taef2),
]  # fmt: skip
DRIFT = [
    Bound("TAEF2 {:.1f} dB after one trip, {:.1f} after five and {:.1f} after twenty, with {:.2f} of the contrast; VAElight {:.1f}, {:.1f} and {:.1f} dB, "
          "with {:.2f} of it", rotting),
    Bound("of models on the same pictures {} of {} pairs change places between the first trip and the twentieth, {} of them with certainty", swapping),
    Bound("there TAEF2 begins at {:.1f} and {:.1f} dB, and is at {:.1f} and {:.1f} after twenty trips, with {:.2f} and {:.2f} of the contrast", upsampled),
    Bound("−3 dB comes {:.1f} times as late as it says in the median, and it puts pictures in the right order (ρ ≥ 0.7) in {} of {} cases. The first trip itself "
          "does so for the twentieth in {} of {}", prophecy),
]  # fmt: skip
