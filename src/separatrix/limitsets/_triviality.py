"""Is the field trivial? One attractor that takes everything within a few steps says nothing about the data.

An untrained network does exactly that, so this question comes before any reading of attractors as a dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import torch

from separatrix.limitsets._sets import Kind, LimitSets
from separatrix.storage import storable
from separatrix.words import Readable, Statement, counted

TAKES_ALL = 0.99  # share of starts on one attracting point
FAST = 25.0  # median steps to the protocol's tolerance (1e-5: a rate of about 0.6 per step) that count as a few


@storable
class Dominance(StrEnum):
    """The memory that one attractor takes."""

    TRIVIAL = "trivial"
    SINGLE_MODE = "single mode"
    NOT_TRIVIAL = "not trivial"
    NO_ATTRACTOR = "no attractor"


@dataclass(frozen=True)
class Triviality(Readable):
    """The answer, whose code is a `Dominance`."""

    _facts: ClassVar[tuple[str, ...]] = ("trivial",)

    statement: Statement

    @property
    def trivial(self) -> bool:
        """One point takes nearly everything within a few steps."""
        return self.statement.code is Dominance.TRIVIAL

    def __repr__(self) -> str:
        return f"Triviality({self.statement})"


def triviality(limits: LimitSets) -> Triviality:
    """Trivial: one fixed point attracts at least 99 % of the starts in a median of at most 25 steps.

    >>> from separatrix import LatentField, find_attractors
    >>> field = LatentField.from_map(lambda z: 0.1 * z, latent_shape=(1,), dtype=torch.float64)
    >>> triviality(find_attractors(field, torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None])).trivial
    True
    """
    attractors = limits.attractors
    if not len(limits.labels) or not len(attractors):
        return Triviality(
            Statement("No attractor was found, so there is nothing to be trivial or not.", "", Dominance.NO_ATTRACTOR)
        )
    share = float(attractors.fractions.max())
    winner = int(attractors.fractions.argmax())
    if share < TAKES_ALL or int(attractors.kind[winner]) != int(Kind.FIXED_POINT):
        return Triviality(
            Statement(
                "Not trivial",
                f"the largest basin holds {100 * share:.0f} % of the starts, among {counted(len(attractors), 'attractor')}.",
                Dominance.NOT_TRIVIAL,
            )
        )
    there = (attractors.labels == winner) & limits.orbits.followed
    steps = float(limits.orbits.steps[there].to(torch.float64).quantile(0.5))
    if steps <= FAST:
        return Triviality(
            Statement(
                "Trivial",
                f"one point takes {100 * share:.1f} % of the starts in a median of {steps:.0f} steps, as an untrained network would; it "
                "is no dictionary of anything.",
                Dominance.TRIVIAL,
            )
        )
    return Triviality(
        Statement(
            f"One point takes {100 * share:.1f} % of the starts, slowly (median {steps:.0f} steps)",
            "a single mode, not a dictionary.",
            Dominance.SINGLE_MODE,
        )
    )
