"""Observers: statistics recorded along every orbit without storing the path.

`iterate` shows an observer each point z_t of each orbit exactly once, t = 0 … N, together with f(z_t). Observers keep one
row per orbit, so memory grows with the number of orbits and never with the number of steps. An observer may also end
orbits, by returning a mask.

On an accelerator rows that have ended stay in the batch for a few steps (`separatrix.orbits._looks`). To leave them out is to ask the
device which they are, at every step. An observer that has an attribute ``spare = True`` is spared the question: it is shown them as
orbit −1, and keeps a spare last row for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol as Interface

import torch
from torch import Tensor

from separatrix.arguments import checked, whole
from separatrix.numerics import nearest
from separatrix.orbits._looks import Closely
from separatrix.words import one_line


class Observer(Interface):
    """It tells what `iterate` asks of an observer."""

    name: str

    def begin(self, count: int, like: Tensor) -> None:
        """``count`` orbits are about to start; ``like`` is a block of starts (shape, dtype, device)."""

    def see(self, orbit: Tensor, step: Tensor, z: Tensor, f_z: Tensor) -> Tensor | None:
        """Active orbits ``orbit`` (indices) are at step ``step``, at ``z``, and go to ``f_z``. True ends an orbit.

        With ``spare``, index −1 stands for an orbit that has ended.
        """

    def result(self) -> object:
        """Return what was recorded: one row per orbit."""


class MeanDistance:
    """Mean over t = 0 … N of the distance from z_t to the nearest of some points (the paper's trajectory score).

    For f(z) = ρz and the attractor 0 it is ‖z₀‖ (1 − ρ^{N+1}) / ((1 − ρ)(N + 1)).
    """

    name = "mean_distance"
    spare = True

    def __init__(self, points: Tensor) -> None:
        self._points = points

    def __repr__(self) -> str:
        return f"MeanDistance({len(self._points)} points)"

    def begin(self, count: int, like: Tensor) -> None:
        """One running sum per orbit."""
        self._sum = torch.zeros(count + 1, dtype=torch.float64, device=like.device)
        self._count = torch.zeros(count + 1, dtype=torch.int64, device=like.device)
        self._points = self._points.to(like)

    def see(self, orbit: Tensor, step: Tensor, z: Tensor, f_z: Tensor) -> None:  # noqa: ARG002
        """Add the distance of every active orbit."""
        self._sum[orbit] += nearest(z, self._points).distance
        self._count[orbit] += 1

    def result(self) -> Tensor:
        """``(n,)`` float64."""
        return (self._sum / self._count.clamp(min=1))[:-1]


class PathLength:
    """Σ_t ‖f(z_t) − z_t‖ over the orbit: how far it travelled, ``(n,)`` float64."""

    name = "path_length"
    spare = True

    __repr__ = one_line

    def begin(self, count: int, like: Tensor) -> None:
        """One running sum per orbit."""
        self._sum = torch.zeros(count + 1, dtype=torch.float64, device=like.device)

    def see(self, orbit: Tensor, step: Tensor, z: Tensor, f_z: Tensor) -> None:  # noqa: ARG002
        """Add the step of every active orbit."""
        self._sum[orbit] += (f_z - z).flatten(1).norm(dim=1).to(torch.float64)

    def result(self) -> Tensor:
        """``(n,)`` float64."""
        return self._sum[:-1]


class FirstCrossings:
    """It tells where each orbit was when its step first fell below each of several lengths.

    This is what a loop with that stop rule would have returned, for all thresholds in one run:
    ``points`` ``(n, len(lengths), *latent)`` and ``crossed`` ``(n, len(lengths))`` bool.
    """

    name = "first_crossings"
    spare = True

    def __init__(self, lengths: Tensor) -> None:
        self._lengths = lengths

    def __repr__(self) -> str:
        return f"FirstCrossings({len(self._lengths)} lengths)"

    def begin(self, count: int, like: Tensor) -> None:
        """One point per orbit and threshold."""
        self._lengths = self._lengths.to(like.device)
        self._columns = torch.arange(len(self._lengths), device=like.device)
        self._points = like.new_zeros((count + 1, len(self._lengths), *like.shape[1:]))
        self._crossed = torch.zeros((count + 1, len(self._lengths)), dtype=torch.bool, device=like.device)

    def see(self, orbit: Tensor, step: Tensor, z: Tensor, f_z: Tensor) -> None:  # noqa: ARG002
        """Keep z where a threshold is crossed for the first time."""
        length = (f_z - z).flatten(1).norm(dim=1)
        fresh = (length[:, None] < self._lengths) & ~self._crossed[orbit]
        now = Closely(fresh.any(dim=1))
        place = torch.where(now.of(fresh), now.of(orbit).unsqueeze(1), -1), self._columns
        self._points[place] = now.of(z).unsqueeze(1)
        self._crossed[place] = True

    def result(self) -> tuple[Tensor, Tensor]:
        """(points, crossed)."""
        return self._points[:-1], self._crossed[:-1]


class Snapshots:
    """It tells where every orbit is after each of several numbers of steps: ``(n, len(steps), *latent)``.

    An orbit that has ended by then is shown at its end point.
    """

    name = "snapshots"
    spare = True

    @checked
    def __init__(self, steps: Sequence[int]) -> None:
        self._steps = tuple(whole("Each of steps", step, 0) for step in steps)

    def __repr__(self) -> str:
        return f"Snapshots(at steps {', '.join(map(str, self._steps[:4]))}{'…' if len(self._steps) > 4 else ''})"

    def begin(self, count: int, like: Tensor) -> None:
        """One point per orbit and number of steps."""
        self._points = like.new_zeros((count + 1, len(self._steps), *like.shape[1:]))

    def see(self, orbit: Tensor, step: Tensor, z: Tensor, f_z: Tensor) -> None:  # noqa: ARG002
        """Keep z until its step number is past; what is kept last is the place asked for, or the end."""
        for column, wanted in enumerate(self._steps):
            self._points[torch.where(step <= wanted, orbit, -1), column] = z

    def result(self) -> Tensor:
        """All points."""
        return self._points[:-1]


class Paths:
    """The whole orbits, for few and short ones: ``(n, T + 1, *latent)``, padded with the end point."""

    name = "paths"
    spare = True

    __repr__ = one_line

    def begin(self, count: int, like: Tensor) -> None:
        """Nothing is allocated before it is seen: T is not known yet."""
        self._count, self._like = count + 1, like
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def see(self, orbit: Tensor, step: Tensor, z: Tensor, f_z: Tensor) -> None:  # noqa: ARG002
        """Keep the points of this step."""
        self._seen.append((orbit.clone(), step.clone(), z.clone()))

    def result(self) -> Tensor:
        """All points in place; later steps of shorter orbits repeat their last point."""
        last = torch.zeros(self._count, dtype=torch.int64, device=self._like.device)
        for orbit, step, _ in self._seen:
            last[orbit] = torch.maximum(last[orbit], step)
        length = int(last[:-1].max()) + 1 if self._count > 1 else 0
        paths = self._like.new_zeros((self._count, length, *self._like.shape[1:]))
        for orbit, step, z in self._seen:
            paths[orbit, step] = z
        for orbit_index, end in enumerate(last[:-1].tolist()):
            paths[orbit_index, end + 1 :] = paths[orbit_index, end]
        return paths[:-1]
