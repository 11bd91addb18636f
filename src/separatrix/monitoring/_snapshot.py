"""This file tells what the monitor writes down about one moment of the training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from separatrix.limitsets import LimitSets, triviality
from separatrix.monitoring._budget import Effort
from separatrix.orbits._glance import Glance
from separatrix.studies import Drift
from separatrix.words import Readable, counted, jsonable

_OF_A_SEARCH = ("attractors", "converged", "largest_basin", "spectral_radius", "residual", "trivial")


@dataclass(frozen=True, kw_only=True)
class Snapshot(Readable):
    """The dynamics at one training step: a glance, and, where the budget paid for it, a search for attractors.

    What a glance sees is comparable between all snapshots. Counts depend on the effort: compare those of equal ``starts`` and
    ``max_steps``. Without a search all that only a search can tell is None, which is not 0.

    Attributes:
        step: the training step whose weights these are.
        cut: a search was begun and stopped because its time was up, so that only the glance is left.
        settled, speed, contraction: what the first eight starts do in sixteen steps; see
            :class:`~separatrix.orbits._glance.Glance`.
        attractors: number of attractors found; None if they were not sought.
        converged: share of the starts that reached a limit set.
        largest_basin: share of the starts that end on the most visited attractor; None without one.
        spectral_radius: largest ρ(J) among the attractors; None without one.
        residual: median over the starts of ‖f(z) − z‖ at the end of their orbits, over the spread of the starts.
        trivial: one point takes nearly everything within a few steps, as in an untrained network.
        ids: names of the sets that attract or may attract; a set keeps its name from search to search.
        events: what happened to them since the last search, in words; see :class:`~separatrix.studies.EventKind`. A set whose starts ran
            out of steps is out of sight, not dead.
        starts: how many starts were followed, by the search or else by the glance.
        max_steps: step limit per orbit.
        evaluations: work, in map evaluations.
        seconds: wall-clock time of this snapshot.
        share: monitor seconds per second of training so far.
        psnr_first, psnr_last: of pictures that the monitor was given, mean PSNR in dB after one round trip and after the last of several;
            None without pictures.
    """

    step: int
    cut: bool
    settled: float
    speed: float | None
    contraction: float | None
    attractors: int | None
    converged: float | None
    largest_basin: float | None
    spectral_radius: float | None
    residual: float | None
    trivial: bool | None
    ids: tuple[int, ...] | None
    events: tuple[str, ...] | None
    starts: int
    max_steps: int
    evaluations: float
    seconds: float
    share: float
    psnr_first: float | None = None
    psnr_last: float | None = None

    @property
    def searched(self) -> bool:
        """Attractors were sought."""
        return self.attractors is not None

    def __repr__(self) -> str:
        seen = f"{counted(self.attractors, 'attractor')}" if self.attractors is not None else "a glance, no search"
        happened = f"; {', '.join(self.events)}" if self.events else ""
        return f"Snapshot(step {self.step:,}: {seen}{happened}; {self.starts:,} starts, {self.seconds:.2g} s)"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with ``searched`` beside the attributes."""
        columns = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"step": self.step, "searched": self.searched, **columns}


def snapshot_of(
    seen: Glance,
    limits: LimitSets | None,
    *,
    step: int,
    cut: bool,
    effort: Effort,
    ids: tuple[int, ...] | None,
    events: tuple[str, ...] | None,
    seconds: float,
    share: float,
    rot: Drift | None,
) -> Snapshot:
    """The numbers of a glance and of the search after it, if there was one."""
    return Snapshot(
        step=step,
        cut=cut,
        settled=seen.settled,
        speed=seen.speed,
        contraction=seen.contraction,
        **(dict.fromkeys(_OF_A_SEARCH) if limits is None else _found(limits)),
        ids=ids,
        events=events,
        starts=effort.starts,
        max_steps=effort.max_steps,
        evaluations=seen.evaluations + sum(0.0 if part is None else part.cost.total for part in (limits, rot)),
        seconds=seconds,
        share=share,
        psnr_first=None if rot is None else float(rot.psnr[:, 0].mean()),
        psnr_last=None if rot is None else float(rot.psnr[:, -1].mean()),
    )


def _found(limits: LimitSets) -> dict[str, Any]:
    attractors = limits.attractors
    return {
        "attractors": len(attractors),
        "converged": float((limits.labels >= 0).double().mean()),
        "largest_basin": float(attractors.fractions.max()) if len(attractors) else None,
        "spectral_radius": jsonable(float(attractors.spectral_radius.max())) if len(attractors) else None,
        "residual": jsonable(float(limits.orbits.residual.median()) / limits.spread),
        "trivial": triviality(limits).trivial,
    }
