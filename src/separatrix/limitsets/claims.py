"""Claims: orbits that seem to have arrived. The new ones among their ends are polished; all of them go on until they are confirmed.

A slow passage near a saddle looks exactly like convergence, so no claim is believed for its own sake. In float64 the orbit either enters
the region of an attracting set, goes on elsewhere, or comes to rest a second time; then it is on a set that does not attract, or it
lingers on nothing that has a name.
"""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.limitsets.catalogue import NEARBY, Catalogue
from separatrix.limitsets.ledger import Ledger
from separatrix.limitsets.polish import polish
from separatrix.numerics.distances import nearest

_FIRST_BATCH = 32  # candidates polished together at first, then four times as many each time that any was new
_BATCH_GROWTH = 4
_MOST_TOGETHER = 512
_FRUITLESS = 2  # batches without a new set before the search for more is given up
_DISTINCT = 1e-4  # ends closer than this share of the spread are not polished twice in one round


def settle_claims(catalogue: Catalogue, ledger: Ledger, claims: Tensor, tolerance: float, budget: int) -> Tensor:
    """Polish what is new among the ends of these orbits, and return those that have to go on, in float64.

    An orbit goes on until the catalogue has nothing new to compare it with. One that then rests within ``tolerance`` of a known set,
    or on a continuum, gets its number; the others keep −1.
    """
    ends, version = ledger.ends, catalogue.version
    periods = ends.period[claims].clamp(min=1)
    # At the floor of its precision an orbit is near something, though its own steps no longer say how near.
    error = ends.error[claims].clamp(max=NEARBY * catalogue.spread)
    for period in sorted(set(periods.tolist())):
        here = periods == period
        _polish_new(catalogue, ends.points[claims[here]], error[here], period, ledger.asked[claims[here]] >= 0)
    first = ledger.asked[claims] < 0
    ledger.remember(claims[first])
    ledger.asked[claims] = version
    onward = (first | (catalogue.version > version)) & (ends.steps[claims] < budget)
    resting = claims[~onward]
    ledger.set[resting] = catalogue.at_rest(
        ends.points[resting], ends.residual[resting], ends.period[resting], tolerance
    )
    return claims[onward]


def _polish_new(catalogue: Catalogue, points: Tensor, error: Tensor, period: int, again: Tensor) -> None:
    """Polish those of ``(n, *latent)`` ends that are apart from each other and, unless they rest ``again``, from all that was
    polished before."""
    unit = _DISTINCT * catalogue.spread
    for final in (
        False,
        True,
    ):  # a claim is first a hint at an attractor; where an orbit rests for good is asked of it later
        rest = (again == final).nonzero().squeeze(1)
        fruitless, width = 0, _FIRST_BATCH
        while len(rest) and fruitless < _FRUITLESS:
            if not final:
                known = catalogue.looked_at(period)
                rest = rest[nearest(points[rest].to(known), known).distance > unit]
            leaders, rest = _distinct(points, rest, unit, width)
            if not len(leaders):
                break
            before = len(catalogue.sets)
            solved = polish(catalogue.field, points[leaders], period, attracting_only=not final)
            catalogue.add(solved, error[leaders], period)
            if len(catalogue.sets) > before:
                fruitless, width = 0, min(_BATCH_GROWTH * width, _MOST_TOGETHER)
            else:
                fruitless += 1


def _distinct(points: Tensor, among: Tensor, apart: float, most: int) -> tuple[Tensor, Tensor]:
    """Up to ``most`` of the rows that are apart from each other, earliest first, and the rows that are near none of them."""
    flat = points.flatten(1).to(torch.float64)
    leaders: list[int] = []
    while len(among) and len(leaders) < most:
        leaders.append(int(among[0]))
        among = among[(flat[among] - flat[leaders[-1]]).norm(dim=1) > apart]
    return torch.tensor(leaders, dtype=torch.int64, device=points.device), among
