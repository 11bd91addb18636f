"""This file leads from what a search knows to a `LimitSets` record: number the sets by hits, relabel the starts, write the notes."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version

import torch
from torch import Tensor

from separatrix.field import LatentField
from separatrix.limitsets._catalogue import Catalogue, LimitSet
from separatrix.limitsets._merge import leader_clusters
from separatrix.limitsets._sets import Kind, LimitSets
from separatrix.limitsets._spectrum import Spectrum, spectrum_matrix_free, spectrum_of
from separatrix.orbits import Orbits, Status


def assemble(catalogue: Catalogue, orbits: Orbits, labels: Tensor, *, keep_unvisited: bool = False) -> LimitSets:
    """All sets with at least one start, or all that are known, most visited first (then by place)."""
    return _limit_sets(catalogue.field, catalogue.sets, labels, orbits, keep_unvisited=keep_unvisited)


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
    if rules.spectrum:
        dense = field.latent_dim <= rules.polishing.dense_limit
        spectrum = (
            spectrum_of(field.jacobian(points), rules.spectra)
            if dense
            else spectrum_matrix_free(field, points, rules=rules.spectra)
        )
    else:
        spectrum = Spectrum.unknown(len(points))
    rows = [
        LimitSet(
            kind=Kind.FIXED_POINT,
            period=1,
            points=points[i : i + 1],
            residual=float(residual[i]),
            error=torch.nan,
            eigenvalues=spectrum.eigenvalues[i],
            radius=float(spectrum.radius[i]),
            norm=float(spectrum.norm[i]),
            stable=int(spectrum.stable[i]),
            unstable_directions=int(spectrum.unstable_directions[i]),
        )
        for i in range(len(points))
    ]
    return _limit_sets(field, rows, labels, orbits)


def _limit_sets(
    field: LatentField, rows: Sequence[LimitSet], labels: Tensor, orbits: Orbits, *, keep_unvisited: bool = False
) -> LimitSets:
    device = labels.device
    hits = torch.bincount(labels[labels >= 0], minlength=len(rows))
    chosen = [i for i in range(len(rows)) if keep_unvisited or int(hits[i]) > 0]
    order = sorted(chosen, key=lambda i: (-int(hits[i]), _place(rows[i], orbits.spread)))
    renumber = torch.full((len(rows) + 1,), -1, dtype=torch.int64, device=device)
    renumber[order] = torch.arange(len(order), device=device)
    kept = [rows[i] for i in order]
    width = max([1, *(len(row.eigenvalues) for row in rows)])
    empty = torch.zeros((0, *field.latent_shape), dtype=field.dtype, device=device)
    no_values = torch.zeros((0, 1), dtype=torch.complex128, device=device)
    return LimitSets(
        points=torch.cat([row.points[:1] for row in kept]) if kept else empty,
        kind=_column(kept, "kind", torch.uint8, device),
        period=_column(kept, "period", torch.int64, device),
        residual=_column(kept, "residual", torch.float64, device),
        spectral_radius=_column(kept, "radius", torch.float64, device),
        spectral_norm=_column(kept, "norm", torch.float64, device),
        eigenvalues=torch.stack([_padded(row.eigenvalues, width) for row in kept]) if kept else no_values,
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


def _place(row: LimitSet, unit: float) -> tuple[float, ...]:
    """A sorting key that does not depend on the order of the starts: the set's smallest point, to six digits."""
    rounded = (row.points.flatten(1) / unit * 1e6).round() / 1e6
    return min(tuple(point) for point in rounded.tolist())


def _column(rows: Sequence[LimitSet], name: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor([getattr(row, name) for row in rows], dtype=dtype, device=device)


def _padded(values: Tensor, width: int) -> Tensor:
    padding = torch.full((width - len(values),), torch.nan, dtype=values.dtype, device=values.device)
    return torch.cat([values, padding])


def versions(*others: str) -> dict[str, str]:
    """The software that a number depends on besides its inputs; the versions of ``others`` come last."""
    return {
        "separatrix": version("separatrix"),
        "torch": str(torch.__version__),  # a subclass of str that compares as a version
        "numpy": version("numpy"),
        "python": platform.python_version(),
        **{library: version(library) for library in others},
    }
