"""The limit sets of a field: what they are, whether they attract, and which start ends where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.cost import NO_WORK, Cost
from separatrix.limitsets._capture_audit import CaptureAudit
from separatrix.orbits import Fates, Orbits, fate_of_each
from separatrix.protocol import Protocol
from separatrix.storage import Columnar, rows_chosen, storable


class Kind(IntEnum):
    """It tells what a limit set is, geometrically."""

    FIXED_POINT = 0
    CYCLE = 1
    CLOSED_CURVE = 2
    CONTINUUM = 3
    CHAOTIC = 4
    UNRESOLVED = 5

    @property
    def words(self) -> str:
        """Write it as in running text: ``"fixed point"``."""
        return self.name.lower().replace("_", " ")


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class LimitSets(Columnar):
    """m limit sets and the n starts that were followed to them. Sorted by hits, most first.

    An *attractor* is a limit set whose stability was checked; ``limits.attractors`` and ``limits.saddles`` are such views
    (their ``labels`` are renumbered, −1 for starts that end elsewhere). ``limits.fates`` counts what became of the starts.

    Attributes:
        points: ``(m, *latent)`` float64 (or the field's own precision where float64 was not available); one point of
            each set.
        kind: ``(m,)`` uint8, a :class:`Kind` per set.
        period: ``(m,)`` int64; 1 for a fixed point, p for a cycle, 0 where nothing repeats.
        residual: ``(m,)`` float64 ‖f^p(z) − z‖ at ``points``; NaN for sets that are not periodic.
        spectral_radius: ``(m,)`` ρ of the Jacobian of f^p: below 1 the set attracts. For closed curves exp(second
            Lyapunov exponent), the rate at which the curve attracts. NaN if unknown.
        spectral_norm: ``(m,)`` ‖J‖₂ of the Jacobian of f^p, always ≥ ρ; below 1 is *contraction*, which is stricter.
        eigenvalues: ``(m, e)`` complex128, the e largest by modulus (all k of them for small latents); NaN if unknown.
        stable: ``(m,)`` int8; 1 attracts, 0 does not, −1 unknown.
        unstable_directions: ``(m,)`` int64, number of eigenvalues beyond the unit circle; −1 unknown.
        hits: ``(m,)`` int64, starts that ended on the set.
        labels: ``(n,)`` int64, start → set, −1 for none.
        orbits: how each start got there (end point, steps, status).
        traces: the other points of sets that have more than one: set → ``(p, *latent)``, in the order of the motion for
            cycles and in the order along the curve for closed curves.
        notes: sentences a reader must see before reading a number (triviality, lost precision, …).
        provenance: field, weight fingerprint, starts, versions.
        audit: how often capture was right on a sample; None if the protocol captures nothing.
        protocol, spread, cost: as in :class:`~separatrix.orbits.Orbits`, for the whole search.
    """

    _columns: ClassVar[tuple[str, ...]] = (
        "points",
        "kind",
        "period",
        "residual",
        "spectral_radius",
        "spectral_norm",
        "eigenvalues",
        "stable",
        "unstable_directions",
        "hits",
    )
    _read_off: ClassVar[tuple[str, ...]] = ("fractions",)
    _members: ClassVar[Mapping[str, type[IntEnum]]] = {"kind": Kind}
    _facts: ClassVar[tuple[str, ...]] = ("fates",)

    points: Tensor
    kind: Tensor
    period: Tensor
    residual: Tensor
    spectral_radius: Tensor
    spectral_norm: Tensor
    eigenvalues: Tensor
    stable: Tensor
    unstable_directions: Tensor
    hits: Tensor
    labels: Tensor
    orbits: Orbits
    protocol: Protocol
    spread: float
    traces: Mapping[int, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    audit: CaptureAudit | None = None
    cost: Cost = NO_WORK

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> LimitSets:
        """The chosen sets; labels are renumbered to the new positions and starts of the others become −1."""
        chosen = super().__getitem__(index)
        old = torch.arange(len(self), device=self.labels.device)
        kept = old[rows_chosen(index, len(self))]
        renumber = torch.full((len(self) + 1,), -1, dtype=torch.int64, device=self.labels.device)
        renumber[kept] = torch.arange(len(kept), device=self.labels.device)
        traces = {new: self.traces[o] for new, o in enumerate(kept.tolist()) if o in self.traces}
        return replace(chosen, labels=renumber[self.labels], traces=traces)

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts of the search; ``orbits.to_dict()`` has those of the orbits."""
        return {name: value for name, value in super().facts.items() if name != "orbits"}

    @property
    def attractors(self) -> LimitSets:
        """The sets whose stability was checked and that attract."""
        return self[self.stable == 1]

    @property
    def saddles(self) -> LimitSets:
        """The fixed points and cycles with at least one unstable direction (sources included)."""
        return self[self.unstable_directions > 0]

    @property
    def fates(self) -> Fates:
        """Return what became of the starts: how many reached an attractor, rest at a saddle, still move, and so on."""
        return Fates.of(fate_of_each(self.orbits.status, self.labels, self.stable))

    def of_kind(self, kind: Kind) -> LimitSets:
        """The sets of one kind."""
        return self[self.kind == int(kind)]

    @checked
    def trace(self, index: int) -> Tensor:
        """All known points of set ``index``, ``(p, *latent)``; a fixed point has one."""
        return self.traces.get(index, self.points[index : index + 1])

    @property
    def fractions(self) -> Tensor:
        """``(m,)`` share of all starts that ended on each set (intervals: :func:`separatrix.basins`)."""
        return self.hits.to(torch.float64) / max(len(self.labels), 1)

    def __repr__(self) -> str:
        kinds = [
            f"{int((self.kind == int(kind)).sum())} {kind.words}{'s' if (self.kind == int(kind)).sum() > 1 else ''}"
            for kind in Kind
            if bool((self.kind == int(kind)).any())
        ]
        attract = int((self.stable == 1).sum())
        sample = self.audit.statistical if self.audit else None
        bound = (
            f"; {sample.captured:,} labels by a sample, at most {100 * sample.bound:.2f} % of them wrong"
            if sample
            else ""
        )
        return f"LimitSets({', '.join(kinds) or 'none'}; {attract} attract; {self.fates.words}{bound})"
