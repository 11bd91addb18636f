"""Orbits of foundation models and of a language model."""

from __future__ import annotations

from readings._record import CONDITIONAL, NOT, REPRODUCED, Reading, Share, result


def taef2() -> Reading:
    record = result("reproduce/foundation_orbits")
    images = record["groups"]["ImageNet images"]["residual"]["median"]
    norm = max(max(group["norm"]["p95"]) for group in record["groups"].values())
    first = max(group["norm"]["p95"][0] for group in record["groups"].values())
    longer = [record["longer"][key] for key in ("last_step", "least", "largest", "orbits")]
    reached, orbits = sum(record["reached"].values()), record["starts"] * len(record["groups"])
    shrinks = all(
        group["residual"]["median"][-1] < group["residual"]["median"][0] for group in record["groups"].values()
    )
    numbers = {
        "first": images[0],
        "last": images[-1],
        "low": record["groups"]["ImageNet images"]["residual"]["p5"][-1],
        "high": record["groups"]["ImageNet images"]["residual"]["p95"][-1],
        "steps": record["steps"],
        "norm": norm,
        "longer": longer,
        "reached": reached,
        "orbits": orbits,
        "twins": (record["twins"][0], record["twins"][100]),
    }
    return Reading(REPRODUCED if shrinks and norm < 2 * first else CONDITIONAL if shrinks else NOT, numbers)


def language() -> Reading:
    record = result("reproduce/language_orbits")
    fresh = [model for name, model in record["models"].items() if name != "trained"]
    trained = record["models"]["trained"]
    share = trained["relative_residual"]["median"]
    bounded = trained["largest_norm"] < 10 * trained["norm"]["median"][1]
    shrinks = share[-1] < share[1] / 10
    at_rest = Share(trained["at_rest"], record["sequences"])
    numbers = {
        "at_rest": trained["at_rest"],
        "rest": at_rest,
        "sequences": record["sequences"],
        "steps": record["steps"],
        "fresh": sum(one["at_rest"] for one in fresh),
        "of_fresh": record["sequences"] * len(fresh),
        "ratio": share[1] / share[-1],
        "largest": trained["largest_norm"],
        "parameters": record["parameters"],
    }
    return Reading(REPRODUCED if bounded and shrinks else CONDITIONAL if bounded or shrinks else NOT, numbers)
