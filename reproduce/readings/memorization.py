"""Memorization and generalization across bottlenecks and training-set sizes, and the associative memory."""

from __future__ import annotations

from statistics import median
from typing import Any

from readings._record import CONDITIONAL, NOT, REPRODUCED, Mean, Reading, Share, all_some_none, result

Run = dict[str, Any]
SETS = ("MNIST", "FashionMNIST", "CIFAR-10")


def runs(part: str) -> list[Run]:
    return [run for run in result("reproduce/memorization")["runs"] if run["part"] == part]


def of(key: str, data: str, k: int) -> list[float]:
    return [run[key] for run in runs("bottleneck") if (run["data"], run["k"]) == (data, k)]


def bottlenecks() -> Reading:
    excess = [(run["k"], run["mem"] - run["mem_held_out"]) for run in runs("bottleneck")]
    two, more = ([value for k, value in excess if (k == 2) == which] for which in (True, False))
    small, large = ([r["called"] > 0 for r in runs("bottleneck") if (r["k"] <= 16) == which] for which in (True, False))
    falls = [median(of("mem", data, 16)) > median(of("mem", data, 512)) for data in SETS]
    learns = [median(of("test_error", data, 2)) > median(of("test_error", data, 512)) for data in SETS]
    assert all(learns)  # the sentence says so
    copies = sum(small) > 0
    above, below = sum(value > 0 for value in two), sum(value < 0 for value in more)
    if above == len(two) and below == len(more):
        verdict = REPRODUCED if all(falls) and all(learns) and copies else CONDITIONAL
    else:
        verdict = NOT
    numbers = {
        "above": above,
        "two": len(two),
        "below": below,
        "more": len(more),
        "medians": [median(of("mem", data, k)) for data in SETS for k in (16, 512)],
        "small": (sum(small), len(small)),
        "large": (sum(large), len(large)),
        "at_2": Mean(run["mem"] - run["mem_held_out"] for run in runs("bottleneck") if _is(run, "MNIST", 2)),
        "at_512": Mean(run["mem"] - run["mem_held_out"] for run in runs("bottleneck") if _is(run, "MNIST", 512)),
        "null": median(run["mem_held_out"] for run in runs("bottleneck") if run["data"] == "MNIST"),
        "noise": median(run["mem_noise"] for run in runs("bottleneck") if run["data"] == "MNIST"),
    }
    return Reading(verdict, numbers)


def _is(run: Run, data: str, k: int) -> bool:
    return (run["data"], run["k"]) == (data, k)


def components() -> Reading:
    small, large = ([r["components"] for r in runs("bottleneck") if (r["k"] <= 16) == which] for which in (True, False))
    rises = median(large) > median(small)
    numbers = {
        "small": median(small),
        "large": median(large),
        "fashion": (median(of("components", "FashionMNIST", 16)), median(of("components", "FashionMNIST", 128))),
        "mnist": (median(of("components", "MNIST", 128)), median(of("components", "MNIST", 512))),
        "at_2": Mean(of("components", "MNIST", 2), 1),
        "at_512": Mean(of("components", "MNIST", 512)),
        "images": median(run["components_of_images"] for run in runs("bottleneck")),
    }
    return Reading(REPRODUCED if rises else NOT, numbers)


def few_images() -> Reading:
    few, many = ([run for run in runs("size") if run["images"] == count] for count in (20, 5000))
    more = [a["called"] / a["attractors"] > b["called"] / b["attractors"] for a, b in zip(few, many, strict=True)]
    numbers = {
        "few": [part for run in few for part in (run["called"], run["attractors"])],
        "called": Share(sum(run["called"] for run in few), sum(run["attractors"] for run in few)),
        "many": Share(sum(run["called"] for run in many), sum(run["attractors"] for run in many)),
        "of_many": sum(run["attractors"] for run in many),
    }
    assert sum(run["called"] for run in many) == 0  # the sentence says so
    return Reading(all_some_none(more), numbers)


def memory() -> Reading:
    found = runs("memory")
    codes = sorted(run["attracting_codes"] for run in found)
    stored = [count / 50 for count in codes]
    verdict = REPRODUCED if min(stored) >= 0.9 else CONDITIONAL if min(stored) > 0 else NOT
    returned = [sum(run["returned"].values()) for run in found]
    numbers = {
        "codes": codes,
        "mean": Mean(codes, 0, 50),
        "returned": Mean(returned, 0),
        "damaged": 50 * len(found[0]["returned"]),
        "null": median(run["mem_held_out"] for run in found),
        "mem": Mean((run["mem"] for run in found), most=1),
        "loss": max(run["loss"] for run in found),
    }
    return Reading(verdict, numbers)
