"""From what a search knows to a `LimitSets` record: number the sets by hits, relabel the starts, write the notes."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from separatrix.field import LatentField
from separatrix.limitsets.curves import CurveSearch, KnownCurve
from separatrix.limitsets.library import KnownSet, Library
from separatrix.limitsets.merge import leader_clusters
from separatrix.limitsets.sets import Kind, LimitSets
from separatrix.limitsets.spectrum import spectrum_matrix_free, spectrum_of
from separatrix.orbits.result import Orbits
from separatrix.orbits.status import Status
from separatrix.protocol import DENSE_LIMIT


@dataclass(frozen=True)
class _Row:
    """One limit set before it becomes a row of columns."""

    points: Tensor
    kind: Kind
    period: int
    residual: float
    radius: float
    norm: float
    eigenvalues: Tensor
    stable: int
    unstable_directions: int


def assemble(library: Library, curves: CurveSearch, orbits: Orbits, labels: Tensor, curve_labels: Tensor) -> LimitSets:
    """All sets with at least one start, most visited first (then by place)."""
    width = max([1, *(len(known.eigenvalues) for known in library.sets)])
    rows = [_periodic_row(known, width) for known in library.sets]
    rows += [_curve_row(known, library.field, width) for known in curves.curves]
    joint = torch.where(curve_labels >= 0, curve_labels + len(library.sets), labels)
    return _limit_sets(library.field, rows, joint, orbits)


def assemble_unpolished(field: LatentField, orbits: Orbits) -> LimitSets:
    """End points merged as they are, as the protocol's merge rule says (``polish=False``)."""
    rules = orbits.protocol
    arrived = (orbits.status == int(Status.CONVERGED)).nonzero().squeeze(1)
    tolerance = rules.merge_tolerance * (orbits.spread if rules.merge == "distance" else 1.0)
    clusters, leaders = leader_clusters(orbits.points[arrived], rules.merge, tolerance)
    labels = torch.full_like(orbits.steps, -1)
    labels[arrived] = clusters
    points = orbits.points[arrived][leaders].to(field.dtype)
    residual = orbits.residual[arrived][leaders]
    unknown = torch.full((1,), torch.nan, dtype=torch.complex128)
    if not rules.spectrum:
        rows = [
            _Row(z.unsqueeze(0), Kind.FIXED_POINT, 1, float(r), torch.nan, torch.nan, unknown, -1, -1)
            for z, r in zip(points, residual, strict=True)
        ]
    else:
        dense = field.latent_dim <= DENSE_LIMIT
        spectrum = spectrum_of(field.jacobian(points)) if dense else spectrum_matrix_free(field, points)
        rows = [
            _Row(
                points[i : i + 1],
                Kind.FIXED_POINT,
                1,
                float(residual[i]),
                float(spectrum.radius[i]),
                float(spectrum.norm[i]),
                spectrum.eigenvalues[i],
                int(spectrum.stable[i]),
                int(spectrum.unstable_directions[i]),
            )
            for i in range(len(points))
        ]
    return _limit_sets(field, rows, labels, orbits)


def assemble_known(library: Library, orbits: Orbits, labels: Tensor) -> LimitSets:
    """All sets of a library, visited or not (for searches that are not about basins)."""
    width = max([1, *(len(known.eigenvalues) for known in library.sets)])
    rows = [_periodic_row(known, width) for known in library.sets]
    return _limit_sets(library.field, rows, labels, orbits, keep_unvisited=True)


def _limit_sets(
    field: LatentField, rows: list[_Row], labels: Tensor, orbits: Orbits, *, keep_unvisited: bool = False
) -> LimitSets:
    device = labels.device
    hits = torch.bincount(labels[labels >= 0], minlength=len(rows))
    chosen = [i for i in range(len(rows)) if keep_unvisited or int(hits[i]) > 0]
    order = sorted(chosen, key=lambda i: (-int(hits[i]), _place(rows[i], orbits.spread)))
    renumber = torch.full((len(rows) + 1,), -1, dtype=torch.int64, device=device)
    renumber[order] = torch.arange(len(order), device=device)
    kept = [rows[i] for i in order]
    empty = torch.zeros((0, *field.latent_shape), dtype=field.dtype, device=device)
    no_values = torch.zeros((0, 1), dtype=torch.complex128, device=device)
    return LimitSets(
        points=torch.cat([row.points[:1] for row in kept]) if kept else empty,
        kind=_column(kept, "kind", torch.uint8, device),
        period=_column(kept, "period", torch.int64, device),
        residual=_column(kept, "residual", torch.float64, device),
        spectral_radius=_column(kept, "radius", torch.float64, device),
        spectral_norm=_column(kept, "norm", torch.float64, device),
        eigenvalues=torch.stack([row.eigenvalues for row in kept]) if kept else no_values,
        stable=_column(kept, "stable", torch.int8, device),
        unstable_directions=_column(kept, "unstable_directions", torch.int64, device),
        hits=hits[order] if order else hits[:0],
        labels=renumber[labels],
        orbits=orbits,
        protocol=orbits.protocol,
        spread=orbits.spread,
        traces={number: row.points for number, row in enumerate(kept) if len(row.points) > 1},
        provenance={"versions": versions()},
        cost=orbits.cost,
    )


def _place(row: _Row, unit: float) -> tuple[float, ...]:
    """A sorting key that does not depend on the order of the starts: the set's smallest point, to six digits."""
    rounded = (row.points.flatten(1) / unit * 1e6).round() / 1e6
    return min(tuple(point) for point in rounded.tolist())


def _column(rows: list[_Row], name: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor([getattr(row, name) for row in rows], dtype=dtype, device=device)


def _periodic_row(known: KnownSet, width: int) -> _Row:
    return _Row(
        points=known.points[:1] if known.kind == Kind.CONTINUUM else known.points,
        kind=known.kind,
        period=known.period,
        residual=known.residual,
        radius=known.radius,
        norm=known.norm,
        eigenvalues=_padded(known.eigenvalues, width),
        stable=known.stable,
        unstable_directions=known.unstable_directions,
    )


def _curve_row(known: KnownCurve, field: LatentField, width: int) -> _Row:
    points = torch.from_numpy(known.curve.points).to(field.device, field.dtype)
    return _Row(
        points=points.reshape(-1, *field.latent_shape),
        kind=Kind.CLOSED_CURVE,
        period=0,
        residual=torch.nan,
        radius=known.rate,
        norm=torch.nan,
        eigenvalues=torch.full((width,), torch.nan, dtype=torch.complex128, device=field.device),
        stable=known.stable,
        unstable_directions={1: 0}.get(known.stable, -1),
    )


def _padded(values: Tensor, width: int) -> Tensor:
    padding = torch.full((width - len(values),), torch.nan, dtype=values.dtype, device=values.device)
    return torch.cat([values, padding])


def versions() -> dict[str, Any]:
    """What a number depends on besides its inputs."""
    return {
        "separatrix": version("separatrix"),
        "torch": str(torch.__version__),  # a subclass of str that compares as a version
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }
