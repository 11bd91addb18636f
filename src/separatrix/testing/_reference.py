"""The slow truth: plain float64 iteration, with nothing clever in it, to compare every faster method with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.field import LatentField
from separatrix.limitsets import LimitSets
from separatrix.numerics import nearest
from separatrix.words import one_line

_CHUNK = 128


@dataclass(frozen=True)
class PlainEnds:
    """It tells where plain iteration ended: ``end`` ``(n, *latent)`` float64 and ``steps`` ``(n,)``, −1 if the cap was reached."""

    end: Tensor
    steps: Tensor

    __repr__ = one_line


@checked
def plain_float64(field: LatentField, starts: Tensor, *, step: float = 1e-12, cap: int = 20_000) -> PlainEnds:
    """z ← f(z) in float64 until ‖f(z) − z‖ < ``step`` or ``cap`` steps; finished orbits are dropped.

    >>> field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(1,), dtype=torch.float64)
    >>> plain_float64(field, torch.ones(1, 1)).steps.item()
    39
    """
    fine = field.to(dtype=torch.float64)
    end = starts.to(fine.device, torch.float64).clone()
    steps = torch.full((len(end),), -1, dtype=torch.int64, device=end.device)
    active = torch.arange(len(end), device=end.device)
    with fine.guest():
        for count in range(1, cap + 1):
            if not len(active):
                break
            image = torch.cat([fine.bare(part) for part in end[active].split(_CHUNK)])
            done = (image - end[active]).flatten(1).norm(dim=1) < step
            end[active] = image
            steps[active[done]] = count - 1
            active = active[~done]
    return PlainEnds(end, steps)


@dataclass(frozen=True)
class Fidelity:
    """Agreement of a search with plain iteration on the starts for which plain iteration ended."""

    agreeing: int
    compared: int

    @property
    def share(self) -> float:
        """1.0 if nothing was compared."""
        return self.agreeing / self.compared if self.compared else 1.0


@checked
def basin_fidelity(limits: LimitSets, plain: PlainEnds, *, within: float = 1e-6) -> Fidelity:
    """For how many starts the set found is the one that plain iteration ends on.

    A start agrees if the plain end point lies within ``within`` × spread of a point of the very set its label names.
    """
    settled = plain.steps >= 0
    everything = [limits.trace(number) for number in range(len(limits))]
    owner = torch.tensor([n for n, trace in enumerate(everything) for _ in trace], device=limits.labels.device)
    if not len(owner):
        return Fidelity(0, int(settled.sum()))
    neighbour = nearest(plain.end[settled].to(limits.points.dtype), torch.cat(everything))
    agree = (owner[neighbour.index] == limits.labels[settled]) & (neighbour.distance <= within * limits.spread)
    return Fidelity(int(agree.sum()), int(settled.sum()))
