"""Where does the latent map contract? ρ and ‖J‖₂ on the data, just outside, far away, and before training.

Information about the training data must survive a round trip, so ‖J_f‖₂ ≈ 1 on their latents; what is not in the data is
squeezed out, so it falls off the data (Fumero et al., ICLR 2026, section on inductive biases; measured on one k = 2 model as
1.08, 0.69, 0.27). ρ ≤ ‖J‖₂ always, and the gap is large because E∘D is not normal: both are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Tensor

from separatrix.arguments import checked, not_negative, number
from separatrix.cost import NO_WORK, Cost
from separatrix.data import ImageSource
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.limitsets import spectrum_matrix_free, spectrum_of
from separatrix.models import untrained_copy
from separatrix.protocol import DENSE_LIMIT
from separatrix.starts import Starts, encoded
from separatrix.storage import Columnar, storable
from separatrix.words import Statement
from separatrix.work import Progress

GROUPS: Mapping[str, float] = {"on the data": 1.0, "just outside": 1.5, "far away": 4.0}
"""Each group's distance from the mean of the data's latents, as a multiple of the data's own."""
UNTRAINED = "before training"
_ENTRIES_AT_ONCE = 2**22  # of a batch of Jacobians
_MATRIX_FREE_POINTS = 16  # per group, where a spectrum costs a hundred products


@storable
class Steps(StrEnum):
    """It tells what single steps do to distances, at the points of one group."""

    CONTRACT = "contract"
    EXPAND = "expand"
    MIXED = "mixed"


@storable
@dataclass(frozen=True, kw_only=True, eq=False)
class Contraction(Columnar):
    """One row per point.

    Attributes:
        points: ``(n, *latent)``.
        group: ``(n,)`` int64, index into ``names``.
        spectral_radius: ``(n,)`` float64 ρ of J_f; NaN where Arnoldi did not converge, and where f is NaN or infinite.
        spectral_norm: ``(n,)`` float64 ‖J_f‖₂; NaN likewise.
        names: of the groups.
        provenance: field and data.
        cost: derivative products spent, and a map evaluation per point.
    """

    _columns: ClassVar[tuple[str, ...]] = ("points", "group", "spectral_radius", "spectral_norm")

    points: Tensor
    group: Tensor
    spectral_radius: Tensor
    spectral_norm: Tensor
    names: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost = NO_WORK

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per point, with the name of its group."""
        return {**super().table, "group": [self.names[group] for group in self.group.tolist()]}

    def of(self, name: str) -> Contraction:
        """The points of one group."""
        if name not in self.names:
            raise InputError(f"There is no group {name!r}; choose from {', '.join(self.names)}.")
        return self[self.group == self.names.index(name)]

    @property
    def rows(self) -> tuple[ContractionRow, ...]:
        """The distributions, a row per group."""
        return tuple(_row(name, self.of(name)) for name in self.names)

    @property
    def statement(self) -> Statement:
        """The medians of ‖J‖₂ and the share of points where single steps contract, group by group; the code is of the first."""
        rows = self.rows
        parts = [row.words for row in rows]
        everywhere = {1.0: Steps.CONTRACT, 0.0: Steps.EXPAND}
        return Statement("Median ‖J‖₂", f"{', '.join(parts)}.", everywhere.get(rows[0].contracting, Steps.MIXED))

    def __repr__(self) -> str:
        return f"Contraction({len(self)} points; {self.statement})"


@dataclass(frozen=True)
class ContractionRow:
    """One group: 5 %, 50 % and 95 % quantiles of ρ and ‖J‖₂, and the shares of points where they are below 1; of points where they are known."""

    name: str
    count: int
    radius: tuple[float, float, float]
    norm: tuple[float, float, float]
    attracting: float
    contracting: float
    unknown: int = 0

    @property
    def words(self) -> str:
        """The median of ‖J‖₂, at how many points it is below 1, and at how many it is not known."""
        known = self.count - self.unknown
        if not known:
            return f"{self.name} known at none of {self.count} points"
        rest = f", unknown at {self.unknown}" if self.unknown else ""
        return f"{self.name} {self.norm[1]:.2f} ({100 * self.contracting:.0f} % of {known} below 1{rest})"

    def __repr__(self) -> str:
        return f"ContractionRow({self.name}: {self.count} points; ρ {_words(self.radius)}, ‖J‖₂ {_words(self.norm)})"


@checked
def contraction(
    field: LatentField,
    data: ImageSource | Starts,
    *,
    groups: Mapping[str, float] = GROUPS,
    untrained: bool = True,
    limit: int = 128,
    seed: int = 0,
    progress: bool | Progress = False,
) -> Contraction:
    """ρ and ‖J_f‖₂ at the latents z of data, and at m + s·(z − m) for other scales s, m their mean.

    Args:
        field: the latent field.
        data: training images as `separatrix.starts._starts.encoded` takes them, or latents as `Starts`.
        groups: name → s.
        untrained: also on the data's latents under a freshly initialised copy (`untrained_copy`); left out where the
            weights cannot be found.
        limit: at most so many data; 16 where the latent has more than 512 dimensions.
        seed: of the untrained weights.
        progress: show a progress bar, or move the one that is there (`separatrix.work._progress`).

    Raises:
        InputError: no group, no data, or a limit below 1.

    Cost: 2k + 1 map evaluations per point up to 512 dimensions, about a thousand above.

    >>> field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,), dtype=torch.float64)
    >>> from separatrix import starts
    >>> contraction(field, starts.points(torch.eye(2)), groups={"on the data": 1.0}).statement.detail
    'on the data 0.50 (100 % of 2 below 1).'
    """
    field = LatentField.of(field)
    if limit < 1 or not groups:
        raise InputError("A contraction study needs at least one point and one group.")
    if not isinstance(groups, Mapping):
        raise InputError(f"groups must be factors by their names, such as {{'far away': 4.0}}, not {groups!r:.80}.")
    for name, scale in groups.items():
        told = f"The factor of {name!r} in groups"
        not_negative(told, number(told, scale))
    source = data if isinstance(data, Starts) else encoded(data)
    latents = source.block(field, 0, min(len(source), _most(field, limit)))
    centre = latents.mean(dim=0, keepdim=True)
    clouds = {name: centre + float(scale) * (latents - centre) for name, scale in groups.items()}
    fields = dict.fromkeys(clouds, field)
    if untrained:
        try:
            copy = untrained_copy(field, seed)
        except InputError:  # a plain function has no weights to draw
            copy = None
        if copy is not None:
            clouds[UNTRAINED] = latents if isinstance(data, Starts) else source.block(copy, 0, len(latents))
            fields[UNTRAINED] = copy
    parts = {}
    with Progress.of(progress).stage("contraction", len(clouds)) as line:
        for name, points in clouds.items():
            parts[name] = _spectrum(fields[name], points)
            line.advance()
    return Contraction(
        points=torch.cat([points.cpu() for points in clouds.values()]),
        group=torch.cat([torch.full((len(points),), index) for index, points in enumerate(clouds.values())]),
        spectral_radius=torch.cat([radius for radius, _, _ in parts.values()]),
        spectral_norm=torch.cat([norm for _, norm, _ in parts.values()]),
        names=tuple(clouds),
        provenance={"field": field.describe(), "data": source.describe(), "seed": seed},
        cost=sum((cost for _, _, cost in parts.values()), NO_WORK),
    )


def _most(field: LatentField, limit: int) -> int:
    return limit if field.latent_dim <= DENSE_LIMIT else min(limit, _MATRIX_FREE_POINTS)


def _spectrum(field: LatentField, points: Tensor) -> tuple[Tensor, Tensor, Cost]:
    """ρ, ‖J‖₂ and what they cost, in chunks of Jacobians that fit."""
    size = max(1, _ENTRIES_AT_ONCE // field.latent_dim**2)
    # Where f is NaN its derivative may be 0, as of a constant, which would pass for the strongest contraction.
    lost = torch.cat([~field(chunk).flatten(1).isfinite().all(dim=1) for chunk in points.split(size)]).cpu()
    if field.latent_dim > DENSE_LIMIT:
        found = spectrum_matrix_free(field, points)
        radius, norm, cost = found.radius.cpu(), found.norm.cpu(), found.cost
    else:
        parts = [spectrum_of(field.jacobian(chunk)) for chunk in points.split(size)]
        radius, norm = (torch.cat([getattr(part, name) for part in parts]).cpu() for name in ("radius", "norm"))
        cost = Cost(vjp=len(points) * field.latent_dim)
    return radius.where(~lost, torch.nan), norm.where(~lost, torch.nan), cost + Cost(map=len(points))


def _row(name: str, part: Contraction) -> ContractionRow:
    radius, norm = (values[values.isfinite()] for values in (part.spectral_radius, part.spectral_norm))
    return ContractionRow(
        name,
        len(part),
        _quantiles(radius),
        _quantiles(norm),
        _share(radius < 1),
        _share(norm < 1),
        len(part) - len(norm),
    )


def _quantiles(values: Tensor) -> tuple[float, float, float]:
    levels: Sequence[float] = (0.05, 0.5, 0.95)
    low, middle, high = ((float(values.quantile(q)) if len(values) else float("nan")) for q in levels)
    return low, middle, high


def _words(quantiles: tuple[float, float, float]) -> str:
    low, middle, high = quantiles
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _share(holds: Tensor) -> float:
    return float(holds.double().mean()) if len(holds) else float("nan")
