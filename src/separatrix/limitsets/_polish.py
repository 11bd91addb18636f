"""Newton's method on f^p(z) = z in float64: from a candidate near a fixed point or cycle to the precision floor.

Only for candidates that plain iteration brought close. From far away Newton ends at unstable points as readily as at
stable ones and knows nothing of basins (measured: the right basin for 2–79 % of starts).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.cost import NO_WORK, Cost
from separatrix.field import LatentField
from separatrix.protocol import DEFAULT, Polishing


@dataclass(frozen=True)
class Polished:
    """Refined periodic points, one row per candidate.

    Attributes:
        points: ``(c, *latent)`` float64.
        residual: ``(c,)`` ‖f^p(z) − z‖ at exactly these points.
        moved: ``(c,)`` distance from the candidate.
        at_floor: ``(c,)`` bool; the residual is rounding noise.
        jacobian: ``(c, k, k)`` of f^p at the points; None above ``Polishing.dense_limit`` dimensions.
        factors: ``(c, p, k, k)`` those of f at f^i of the points, of which it is the product.
        cost: work done.
    """

    points: Tensor
    residual: Tensor
    moved: Tensor
    at_floor: Tensor
    jacobian: Tensor | None
    factors: Tensor | None
    cost: Cost

    def at(self, rows: Tensor) -> Polished:
        """Only the chosen candidates; what was spent stays with the whole."""
        chosen = {
            name: None if column is None else column[rows] for name, column in vars(self).items() if name != "cost"
        }
        return Polished(**chosen, cost=NO_WORK)  # type: ignore[arg-type]


def polish(
    field: LatentField,
    candidates: Tensor,
    period: int = 1,
    *,
    damped: bool = False,
    attracting_only: bool = False,
    rules: Polishing = DEFAULT.polishing,
) -> Polished:
    """Solve f^p(z) = z from each candidate by Newton steps z ← z + (I − J)⁻¹ (f^p(z) − z).

    Where I − J is singular (a continuum of fixed points) the step of least norm is taken. A step is kept only if it
    lowers the residual, so the result is never worse than the candidate. With ``damped`` a step that fails is tried
    again at half its length, up to ten times: for candidates that are not near yet. With ``attracting_only`` a candidate is given up
    (``at_floor`` false) where its first or last Jacobian has an eigenvalue clearly outside the unit circle. Above ``rules.dense_limit`` dimensions
    the map itself is iterated instead, which converges to attracting sets only.

    Cost: per candidate about 2 Jacobians (2·k·p evaluations each) and p evaluations per step; one Jacobian where the candidate is at
    the floor already (`separatrix.limitsets._settling`).

    >>> field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,), dtype=torch.float64)
    >>> round(polish(field, torch.tensor([[0.9]], dtype=torch.float64)).points.item(), 6)
    0.957504
    """
    with field.guest():
        if field.latent_dim > rules.dense_limit:
            return _by_iteration(field, candidates, period, rules)
        return _newton(field, candidates, period, damped, attracting_only, rules)


def orbit_points(field: LatentField, z: Tensor, period: int) -> Tensor:
    """z, f(z), …, f^p(z): ``(p + 1, n, *latent)``. Cost: p evaluations per latent."""
    with field.guest():
        points = [z]
        for _ in range(period):
            points.append(field.bare(points[-1]))
        return torch.stack(points)


def cycle_jacobian(field: LatentField, points: Tensor) -> Tensor:
    """Jacobian of f^p from the p points of the orbit ``(p, n, *latent)``: J(z_{p−1})⋯J(z_0), ``(n, k, k)``."""
    return _product(_factors(field, points))


def _factors(field: LatentField, points: Tensor) -> Tensor:
    """``(n, p, k, k)`` the Jacobian of f at each point of orbits ``(p, n, *latent)``."""
    return torch.stack([field.jacobian(z) for z in points], dim=1)


def _product(factors: Tensor) -> Tensor:
    product = factors[:, 0]
    for step in range(1, factors.shape[1]):
        product = factors[:, step] @ product
    return product


def _newton(
    field: LatentField, candidates: Tensor, period: int, damped: bool, attracting_only: bool, rules: Polishing
) -> Polished:
    c, k = len(candidates), field.latent_dim
    start = candidates.to(torch.float64).reshape(c, k)
    z = start.clone()
    orbit = orbit_points(field, _shaped(field, z), period)
    residual_vector = orbit[-1].reshape(c, k).to(torch.float64) - z
    residual = residual_vector.norm(dim=1)
    factors = torch.zeros((c, period, k, k), dtype=torch.float64, device=z.device)
    cost = Cost(map=c * period)
    current = torch.zeros(c, dtype=torch.bool, device=z.device)  # the Jacobian stored is that of this very point
    renew = torch.ones_like(current)
    halvings = torch.zeros(c, dtype=torch.float64, device=z.device)
    active = residual.isfinite()
    given_up = torch.zeros_like(active)
    for _ in range(rules.damped_iterations if damped else rules.iterations):
        active &= ~is_at_floor(residual, z, rules.floor_in_eps)
        rows = active.nonzero().squeeze(1)
        if not len(rows):
            break
        stale = rows[renew[rows]]
        if len(stale):
            factors[stale] = _factors(field, orbit[:-1, stale]).to(torch.float64)
            current[stale], renew[stale] = True, False
            cost += Cost(vjp=len(stale) * k * period)
            if attracting_only:
                given_up[stale] |= _clearly_unstable(_product(factors[stale]), rules)
                active &= ~given_up
                rows = active.nonzero().squeeze(1)
        step = newton_step(_product(factors[rows]), residual_vector[rows], rules) * (0.5 ** halvings[rows]).unsqueeze(1)
        trial = z[rows] + step
        trial_orbit = orbit_points(field, _shaped(field, trial), period)
        trial_vector = trial_orbit[-1].reshape(len(rows), k).to(torch.float64) - trial
        trial_residual = trial_vector.norm(dim=1)
        cost += Cost(map=len(rows) * period)
        better = trial_residual < residual[rows]
        slow = ~(trial_residual < rules.reuse_ratio * residual[rows])
        # A Jacobian from an earlier point serves as long as it divides the residual by ten, and is renewed when not.
        # When even the right one does not lower the residual, the step is halved, or the search ends.
        failed = rows[~better & current[rows]]
        renew[rows[slow & ~(~better & current[rows])]] = True
        kept = rows[better]
        z[kept], residual[kept], residual_vector[kept] = (
            trial[better],
            trial_residual[better],
            trial_vector[better],
        )
        orbit[:, kept] = trial_orbit[:, better]
        current[kept] = False
        halvings[kept] = (halvings[kept] - 1).clamp(min=0)
        halvings[failed] += 1
        active[failed[halvings[failed] > (rules.halvings if damped else 0)]] = False
    at_floor = is_at_floor(residual, z, rules.floor_slack * rules.floor_in_eps) & ~given_up
    final = at_floor.nonzero().squeeze(1)
    factors[final] = _factors(field, orbit[:-1, final]).to(torch.float64)
    jacobian = _product(factors)
    cost += Cost(vjp=len(final) * k * period)
    if attracting_only:
        at_floor[final] &= ~_clearly_unstable(jacobian[final], rules)
    return Polished(_shaped(field, z), residual, (z - start).norm(dim=1), at_floor, jacobian, factors, cost)


def _clearly_unstable(jacobian: Tensor, rules: Polishing) -> Tensor:
    """``(n,)`` bool: an eigenvalue of modulus clearly above 1, which a candidate's distance from the limit does not explain."""
    finite = jacobian.flatten(1).isfinite().all(dim=1)
    values = torch.linalg.eigvals(torch.where(finite[:, None, None], jacobian, 0.0))
    return values.abs().amax(dim=1) > 1 + rules.clearly


def newton_step(jacobian: Tensor, residual: Tensor, rules: Polishing) -> Tensor:
    """(I − J)⁻¹ (f^p(z) − z), or the step of least norm where I − J is singular, ``(n, k)``.

    (`torch.linalg.lstsq` would give another answer each time on a CPU: its pivots begin with whatever is in the memory.)
    """
    # Where autograd gives NaN (a masked branch) the map itself is the step.
    usable = jacobian.flatten(1).isfinite().all(dim=1)
    jacobian = torch.where(usable[:, None, None], jacobian, 0.0)
    system = torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device) - jacobian
    step, info = torch.linalg.solve_ex(system, residual.unsqueeze(-1))
    singular = (info != 0) | ~step.flatten(1).isfinite().all(dim=1)
    singular |= torch.linalg.cond(system, p=1) > rules.singular
    if bool(singular.any()):
        least = torch.linalg.pinv(system[singular], rtol=rules.least_norm) @ residual[singular].unsqueeze(-1)
        step[singular] = least
    return step.squeeze(-1)


def _by_iteration(field: LatentField, candidates: Tensor, period: int, rules: Polishing) -> Polished:
    """f^p itself, until the residual stops falling. Linear convergence, but memory for one latent only."""
    start = candidates.to(field.dtype)
    z, cost = start, Cost()
    residual = torch.full((len(z),), torch.inf, dtype=torch.float64, device=z.device)
    best = z
    for _ in range(rules.plain_iterations):
        image = orbit_points(field, z, period)[-1]
        cost += Cost(map=len(z) * period)
        length = (image - z).flatten(1).norm(dim=1).to(torch.float64)
        better = length < residual
        best = torch.where(better.reshape(-1, *[1] * (z.ndim - 1)), z, best)
        residual = torch.minimum(residual, length)
        if bool((is_at_floor(residual, best.flatten(1), rules.floor_in_eps) | ~better).all()):
            break
        z = image
    return Polished(
        points=best,
        residual=residual,
        moved=(best - start).flatten(1).norm(dim=1).to(torch.float64),
        at_floor=is_at_floor(residual, best.flatten(1), rules.floor_slack * rules.floor_in_eps),
        jacobian=None,
        factors=None,
        cost=cost,
    )


def is_at_floor(residual: Tensor, z: Tensor, units: float) -> Tensor:
    """``(n,)`` bool: is a residual at flat points ``(n, k)`` at most so many rounding units of that format?"""
    unit = torch.finfo(z.dtype).eps * (1.0 + z.norm(dim=1))
    return residual <= units * unit


def _shaped(field: LatentField, flat: Tensor) -> Tensor:
    return flat.to(field.dtype).reshape(len(flat), *field.latent_shape)
