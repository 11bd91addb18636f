"""Claims: orbits that seem to have arrived. The new ones among their ends are polished; all of them go on until they are confirmed.

A slow passage near a saddle looks exactly like convergence, so no claim is believed for its own sake. In float64 the orbit either enters
the region of an attracting set, goes on elsewhere, or comes to rest a second time; then it is on a set that does not attract, or it
lingers on nothing that has a name.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._ledger import Ledger
from separatrix.limitsets._polish import polish
from separatrix.limitsets._settling import settled
from separatrix.numerics import first_apart, nearest, pairwise

_COMPARED = (
    512  # ends whose distances from each other are in memory at once; who is distinct follows from the order alone
)


def settle_claims(catalogue: Catalogue, ledger: Ledger, claims: Tensor) -> Tensor:
    """Polish what is new among the ends of these orbits, and return those that have to go on, in float64.

    An orbit goes on until the catalogue has nothing new to compare it with. One that then rests on a known set, or on a continuum, gets
    its number; the others keep −1.
    """
    ends, version = ledger.ends, catalogue.version
    periods = ends.period[claims].clamp(min=1)
    # At the floor of its precision an orbit is near something, though its own steps no longer say how near.
    error = ends.error[claims].clamp(max=catalogue.nearby)
    for period in sorted(set(periods.tolist())):
        here = periods == period
        _polish_new(catalogue, ends.points[claims[here]], error[here], period, ledger.asked[claims[here]] >= 0)
    first = ledger.asked[claims] < 0
    ledger.remember(claims[first])
    ledger.asked[claims] = version
    onward = (first | (catalogue.version > version)) & (ends.steps[claims] < catalogue.protocol.max_steps)
    resting = claims[~onward]
    tolerance = catalogue.polishing.at_unstable * catalogue.spread
    ledger.set[resting] = catalogue.at_rest(
        ends.points[resting], ends.residual[resting], ends.period[resting], tolerance
    )
    return claims[onward]


def _polish_new(catalogue: Catalogue, points: Tensor, error: Tensor, period: int, again: Tensor) -> None:
    """Polish those of ``(n, *latent)`` ends that are apart from each other and, unless they rest ``again``, from all that was
    polished before."""
    rules = catalogue.polishing
    unit = rules.distinct * catalogue.spread
    most = max(1, min(rules.most_together, rules.numbers_together // (period * catalogue.field.latent_dim**2)))
    # A claim is first a hint at an attractor; where an orbit rests for good is asked of it later.
    for final in (False, True):
        rest, known = (again == final).nonzero().squeeze(1), catalogue.looked_at(period)
        fruitless, width = 0, min(rules.first_batch, most)
        while fruitless < rules.fruitless:
            if not final:
                rest = rest[nearest(points[rest].to(known), known, unit).distance > unit]
            leaders, rest = _distinct(points, rest, unit, width)
            if not len(leaders):
                break
            before = len(catalogue.sets)
            known = _polish(catalogue, points[leaders], error[leaders], period, final)
            if len(catalogue.sets) > before:
                fruitless, width = 0, min(rules.batch_growth * width, most)
            else:
                fruitless += 1


def _polish(catalogue: Catalogue, candidates: Tensor, error: Tensor, period: int, final: bool) -> Tensor:
    """Bring candidates to the precision floor, ask of those that are still apart what they are, and return where they are.

    One Jacobian for each that is new, and none for the others.
    """
    field, ends, moved, rules = catalogue.field, candidates, torch.zeros_like(error), catalogue.polishing
    if field.latent_dim <= rules.dense_limit:
        within = (rules.leeway * error).clamp(min=rules.distinct * catalogue.spread, max=catalogue.nearby)
        ends, cost = settled(field, candidates, within, period, rules)
        catalogue.cost += cost
        moved = (ends - candidates).flatten(1).norm(dim=1)
        apart = catalogue.protocol.merge_tolerance * catalogue.spread
        new = nearest(ends, catalogue.looked_at(period, refused=not final), apart).distance > apart
        chosen, _ = _distinct(ends, new.nonzero().squeeze(1), apart, len(ends))
        ends, moved, error = ends[chosen], moved[chosen], error[chosen]
    solved = polish(field, ends, period, attracting_only=not final, rules=rules)
    catalogue.add(replace(solved, moved=solved.moved + moved), error, period)
    return solved.points.flatten(1)


def _distinct(points: Tensor, among: Tensor, apart: float, most: int) -> tuple[Tensor, Tensor]:
    """Up to ``most`` of the rows that are apart from each other, earliest first, and the rows that are near none of them."""
    flat = points.flatten(1).to(torch.float64)
    leaders = among[:0]
    while len(among) and len(leaders) < most:
        block = among[:_COMPARED]
        near = (pairwise(flat[block]) <= apart).fill_diagonal_(True)
        found = first_apart(near)[: most - len(leaders)]
        leaders = torch.cat([leaders, block[found]])
        among = torch.cat([block[~near[found].any(dim=0)], among[len(block) :]])
        among = among[nearest(flat[among], flat[block[found]], apart).distance > apart]
    return leaders, among
