"""Phrases of docs/scale.md, bound to the committed measurements."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from bound import Bound, result, span

AS_IT_IS, BOTH = "as it is", "both"


def plan(what: str) -> Sequence[Any]:
    one = result("benchmarks/plan")["summary"][what]
    return [one["within"], one["searches"], one["least"], one["largest"]]


def sizes() -> Sequence[Any]:
    """Memory and disk over what was foretold."""
    summary = result("benchmarks/plan")["summary"]
    return [summary[what][end] for what in ("memory", "disk") for end in ("least", "largest")]


def speeds() -> Sequence[Any]:
    one = result("benchmarks/scale")["speed"]["conv32"]
    seconds = one["seconds"]
    return [
        one["starts"],
        one["model"],
        seconds["1 worker"],
        seconds["2 workers"],
        seconds["1 worker"] / seconds["2 workers"],
        seconds["1 worker"] / seconds["Ray, 2"],
    ]


def parts() -> Sequence[Any]:
    (row,) = result("benchmarks/scale")["overhead"].values()
    pool, cut, worker = (row["seconds"][way] for way in ("one pool", "parts", "one worker"))
    return [100 * (cut / pool - 1), row["starts"], 100 * (worker / pool - 1)]


def coordinator() -> Sequence[Any]:
    one = result("benchmarks/scale")["coordinator"]
    return [one["starts"], one["sets"], one["peak_mib"], one["longest_settling"]]


def again() -> Sequence[Any]:
    one = result("benchmarks/scale")["rerun"]
    assert one["parts_again"] == 0
    return [one["parts"], one["seconds"]]


def validation() -> Sequence[Any]:
    rows = result("benchmarks/barriers")["validation"]
    ratios = [row["seconds"] / row["simulated"] for row in rows]
    odd = min(ratios)
    rest = span([ratio for ratio in ratios if ratio != odd])
    return [len(ratios), len(ratios) - 1, *rest, odd]


def efficiencies(variant: str) -> Sequence[Any]:
    """Of the models whose evaluation takes 10 ms, at 10, 100 and 1000 workers: from the least to the largest."""
    rows = [
        row
        for row in result("benchmarks/barriers")["rows"]
        if (row["variant"], row["evaluation"]) == (variant, "10 ms")
    ]
    found: list[float] = []
    for workers in (10, 100, 1000):
        found += span(100 * row["efficiency"] for row in rows if row["workers"] == workers)
    return found


def cheap() -> Sequence[Any]:
    """One worker of small models, as it is and with small parts."""
    rows = [
        row for row in result("benchmarks/barriers")["rows"] if row["evaluation"] == "measured" and row["workers"] == 1
    ]
    return [
        end
        for variant in (AS_IT_IS, BOTH)
        for end in span(100 * row["efficiency"] for row in rows if row["variant"] == variant)
    ]


def larger() -> Sequence[Any]:
    rows = {row["variant"]: row for row in result("benchmarks/barriers")["larger"]}
    return [rows[BOTH]["starts"], 100 * rows[AS_IT_IS]["efficiency"], 100 * rows[BOTH]["efficiency"]]


def paper(*names: str) -> Sequence[Any]:
    one = result("benchmarks/barriers")["on_paper"]
    return [one[name] for name in names]


def alone() -> Sequence[Any]:
    """Efficiency of one worker on a shard of a million, at 10 ms."""
    rows = result("benchmarks/barriers")["rows"]
    (one,) = [
        row for row in rows
        if (row["model"], row["evaluation"], row["variant"], row["workers"]) == ("demo", "10 ms", AS_IT_IS, 1)
    ]  # fmt: skip
    return [100 * one["efficiency"]]


def soak() -> Sequence[Any]:
    rows = result("benchmarks/soak")["rows"]
    kills = sum(sum(row["kills"].values()) for row in rows)
    runs, equal = sum(row["runs"] for row in rows), sum(row["equal"] for row in rows)
    assert runs == equal
    return [kills, runs, len(rows)]


def slow() -> Sequence[Any]:
    """Slow parts that are waited for, against those that are given again, at a thousand workers: median of the models."""
    rows = [
        row for row in result("benchmarks/barriers")["rows"] if row["evaluation"] == "10 ms" and row["workers"] == 1000
    ]
    taken = {row["variant"]: [] for row in rows}
    for row in rows:
        taken[row["variant"]].append(row["seconds"])
    pairs = zip(taken["both, slow parts never given again"], taken[BOTH], strict=True)
    return [statistics.median(never / given for never, given in pairs)]


SCALE = [
    Bound(
        "evaluations lay in the interval of {} of {} searches, and were {:.2f} to {:.2f} times the expected ones",
        lambda: plan("evaluations"),
    ),
    Bound("the processor's seconds in that of {} of {}, {:.2f} to {:.1f} times", lambda: plan("seconds")),
    Bound("memory was {:.2f} to {:.2f} times, disk {:.2f} to {:.2f} times what was foretold", sizes),
    Bound(
        "a search of {:,} starts on {} took {:.0f} s with one worker and {:.0f} s with two, {:.2f} times as quick; two actors of Ray were {:.2f} times as quick as one worker",
        speeds,
    ),
    Bound(
        "Parts cost {:.1f} % more processor time than one pool in a search of {:,} starts, and one worker {:.1f} %, its start included",
        parts,
    ),
    Bound(
        "A coordinator of {:,} starts and {:,} limit sets took {:.0f} MiB, and its longest settling {:.1f} s",
        coordinator,
    ),
    Bound("A finished run of {} parts is read again in {:.2f} s", again),
    Bound(
        "Of {} real searches it foretold {} to {:.2f} to {:.2f} of their time, and one, whose orbits become longer with the number of starts, to {:.2f}",
        validation,
    ),
    Bound(
        "With evaluations of 10 ms it is used to {:.0f} to {:.0f} % by 10 workers, {:.1f} to {:.1f} % by 100, and {:.1f} to {:.1f} % by 1000",
        lambda: efficiencies(AS_IT_IS),
    ),
    Bound("then {:.0f} to {:.0f} %, {:.0f} to {:.0f} % and {:.0f} to {:.0f} %", lambda: efficiencies(BOTH)),
    Bound("falls from between {:.0f} and {:.0f} % to between {:.0f} and {:.0f} %", cheap),
    Bound("Ten times as many starts, {:,}, are used to {:.0f} % as it is and to {:.0f} % so", larger),
    Bound("takes {:.1f} times as long where that is switched off", slow),
    Bound("{:.1f} days", lambda: paper("days")),
    Bound("{:.0f} evaluations per orbit", lambda: paper("steps")),
    Bound("{:.1f} TB", lambda: paper("traffic_tb")),
    Bound("{:.1f} hours at 10 Gbit/s", lambda: paper("traffic_hours")),
    Bound("{:.0f} GB of columns", lambda: paper("ledger_gb")),
    Bound("{:.1f} hours of settling", lambda: paper("coordinator_hours")),
    Bound("a result of {:.0f} GB", lambda: paper("result_gb")),
    Bound("{:,} searches of {:,} starts each", lambda: paper("shards", "shard")),
    Bound("{:.0f} MB of columns each", lambda: [1000 * paper("shard_ledger_gb")[0]]),
    Bound("is used to {:.0f} % of its time", alone),
    Bound("{:,} starts are followed for certain in each", lambda: paper("shard_sample")),
    Bound("{:,} kills in {} runs of {} pairs of recipe and engine", soak),
]
