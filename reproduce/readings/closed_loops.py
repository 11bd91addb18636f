"""Residuals and norms along orbits of masked autoencoders and of encoders with a decoder of their own."""

from __future__ import annotations

from statistics import median
from typing import Any

from readings._record import CONDITIONAL, NOT, REPRODUCED, Mean, Reading, result

SMALL, LARGE = 0.1, 10.0  # a residual that has shrunk, a norm that has grown


def fall(part: dict[str, Any], column: str) -> float:
    """The median at the last step over that at step 1."""
    values = part[column]["median"]
    return values[-1] / values[1] if values[1] else 0.0


def of(kind: str, columns: tuple[str, ...]) -> Reading:
    parts = result("reproduce/closed_loops")["parts"]
    trained = [part for name, part in parts.items() if name.startswith(f"{kind}, trained")]
    fresh = [part for name, part in parts.items() if name.startswith(f"{kind}, untrained")]
    shrinks = [all(fall(part, column) < SMALL for column in columns) for part in trained]
    bounded = [part["largest"] <= LARGE for part in trained]
    both = [a and b for a, b in zip(shrinks, bounded, strict=True)]
    some = any(both) or all(shrinks) or all(bounded)
    numbers = {
        "ratio": Mean((fall(part, "residual") for part in trained), 0),
        "output": Mean((fall(part, "output_residual") for part in trained), 0),
        "fresh": median(fall(part, "residual") for part in fresh),
        "largest": max(part["largest"] for part in trained),
        "steps": len(trained[0]["residual"]["median"]),
    }
    return Reading(REPRODUCED if all(both) else CONDITIONAL if some else NOT, numbers)


def masked() -> Reading:
    return of("masked", ("residual",))


def encoder_only() -> Reading:
    return of("encoder only", ("residual", "output_residual"))
