"""Where maps contract, at first and after training, and whether that tells how long orbits take."""

from __future__ import annotations

from statistics import median
from typing import Any

from readings._record import CONDITIONAL, NOT, REPRODUCED, Mean, Reading, Share, all_some_none, result, span

Run = dict[str, Any]
PLACES = ("on the data", "just outside", "far away")


def norms(place: str) -> list[float]:
    return [run["places"][place]["norm"][1] for run in result("reproduce/contraction")["runs"]]


def off_the_data() -> Reading:
    on, out, far = (norms(place) for place in PLACES)
    falls = sum(a > b > c for a, b, c in zip(on, out, far, strict=True))
    runs = [run for run in result("reproduce/memorization")["runs"] if run["part"] == "bottleneck"]
    places = [[run["norms"][place] for place in PLACES] for run in runs]
    wide = [run["data"] == "CIFAR-10" and run["k"] >= 16 for run in runs]
    assert wide == [c >= 1 for _, _, c in places]  # the sentence says that these are the exceptions
    below, swept = sum(norm < 1 for norm in far), sum(a > b > c for a, b, c in places)
    verdict = REPRODUCED if falls == below == len(on) else CONDITIONAL if 2 * min(falls, below) >= len(on) else NOT
    numbers = {
        "falls": falls,
        "models": len(on),
        "below": below,
        "falling": Share(falls, len(on)),
        "fresh": span(norms("before training")),
        "runs": len(runs),
        "swept": swept,
        "swept_below": len(runs) - sum(wide),
    }
    return Reading(verdict, numbers)


def on_the_data() -> Reading:
    on = norms("on the data")
    about = sum(0.8 <= norm <= 1.25 for norm in on)
    trained_here = [
        run["places"]["on the data"]["norm"][1]
        for run in result("reproduce/contraction")["runs"]
        if run["model"].startswith("mnist_k2")
    ]
    verdict = REPRODUCED if about == len(on) else CONDITIONAL if 2 * about >= len(on) else NOT
    low, high = span(on)
    numbers = {"low": low, "high": high, "about": about, "models": len(on), "share": Share(about, len(on))}
    return Reading(verdict, numbers | {"k2": Mean(trained_here), "fresh": span(norms("before training"))[1]})


def untrained() -> Reading:
    fresh, rows = norms("before training"), result("reproduce/initialisation")["rows"]
    bare = [row["median_without_final_norm"] for row in rows if row["median_without_final_norm"] is not None]
    shrink = [row["largest"] < 1 for row in rows]
    whole = result("reproduce/model_families")["rows"]
    numbers = {
        "fresh": sum(norm < 1 for norm in fresh),
        "autoencoders": len(fresh),
        "shrink": sum(shrink),
        "backbones": len(rows),
        "share": Share(sum(shrink), len(rows)),
        "bare": sum(ratio < 1 for ratio in bare),
        "of_bare": len(bare),
        "whole": sum(row["ratio"] < 1 for row in whole),
        "architectures": len(whole),
        "steep": sum(row["norm"] > 1 for row in whole),
        "median": median(row["median"] for row in rows),
        "seeds": result("reproduce/initialisation")["seeds"],
    }
    return Reading(all_some_none(shrink), numbers)


def steps() -> Reading:
    runs = [run for run in result("reproduce/contraction")["runs"] if "laws" in run]
    k2 = [run for run in runs if run["model"].startswith("mnist_k2")]

    def pearson(of: list[Run], law: str) -> list[float]:
        return [run["laws"][law]["pearson"] for run in of]

    before = [
        run["laws"]["both"]["entered_median"] / median(run["laws"]["as published"]["measured"])
        for run in runs
        if run["laws"]["both"]["orbits"]
    ]
    published = pearson(k2, "as published")
    near = pearson(k2, "both")
    verdict = all_some_none([value >= 0.95 for value in published])
    numbers = {
        "k2": span(published),
        "seeds": Mean(published, most=1),
        "within": span(run["laws"]["as published"]["within"] for run in k2),
        "all": span(pearson(runs, "as published")),
        "models": len(runs),
        "near": span(near),
        "near_all": span(pearson(runs, "both")),
        "way": 100 * median(before),
    }
    return Reading(verdict, numbers)
