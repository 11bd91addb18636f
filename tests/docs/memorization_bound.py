"""docs/memorization.md, the audits of models whose truth is known, against the committed results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from bound import Bound, result

from separatrix.numerics._intervals import clopper_pearson

EXCEEDED, WITHIN, UNSAID = "budget exceeded", "within budget", "cannot say"
CLEAN, LEAKED = "as they are", "{} % of the held-out images leaked"
REPEATED = ("every training image twelve times", "the same, up to one of 255 grey levels apart")


def decided(kind: str, data: str) -> Counter[str]:
    return Counter(
        row["decision"] for row in result("benchmarks/audit")["runs"] if (row["kind"], row["data"]) == (kind, data)
    )


def only(kind: str, data: str, decision: str) -> int:
    """How many audits of these models on these data there are, all of which decide so."""
    ((found, count),) = decided(kind, data).items()
    assert found == decision
    return count


def clean() -> Sequence[Any]:
    memorizing, well = only("memorizing", CLEAN, EXCEEDED), only("well trained", CLEAN, WITHIN)
    low, high = clopper_pearson(torch.tensor([memorizing]), memorizing)
    return memorizing, memorizing, float(low), float(high), 0, well


def kept() -> Sequence[Any]:
    counts = {only("memorizing", data, EXCEEDED) for data in (LEAKED.format(2.5), LEAKED.format(5), *REPEATED)}
    only("well trained", LEAKED.format(5), WITHIN)
    return list(counts)


def unsaid() -> Sequence[Any]:
    counts = {only("memorizing", LEAKED.format(share), UNSAID) for share in (10, 100)}
    return *counts, only("well trained", LEAKED.format(10), UNSAID)


def never() -> Sequence[Any]:
    rows = result("benchmarks/audit")["runs"]
    assert not any(row["decision"] == {"memorizing": WITHIN, "well trained": EXCEEDED}[row["kind"]] for row in rows)
    return [sum(row["kind"] == kind for row in rows) for kind in ("memorizing", "well trained")]


def unseen() -> Sequence[Any]:
    rows = [row for row in result("benchmarks/audit")["runs"] if row["data"] == CLEAN]
    return sum(row["unseen_called"] == 0 for row in rows), len(rows)


MEMORIZATION = [
    Bound("the budget is exceeded for {} of {} that were trained to memorize (95 % interval {:.2f} to {:.2f}) and for {} of {} that were trained "
          "well, all of which are within", clean),
    Bound("equal or nearly, the {} are exceeded as before", kept),
    Bound("the audit cannot say, of {} that memorize and, with 10 %, of {} trained well", unsaid),
    Bound("None of the {} audits of a memorizing model ends within the budget, none of the {} of one trained well exceeds it", never),
    Bound("none is called, on {} of {} models", unseen),
]  # fmt: skip
