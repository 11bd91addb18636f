"""The currency of cost: how often the latent map was evaluated, and how many derivative products were taken."""

from __future__ import annotations

from dataclasses import dataclass

VJP_WEIGHT = 2.0
JVP_WEIGHT = 4.0


@dataclass(frozen=True)
class Cost:
    """Counts for whole batches: a batch of n latents through f is n map evaluations.

    ``total`` expresses derivative products in map evaluations by their measured weights on convolutional and dense
    networks (one row of vjp about 2, one of jvp about 4).

    >>> (Cost(map=10) + Cost(vjp=3)).total
    16.0
    """

    map: int = 0
    vjp: int = 0
    jvp: int = 0

    @property
    def total(self) -> float:
        """All work, in map evaluations."""
        return self.map + VJP_WEIGHT * self.vjp + JVP_WEIGHT * self.jvp

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.map + other.map, self.vjp + other.vjp, self.jvp + other.jvp)


NO_WORK = Cost()
