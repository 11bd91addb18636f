"""What becomes of the attractors along a training."""

from __future__ import annotations

from typing import Any

from readings._record import CONDITIONAL, NOT, REPRODUCED, Mean, Reading, Share, all_some_none, result, span

Run = dict[str, Any]
SETS = ("mnist", "fashion_mnist")


def rows(data: str) -> list[list[Run]]:
    return [run["rows"] for run in result(f"reproduce/training_dynamics_{data}")["runs"]]


def excess(row: Run) -> float:
    return row["memorization"] - row["null"]


def multiply() -> Reading:
    before = {of[0]["attractors"] for data in SETS for of in rows(data)}
    more = [of[-1]["attractors"] > of[0]["attractors"] for data in SETS for of in rows(data)]
    (one,) = before
    ((epochs),) = {of[-1]["epoch"] for data in SETS for of in rows(data)}
    ends = {data: [of[-1]["attractors"] for of in rows(data)] for data in SETS}
    numbers = {
        "before": one,
        "epochs": epochs,
        "mnist": span(ends["mnist"]),
        "fashion": span(ends["fashion_mnist"]),
        "mean": Mean(ends["mnist"], 0),
        "mean_fashion": Mean(ends["fashion_mnist"], 0),
    }
    return Reading(all_some_none(more) if one == 1 else NOT, numbers)


def before_the_fall() -> Reading:
    starts, fallen = {}, {}
    for data in SETS:
        starts[data] = -max(excess(of[0]) for of in rows(data))
        shares = []
        for of in rows(data):
            first, top, last = (row["test_error"] for row in (of[0], max(of, key=excess), of[-1]))
            shares.append(100 * (first - top) / (first - last))
        fallen[data] = shares
    early = []
    for data in SETS:
        most = [max(excess(row) for row in of if 0 < row["epoch"] <= 10) for of in rows(data)]
        holds = [value > 0 and value > excess(of[-1]) for value, of in zip(most, rows(data), strict=True)]
        early += [sum(holds), len(holds)]
    high_first = [share < 50 for data in SETS for share in fallen[data]]
    numbers = {
        "below": list(starts.values()),
        "mnist": span(fallen["mnist"]),
        "fashion": span(fallen["fashion_mnist"]),
        "mean": Mean(fallen["mnist"], 0, 100),
        "mean_fashion": Mean(fallen["fashion_mnist"], 0, 100),
        "early": early,
        "null": sum(of[0]["null"] for of in rows("mnist")) / len(rows("mnist")),
    }
    return Reading(all_some_none(high_first), numbers)


def settle() -> Reading:
    last = [of[-2:] for data in SETS for of in rows(data)]
    ((before, after),) = {(a["epoch"], b["epoch"]) for a, b in last}
    moves = [abs(b["attractors"] - a["attractors"]) for a, b in last]
    low, high = span(moves)
    numbers = {"before": before, "after": after, "low": low, "high": high, "mean": Mean(moves, 0)}
    return Reading(all_some_none([move <= 1 for move in moves]), numbers)


def noise() -> Reading:
    near, apart, ends = [], [], []
    for data in SETS:
        runs = rows(data)
        first = [next(row for row in of if row["distance"] > 0.01) for of in runs]
        near.append([of[-1]["distance"] < row["distance"] for of, row in zip(runs, first, strict=True)])
        apart.append([abs(of[-1]["separable"] - 0.5) > 0.4 for of in runs])
        ends += [of[-1]["separable"] for of in runs]
    closer, farther = ([one for holds in of for one in holds] for of in (near, apart))
    both = [a and b for a, b in zip(closer, farther, strict=True)]
    some = any(closer) or any(farther)
    numbers = {
        "near": [part for holds in near for part in (sum(holds), len(holds))],
        "apart": [part for holds in apart for part in (sum(holds), len(holds))],
        "share": Share(sum(closer), len(closer)),
        "area": Mean(ends, 0, 1),
    }
    return Reading(REPRODUCED if all(both) else CONDITIONAL if some else NOT, numbers)
