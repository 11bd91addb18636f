"""The fields of autoencoders with k = 2."""

from __future__ import annotations

from readings._record import Mean, Reading, all_some_none, result, span


def planar() -> Reading:
    parts = list(result("reproduce/fields")["parts"].values())
    holds = [one["reached"] >= 0.95 and one["attractors"] >= 2 for one in parts]
    low, high = span(one["attractors"] for one in parts)
    numbers = {
        "attractors": Mean([one["attractors"] for one in parts], 0),
        "reached": Mean([100 * one["reached"] for one in parts], 0, 100),
        "untrained": " and ".join(sorted({str(one["untrained"]) for one in parts})),
        "low": low,
        "high": high,
        "least": min(100 * one["reached"] for one in parts),
    }
    return Reading(all_some_none(holds), numbers)
