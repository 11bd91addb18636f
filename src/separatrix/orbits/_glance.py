"""A glance at a field is a few short orbits, and no attractor: every snapshot and every forecast begin with one, and some snapshots are one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.field import LatentField
from separatrix.orbits._iterate import run_orbits
from separatrix.orbits._result import Orbits
from separatrix.protocol import Protocol
from separatrix.starts import Starts

GLANCE_STARTS = 8
GLANCE_STEPS = 16  # the rate is measured over 8 of them

_RULES = Protocol(max_steps=GLANCE_STEPS)


@dataclass(frozen=True)
class Glance:
    """It tells what the first eight starts do in sixteen steps. The same in every snapshot of a training, so that all can be compared.

    Attributes:
        settled: share of the orbits that met the stop rule. Where they rest may be an attractor or a slow passage: nothing was
            polished or confirmed.
        speed: median of ‖f(z) − z‖ at their ends, over the spread of these starts; None where f is not finite.
        contraction: median ratio of successive steps at their ends, over the last eight steps. An orbit is a power iteration of
            the Jacobian, so that near a limit this tends to its ρ, from no product and no Jacobian; farther away it is what one
            step does there. None where it cannot be told from rounding.
        evaluations: work, in map evaluations.
        passes: of the network, one after the other.
        steps_to_rest: how many steps the slowest of the orbits would make to its stop rule, at the pace of its last ones; infinite
            if it does not contract. An estimate of what a search would cost, no more.
    """

    settled: float
    speed: float | None
    contraction: float | None
    evaluations: float
    passes: int
    steps_to_rest: float


def glance(field: LatentField, starts: Starts) -> Glance:
    """Follow the first starts for a few steps. Cost: at most 17 map evaluations per start.

    >>> from separatrix import starts
    >>> half = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(1,), dtype=torch.float64)
    >>> seen = glance(half, starts.box(64, -1, 1, seed=0))
    >>> seen.settled, round(seen.contraction, 9), seen.evaluations, round(seen.steps_to_rest)
    (0.0, 0.5, 136.0, 16)
    """
    orbits = run_orbits(field, starts[: min(GLANCE_STARTS, len(starts))], _RULES)
    return Glance(
        settled=float(orbits.reached.double().mean()),
        speed=_median(orbits.residual / orbits.spread),
        contraction=_median(orbits.rate),
        evaluations=orbits.cost.total,
        passes=int(orbits.steps.max()) + 1,
        steps_to_rest=float(_steps_to_rest(orbits).max()),
    )


def _steps_to_rest(orbits: Orbits) -> Tensor:
    """``(n,)`` float64: the steps made, and those until ‖step‖·rateᵗ is below the tolerance."""
    ratio = orbits.residual / (_RULES.tolerance * orbits.spread)
    further = ratio.log().clamp(min=0.0) / -orbits.rate.log()
    further = torch.where(orbits.rate < 1, further, torch.inf)
    return orbits.steps + torch.where(orbits.reached, 0.0, further)


def _median(values: Tensor) -> float | None:
    """Take the median of the known ones; None if they are fewer than half of all."""
    known = values[values.isfinite()]
    return float(known.median()) if 2 * len(known) >= len(values) else None
