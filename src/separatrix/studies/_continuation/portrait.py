"""This file tells what matching looks at in the limit sets of one field, and what it remembers of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.limitsets import LimitSets
from separatrix.orbits import Status
from separatrix.studies._continuation.dissimilarity import sampled_trace

_OPEN = (Status.RUNNING, Status.SLOW, Status.WANDERING, Status.BUDGET)  # where such an orbit ends is not known


@dataclass(frozen=True, kw_only=True, eq=False)
class Portrait:
    """m limit sets and n starts.

    Attributes:
        traces: m tensors ``(p, *latent)``, at most 32 points evenly along each.
        decoded: what those decode to, ``(p, …)`` each; None if they were not decoded.
        hits: ``(m,)`` int64, starts that ended on the set.
        labels: ``(n,)`` int64, start → set, −1 for none; of starts that did not settle, the set of an earlier search.
        settled: ``(n,)`` bool, this search found where the start ends: on one of the sets, on one that was left out, or nowhere,
            as it left every bounded region. False if its orbit ran out of steps.
        followed: how many of the first starts this search followed; the others are remembered.
        rule: what the i-th start depends on.
        spread: of the starts.
        latent_shape: of a point.
    """

    traces: tuple[Tensor, ...]
    decoded: tuple[Tensor, ...] | None
    hits: Tensor
    labels: Tensor
    settled: Tensor
    followed: int
    rule: Mapping[str, Any]
    spread: float
    latent_shape: tuple[int, ...]

    @classmethod
    def of(cls, limits: LimitSets, decoded: Sequence[Tensor] | None = None) -> Self:
        """Make it of all sets of a search."""
        labels, status = limits.labels.cpu(), limits.orbits.status.cpu()
        unknown = torch.isin(status, torch.tensor([int(each) for each in _OPEN], dtype=status.dtype))
        starts = dict(limits.provenance.get("starts", {}))
        return cls(
            traces=tuple(sampled_trace(limits, index).detach().cpu() for index in range(len(limits))),
            decoded=None if decoded is None else tuple(decoded),
            hits=limits.hits.cpu(),
            labels=labels,
            settled=(labels >= 0) | ~unknown,
            followed=len(labels),
            rule={key: value for key, value in starts.items() if key != "last"},  # all but how many there are
            spread=limits.spread,
            latent_shape=tuple(limits.points.shape[1:]),
        )

    def __len__(self) -> int:
        return len(self.traces)

    @property
    def known(self) -> Tensor:
        """``(n,)`` bool: where the start ends is known, or remembered."""
        return self.settled | (self.labels >= 0)

    def out_of_sight(self, other: Portrait) -> Tensor:
        """``(m,)`` bool: at least half of the set's starts did not settle in the other search, or none was followed there.

        What became of such a set cannot be said from that search. Of starts that are not the same nothing is said at all.
        """
        try:
            count = min(shared_starts(self, other), other.followed)
        except InputError:
            return torch.zeros(len(self), dtype=torch.bool)
        labels = self.labels[:count]
        followed = self._count(labels)
        unsettled = self._count(labels[~other.settled[:count]])
        return (self._count(self.labels) > 0) & (2 * unsettled >= followed)

    def remembering(self, earlier: Portrait, place: Tensor) -> Portrait:
        """These sets, then those of an earlier portrait that are out of sight now; starts that did not settle keep their label.

        Args:
            earlier: the m sets before.
            place: ``(m,)`` int64, the number of each in the result, −1 if it is no more. Those from ``len(self)`` on are added.
        """
        count = max(len(self.labels), len(earlier.labels))
        labels, settled, remembered = (
            torch.full((count,), -1),
            torch.zeros(count, dtype=torch.bool),
            torch.full((count,), -1),
        )
        labels[: len(self.labels)], settled[: len(self.settled)] = self.labels, self.settled
        remembered[: len(earlier.labels)] = torch.cat([place, torch.tensor([-1])])[earlier.labels]
        order = place.argsort().tolist()
        added = [index for index in order if place[index] >= len(self)]
        decoded = None
        if self.decoded is not None and earlier.decoded is not None:
            decoded = self.decoded + tuple(earlier.decoded[index] for index in added)
        return replace(
            self,
            traces=self.traces + tuple(earlier.traces[index] for index in added),
            decoded=decoded,
            hits=torch.cat([self.hits, earlier.hits[added]]),
            labels=torch.where(settled, labels, remembered),
            settled=settled,
        )

    def _count(self, labels: Tensor) -> Tensor:
        return torch.bincount(labels[labels >= 0], minlength=len(self))


def shared_starts(before: Portrait, after: Portrait) -> int:
    """Count how many of the first starts are the same in both searches.

    Raises:
        InputError: the searches began elsewhere, so that a start of one says nothing about the other.
    """
    if before.rule and after.rule and before.rule != after.rule:
        raise InputError(
            "The two searches began at different starts, so their basins cannot be compared; search both from the same "
            'starts, or match with by="points" or by="decoded".'
        )
    if not (before.rule and after.rule) and len(before.labels) != len(after.labels):
        raise InputError(
            f"One search has {len(before.labels)} starts and the other {len(after.labels)}, and they do not say which; "
            'search both from the same starts, or match with by="points".'
        )
    return min(len(before.labels), len(after.labels))
