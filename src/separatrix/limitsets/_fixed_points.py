"""Fixed points of every kind, saddles and sources included: Newton's method from many starts, with deflation.

Which point Newton finds says nothing about basins; use :func:`find_attractors` for those.
"""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.arguments import checked
from separatrix.errors import FieldError, InputError
from separatrix.field import LatentField, require_self_map
from separatrix.limitsets._assemble import assemble
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._deflation import deflated_newton
from separatrix.limitsets._polish import polish
from separatrix.limitsets._sets import LimitSets
from separatrix.numerics import nearest
from separatrix.numerics import spread as spread_of
from separatrix.numerics.counter_random import gaussian
from separatrix.orbits import Orbits, Status
from separatrix.protocol import Protocol
from separatrix.starts import Starts, as_starts

_BATCH = 256  # starts at once; each is polished by itself


@checked
def find_fixed_points(
    field: LatentField,
    starts: Starts | Tensor,
    protocol: Protocol | str | None = None,
    *,
    period: int = 1,
    deflation: int = 4,
) -> LimitSets:
    """Solve f^p(z) = z by damped Newton from every start and keep each solution once, with its spectrum.

    z ← z + s (I − J)⁻¹ (f^p(z) − z), s halved until the residual falls. Then the solutions found so far are divided out
    and the same starts are sent to what is missing, in rounds, until a round finds nothing. Labels say which point each start led Newton
    to at first, which is *not* its basin under f.

    Args:
        field: a field of at most 512 dimensions (``protocol.polishing.dense_limit``).
        starts: spread over the region of interest (`starts.box`, `starts.gaussian`, data).
        protocol: its ``merge_tolerance`` decides when two solutions are one.
        period: 1 for fixed points; p for all points with f^p(z) = z (each cycle is kept once, with its minimal period).
        deflation: most rounds of `separatrix.limitsets._deflation`, 128 Newton searches each; 0 for none. More starts are
            usually cheaper than more rounds; rounds find what hardly any start leads to.

    Cost: about 10 Jacobians (2·k·p evaluations each) per start, and up to 40 for each search of a round of deflation.

    >>> field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,), dtype=torch.float64)
    >>> found = find_fixed_points(field, torch.linspace(-2, 2, 21, dtype=torch.float64)[:, None])
    >>> sorted(found.unstable_directions.tolist())
    [0, 0, 1]
    """
    field, protocol = LatentField.of(field), Protocol.of(protocol)
    source = as_starts(starts)
    if deflation < 0:
        raise InputError(f"deflation must be 0 or more rounds, not {deflation}.")
    if period < 1:
        raise InputError(f"period must be 1 or more, not {period}.")
    most = protocol.polishing.dense_limit
    if field.latent_dim > most:
        raise InputError(
            f"find_fixed_points needs dense Jacobians, up to {most} latent dimensions, not {field.latent_dim}; "
            "use find_attractors."
        )
    require_self_map(field, source.block(field, 0, min(4, len(source))))
    try:
        fine = field.to(dtype=torch.float64)
    except FieldError:
        fine = field
    z = source.block(fine, 0, len(source))
    unit = spread_of(z)
    catalogue = Catalogue(fine, protocol, unit, torch.finfo(field.dtype).eps)
    points, residual, found = [], [], []
    for block in z.split(_BATCH):
        solved = polish(fine, block, period, damped=True, rules=protocol.polishing)
        catalogue.add(solved, torch.full_like(solved.residual, torch.inf), period)
        points.append(solved.points)
        residual.append(solved.residual)
        found.append(solved.at_floor)
    ends, lengths, solved_rows = torch.cat(points), torch.cat(residual), torch.cat(found)
    fruitless = 0
    for round_number in range(deflation if catalogue.sets else 0):
        fruitless = 0 if _deflate(catalogue, z, period, unit, round_number) else fruitless + 1
        if fruitless == protocol.deflation.patience:
            break
    labels = _labels(catalogue, ends, solved_rows, protocol.deflation.labelled * unit)
    orbits = Orbits(
        points=ends,
        steps=torch.zeros(len(ends), dtype=torch.int64, device=ends.device),
        residual=lengths,
        rate=torch.full_like(lengths, torch.nan),
        error=torch.full_like(lengths, torch.nan),
        status=torch.where(labels >= 0, int(Status.CONVERGED), int(Status.BUDGET)).to(torch.uint8),
        period=torch.full((len(ends),), period, dtype=torch.int64, device=ends.device),
        spread=unit,
        protocol=protocol,
        cost=catalogue.cost,
    )
    return assemble(catalogue, orbits, labels, keep_unvisited=True)


def _deflate(catalogue: Catalogue, starts: Tensor, period: int, unit: float, round_number: int) -> bool:
    """One round: away from the known solutions, then polish what comes near a new one. False if there is none."""
    before, rules = catalogue.version, catalogue.protocol.deflation
    known = torch.cat([one.points for one in catalogue.sets])
    # The neighbourhood of one solution, which now repels, is a good place to set out for its neighbours.
    draw = torch.from_numpy(gaussian(seed=round_number, first=0, count=len(known), width=catalogue.field.latent_dim))
    around = known + rules.setting_out * unit * draw.to(known).reshape(known.shape)
    first = round_number * rules.sent % len(starts)
    starts = torch.cat([starts.roll(-first, dims=0)[: rules.sent], around[: rules.sent]])
    candidates, near, cost = deflated_newton(catalogue.field, starts, known, period, unit, rules, catalogue.polishing)
    catalogue.cost += cost
    if bool(near.any()):
        solved = polish(catalogue.field, candidates[near], period, rules=catalogue.polishing)
        catalogue.add(solved, torch.full_like(solved.residual, torch.inf), period)
    return catalogue.version > before


def _labels(catalogue: Catalogue, ends: Tensor, solved: Tensor, within: float) -> Tensor:
    labels = torch.full((len(ends),), -1, dtype=torch.int64, device=ends.device)
    if not catalogue.sets:
        return labels
    owner = torch.tensor([n for n, known in enumerate(catalogue.sets) for _ in known.points], device=ends.device)
    neighbour = nearest(ends, torch.cat([known.points for known in catalogue.sets]))
    near = solved & (neighbour.distance <= within)
    labels[near] = owner[neighbour.index[near]]
    return labels
