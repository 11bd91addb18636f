"""Anderson's method: from a point that an orbit has all but reached to its limit, without a Jacobian.

A candidate comes from an orbit whose remaining error was estimated as small, where the map is all but linear. Mixing the last ten
steps (Anderson 1965; there it is GMRES on I − J, Walker & Ni 2011) then reaches the precision floor in 10 to 35 evaluations, where a
Jacobian takes 2k. From farther away acceleration knows nothing of basins, so what moves by more than its own error explains is left
where it was.
"""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.cost import Cost
from separatrix.field import LatentField
from separatrix.limitsets._polish import is_at_floor, orbit_points
from separatrix.protocol import DEFAULT, Polishing


def settled(
    field: LatentField, candidates: Tensor, within: Tensor, period: int = 1, rules: Polishing = DEFAULT.polishing
) -> tuple[Tensor, Cost]:
    """Return the fixed points of f^p that Anderson's method reaches from ``(c, *latent)``, and what that cost.

    z ← z + r − (ΔZ + ΔR) γ with r = f^p(z) − z, where γ minimises ‖r − ΔR γ‖ over the last ten changes ΔZ of the point and ΔR of
    the residual. A candidate that does not reach the floor within ``within`` ``(c,)`` of where it was is returned as it was given.

    Cost: at most k·p evaluations each, half of what a Jacobian takes.

    >>> field = LatentField.from_map(lambda z: 0.9 * z, latent_shape=(8,), dtype=torch.float64)
    >>> ends, cost = settled(field, torch.full((1, 8), 1e-5, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    >>> float(ends.norm()) < 1e-13, cost.map
    (True, 3)
    """
    start = candidates.to(torch.float64).flatten(1)
    result, z = start.clone(), start
    rows = torch.arange(len(z), device=z.device)
    points, residuals = (z.new_zeros((*z.shape, rules.mixed)) for _ in range(2))
    cost, last = Cost(), None
    for count in range(field.latent_dim):
        image = orbit_points(field, z.to(field.dtype).reshape(-1, *field.latent_shape), period)[-1]
        residual = image.flatten(1).to(torch.float64) - z
        cost += Cost(map=len(z) * period)
        if last is not None:
            newest = (count - 1) % rules.mixed
            points[:, :, newest], residuals[:, :, newest] = z - last[0], residual - last[1]
        length = residual.norm(dim=1)
        done = is_at_floor(length, z, rules.floor_in_eps)
        result[rows[done]] = z[done]
        going = ~done & length.isfinite()
        rows, z, residual = rows[going], z[going], residual[going]
        if not len(rows):
            break
        points, residuals, last = points[going], residuals[going], (z, residual)
        z = z + residual
        if count:
            kept = residuals[:, :, : min(count, rules.mixed)]
            size = kept.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
            unit = kept / size
            normal = unit.mT @ unit + rules.ridge * torch.eye(unit.shape[2], dtype=z.dtype, device=z.device)
            weights = torch.linalg.solve(normal, unit.mT @ residual.unsqueeze(2)) / size.mT
            z = z - ((points + residuals)[:, :, : unit.shape[2]] @ weights).squeeze(2)
    near = (result - start).norm(dim=1) <= within.to(torch.float64)
    result = torch.where(near[:, None], result, start)
    return result.reshape(candidates.shape), cost
