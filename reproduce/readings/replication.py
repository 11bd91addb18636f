"""Findings of others who iterated autoencoders, looked for in ours."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from readings._record import CONDITIONAL, NOT, REPRODUCED, Mean, Reading, Share, all_some_none, result
from readings.ood import rows

TOLD = (1.08, 0.69, 0.27)  # medians of ‖J‖₂ on the data, just outside, far away
PLACES = ("on the data", "just outside", "far away")


def denoising() -> Reading:
    models = {(model["id"], model["model"]): model for model in result("benchmarks/ood")["models"]}
    twins = [
        (models[key[0], key[1].removesuffix(", denoising")], models[key]) for key in models if _is_twin(key, models)
    ]
    fewer = [twin["attractors"] < plain["attractors"] for plain, twin in twins]
    surer = [twin["reached"] >= plain["reached"] for plain, twin in twins]
    both = [a and b for a, b in zip(fewer, surer, strict=True)]
    numbers = {
        "fewer": Share(sum(fewer), len(twins)),
        "surer": Share(sum(surer), len(twins)),
        "both": f"{sum(both)} of {len(twins)}",
    }
    return Reading(REPRODUCED if all(both) else CONDITIONAL if 2 * sum(both) >= len(twins) else NOT, numbers)


def _is_twin(key: tuple[str, str], models: Mapping[tuple[str, str], object]) -> bool:
    data, name = key
    return name.endswith(", denoising") and (data, name.removesuffix(", denoising")) in models


def norms() -> Reading:
    runs = [run for run in result("reproduce/contraction")["runs"] if run["model"].startswith("mnist_k2")]
    medians = {place: [run["places"][place]["norm"][1] for run in runs] for place in PLACES}
    falls = [on > out > far for on, out, far in zip(*medians.values(), strict=True)]
    means = [Mean(values, 0) for values in medians.values()]
    held = all(mean.low <= told <= mean.high for mean, told in zip(means, TOLD, strict=True))
    numbers = {
        **dict(zip(("on", "out", "far"), means, strict=True)),
        "falls": f"{sum(falls)} of {len(falls)} seeds",
        "fresh": max(run["places"]["before training"]["norm"][1] for run in runs),
    }
    return Reading(REPRODUCED if held else CONDITIONAL if all(falls) else NOT, numbers)


def simple_inputs() -> Reading:
    models = [
        model
        for model in result("benchmarks/ood")["models"]
        if model["id"] == "MNIST" and model["model"].startswith("k = 32, seed")
    ]

    def areas(detector: str, kind: str) -> list[float]:
        return [next(row["auroc"] for row in rows(model, detector) if row["ood"] == kind) for model in models]

    below = [a < b for a, b in zip(areas("trajectory", NOISE), areas("knn", NOISE), strict=True)]
    numbers = {
        "noise": Mean(areas("trajectory", NOISE), 0, 1),
        "fashion": Mean(areas("trajectory", "FashionMNIST"), 0, 1),
        "knn_noise": fmean(areas("knn", NOISE)),
        "knn_fashion": fmean(areas("knn", "FashionMNIST")),
    }
    return Reading(all_some_none(below), numbers)


NOISE = "uniform noise"


def parts(kind: str) -> list[dict[str, float]]:
    found = result("reproduce/replication")["parts"]
    return [part for name, part in found.items() if name.startswith(f"{kind}, ")]


def stop_rule() -> Reading:
    found = result("reproduce/replication")["parts"]["stop rule"]
    far, honest = found["stopped"] > 0.1, found["called"] == 0
    return Reading(REPRODUCED if far and honest else NOT, found)


def cosine() -> Reading:
    draws = parts("cosine")
    more = [one["distance"] / one["cosine"] for one in draws]
    numbers = {key: Mean([one[key] for one in draws], 0) for key in ("cosine", "distance", "polished")}
    return Reading(REPRODUCED if min(more) >= 10 else CONDITIONAL if min(more) > 1 else NOT, numbers)


def closed_curve() -> Reading:
    draws = parts("closed curve")
    shares = [100 * one["trained"] / one["encodings"] for one in draws]
    share = Mean(shares, 0, 100)
    told = share.low <= 38 <= share.high or all(abs(one - 38) <= 10 for one in shares)
    numbers = {
        "share": share,
        "fresh": f"{sum(one['fresh'] for one in draws):.0f} of {sum(one['encodings'] for one in draws):.0f}",
    }
    return Reading(REPRODUCED if told else CONDITIONAL if min(shares) > 0 else NOT, numbers)


def levels() -> Reading:
    draws = parts("levels")
    unseen, noise = (Mean([one[key] for one in draws], 0, 1) for key in ("unseen", "noise"))
    told = abs(unseen.value - 0.86) <= 0.02 and abs(noise.value - 0.52) <= 0.02
    above = all(one["unseen"] > one["noise"] for one in draws)
    return Reading(REPRODUCED if told else CONDITIONAL if above else NOT, {"unseen": unseen, "noise": noise})
