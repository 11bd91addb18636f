"""Does the exponent of the basin boundaries foretell what a disturbance changes?"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from readings._record import CONDITIONAL, NOT, REPRODUCED, Mean, Reading, result, span

RIVALS = {"error": "foretold", "smooth": "foretold_smooth", "converged": "converged"}


def exponent() -> Reading:
    parts = result("reproduce/boundaries")["parts"]
    networks: dict[str, Any] = {name: one for name, one in parts.items() if name != "oracle"}
    usable = {name: one for name, one in networks.items() if one["changed_at_least"] >= 10}
    judged = usable or {name: one for name, one in networks.items() if one["alpha"] is not None}
    errors = {name: fmean(abs(one[key] - one["kept"]) for one in judged.values()) for name, key in RIVALS.items()}
    within = sum(abs(one["foretold"] - one["kept"]) <= 0.05 for one in judged.values())
    better = errors["error"] < min(errors["smooth"], errors["converged"])
    low, high = span(one["alpha"] for one in judged.values())
    numbers = {
        **errors,
        "alpha": Mean([one["alpha"] for name, one in networks.items() if name.startswith("mnist_k2")]),
        "oracle": parts["oracle"]["alpha"],
        "low": low,
        "high": high,
        "networks": len(judged),
        "within": within,
        "most": max(one["changed_at_least"] for one in networks.values()),
    }
    return Reading(NOT if not better else REPRODUCED if within == len(judged) and usable else CONDITIONAL, numbers)
