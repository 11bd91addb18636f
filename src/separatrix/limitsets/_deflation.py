"""Deflated Newton: look for the fixed points that are still missing, from the same starts.

Newton from one start always ends at the same solution. Dividing the known solutions out, M(z)·(f^p(z) − z) with
M(z) = Π_i (1/‖z − z_i‖² + 1), makes them repel and sends Newton elsewhere (Farrell, Birkisson & Funke 2015). The Newton step
of the deflated problem is the ordinary one times a number, τ = 1/(1 − ∇M·d/M), so it costs no more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.cost import Cost
from separatrix.field import LatentField
from separatrix.limitsets._polish import cycle_jacobian, newton_step, orbit_points
from separatrix.protocol import DEFAULT, Deflation, Polishing

_NO_DIVISOR = 1e-3  # how near to 0 the divisor of a step may come, whose length is bounded in any case


def deflated_newton(
    field: LatentField,
    starts: Tensor,
    known: Tensor,
    period: int,
    spread: float,
    rules: Deflation = DEFAULT.deflation,
    polishing: Polishing = DEFAULT.polishing,
) -> tuple[Tensor, Tensor, Cost]:
    """Go from ``(n, *latent)`` starts to candidates away from the ``known`` ``(m, *latent)`` solutions of f^p(z) = z.

    Returns ``(n, *latent)`` candidates, ``(n,)`` bool: worth polishing, and the cost: up to 40 Jacobians (2·k·p
    evaluations each) and a few evaluations per start.
    """
    n, k = len(starts), field.latent_dim
    z = starts.flatten(1).to(torch.float64).clone()
    centres = known.flatten(1).to(torch.float64)
    cost = Cost()
    active = torch.cdist(z, centres, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1) > rules.refused * spread
    found = torch.zeros(n, dtype=torch.bool, device=z.device)
    with field.guest():
        for _ in range(rules.iterations):
            rows = active.nonzero().squeeze(1)
            if not len(rows):
                break
            orbit = orbit_points(field, _shaped(field, z[rows]), period)
            residual = orbit[-1].reshape(len(rows), k).to(torch.float64) - z[rows]
            jacobian = cycle_jacobian(field, orbit[:-1]).to(torch.float64)
            cost += Cost(map=len(rows) * period, vjp=len(rows) * k * period)
            newton = newton_step(jacobian, residual, polishing)
            logarithm, slope = _deflation(z[rows], newton, centres, spread)
            step = newton / _away_from_zero(1 - slope).unsqueeze(1)
            length = step.norm(dim=1, keepdim=True)
            step = step * (rules.longest_step * spread / length.clamp(min=1e-300)).clamp(max=1.0)
            before = residual.norm(dim=1).clamp(min=1e-300).log() + logarithm
            moved, after_residual, spent = _search(
                field, z[rows], step, before, centres, period, spread, rules.halvings
            )
            cost += Cost(map=spent)
            z[rows] = moved
            arrived = after_residual <= rules.near_enough * spread
            found[rows[arrived]] = True
            active[rows[arrived | ~moved.isfinite().all(dim=1)]] = False
    return _shaped(field, z), found, cost


def _search(
    field: LatentField,
    z: Tensor,
    step: Tensor,
    before: Tensor,
    centres: Tensor,
    period: int,
    spread: float,
    halvings: int,
) -> tuple[Tensor, Tensor, int]:
    """Halve the step until the deflated residual falls; the last, shortest one is taken in any case."""
    best, best_residual = z + step, torch.full_like(before, torch.inf)
    undecided = torch.ones(len(z), dtype=torch.bool, device=z.device)
    spent = 0
    for halving in range(halvings + 1):
        rows = undecided.nonzero().squeeze(1)
        trial = z[rows] + 0.5**halving * step[rows]
        image = orbit_points(field, _shaped(field, trial), period)[-1].reshape(len(rows), -1).to(torch.float64)
        spent += len(rows) * period
        residual = (image - trial).norm(dim=1)
        logarithm, _ = _deflation(trial, torch.zeros_like(trial), centres, spread)
        better = residual.clamp(min=1e-300).log() + logarithm < before[rows]
        better |= torch.full_like(better, halving == halvings)
        best[rows[better]], best_residual[rows[better]] = trial[better], residual[better]
        undecided[rows[better]] = False
        if not bool(undecided.any()):
            break
    return best, best_residual, spent


def _deflation(z: Tensor, direction: Tensor, centres: Tensor, spread: float) -> tuple[Tensor, Tensor]:
    """log M(z) and ∇M·d/M, distances in units of the spread."""
    offset = (z.unsqueeze(1) - centres) / spread
    squared = offset.square().sum(dim=2).clamp(min=1e-30)
    factor = 1 / squared + 1
    along = (offset * (direction / spread).unsqueeze(1)).sum(dim=2)
    return factor.log().sum(dim=1), (-2 * along / squared.square() / factor).sum(dim=1)


def _away_from_zero(x: Tensor) -> Tensor:
    return torch.where(x.abs() < _NO_DIVISOR, torch.where(x < 0, -_NO_DIVISOR, _NO_DIVISOR), x)


def _shaped(field: LatentField, flat: Tensor) -> Tensor:
    return flat.reshape(len(flat), *field.latent_shape).to(field.dtype)
