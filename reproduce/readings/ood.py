"""The paper's score on inputs that are out of distribution, beside the baselines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import Any

from readings._record import Reading, Share, all_some_none, result, span

Row = dict[str, Any]


def rows(model: Row, detector: str, unseen: bool | None = None) -> Iterator[Row]:
    """Of one network and one detector, over known kinds, unseen ones, or both."""
    fresh = result("benchmarks/ood")["unseen"]
    for row in model["rows"]:
        if row["detector"] == detector and unseen in (None, row["ood"] in fresh):
            yield row


def mean(detector: str, unseen: bool, models: Iterable[Row] | None = None) -> float:
    chosen = result("benchmarks/ood")["models"] if models is None else models
    return fmean(row["auroc"] for model in chosen for row in rows(model, detector, unseen))


def inverted() -> Reading:
    record = result("benchmarks/ood")
    scored = [model for model in record["models"] if any(rows(model, "trajectory"))]
    surely = [
        any(row["high"] < 0.5 for row in rows(model, "trajectory") if row["ood"] in record["simple"])
        for model in scored
    ]
    others = [mean("trajectory", False, [model]) for model, turned in zip(scored, surely, strict=True) if not turned]
    parts = {
        kind: (mean(name, False), mean(name, True))
        for kind, name in {
            "score": "trajectory",
            "course": "course alone",
            "knn": "knn",
            "typicality": "typicality",
        }.items()
    }
    assert parts["course"][0] < parts["knn"][0]  # the sentence says so
    assert parts["course"][1] < parts["knn"][1]
    beats = [mean("trajectory", False, [model]) > mean("knn", False, [model]) for model in scored]
    accepted = [
        [100 * row["fpr95_id_kept"] for model in scored for row in rows(model, kind, False)]
        for kind in ("trajectory", "knn")
    ]
    numbers = {
        **parts,
        "surely": sum(surely),
        "scored": len(scored),
        "others": span(others),
        "beats": Share(sum(beats), len(beats)),
        "accepted": [fmean(values) for values in accepted],
    }
    return Reading(all_some_none(beats), numbers)
