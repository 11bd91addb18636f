"""Maps of the line, and their products: fixed points, cycles and multipliers from scalar equations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.orbits import Status
from separatrix.testing.oracles._record import REPEATS, SETTLES, KnownSet, Oracle, as_field, box, root

HALF_WIDTH = 2.0
"""Starts of the tanh maps fill the box [−2, 2]^d."""

PERIOD_FOUR_ENDS = 3.5440903595519
"""The logistic parameter at which the attracting 4-cycle doubles (Strogatz 1994, § 10.2)."""

WELL_HALF_WIDTH = 1.25


def tanh_fixed_point(gain: float) -> float:
    """The positive solution of x = tanh(gain·x), gain > 1; 0.957504… for gain 2 (mean-field magnetisation).

    >>> abs(tanh_fixed_point(2.0) - 0.957504) < 1e-6
    True
    """
    return root(lambda x: math.tanh(gain * x) - x, lambda x: gain * (1 - math.tanh(gain * x) ** 2) - 1, 1.0)


def tanh_product(gain: float = 2.0, dim: int = 1, count: int = 256, seed: int = 0) -> Oracle:
    """f(z) = tanh(gain·z), coordinate by coordinate, gain > 1.

    Answer: each coordinate is fixed at 0 (multiplier ``gain``) or ±x* (multiplier gain·(1 − x*²)), x* =
        tanh(gain·x*).
    So there are 2^d attractors with basins the orthants, fraction 2^−d each, and C(d, j)·2^{d−j} fixed points
    with j unstable directions. Gain 2: x* = 0.957504, multiplier 0.166372.
    """
    _check_gain(gain)
    x = tanh_fixed_point(gain)
    at_x = gain * (1 - x * x)
    known = []
    for signs in itertools.product((1, 0, -1), repeat=dim):
        pattern = torch.tensor(signs, dtype=torch.float64)
        eigenvalues = at_x * pattern.abs() + gain * (1 - pattern.abs())
        known.append(KnownSet.periodic(x * pattern[None], eigenvalues, 2.0**-dim if all(signs) else 0.0))
    return Oracle(
        name=f"tanh({gain:g}z)",
        field=as_field(lambda z: torch.tanh(gain * z), (dim,), f"tanh({gain:g}z)"),
        starts=box(count, seed, [-HALF_WIDTH] * dim, [HALF_WIDTH] * dim),
        limit_sets=tuple(known),
        statuses=SETTLES,
    )


def negated_tanh_product(gain: float = 2.0, dim: int = 1, count: int = 256, seed: int = 0) -> Oracle:
    """f(z) = −tanh(gain·z), coordinate by coordinate, gain > 1.

    Answer: 0 is fixed with multiplier −gain; every other s∘x* with s in {−1, 0, 1}^d lies on the 2-cycle
        {s∘x*, −s∘x*}, whose
    multipliers are (gain·(1 − x*²))² where s ≠ 0 and gain² where s = 0. The 2^{d−1} cycles without a zero
    attract, fraction 2^{1−d} each. Gain 2: ±0.957504, multiplier 0.02768. All 2-cycles are listed.
    """
    _check_gain(gain)
    x = tanh_fixed_point(gain)
    at_x = gain * (1 - x * x)
    known = []
    for signs in itertools.product((1, 0, -1), repeat=dim):
        pattern = torch.tensor(signs, dtype=torch.float64)
        if signs > tuple(-sign for sign in signs):  # one of the two phases of each cycle
            eigenvalues = at_x**2 * pattern.abs() + gain**2 * (1 - pattern.abs())
            cycle = x * torch.stack([pattern, -pattern])
            known.append(KnownSet.periodic(cycle, eigenvalues, 2.0 ** (1 - dim) if all(signs) else 0.0))
        elif not any(signs):
            known.append(KnownSet.periodic(pattern[None], torch.full((dim,), -gain, dtype=torch.float64), 0.0))
    return Oracle(
        name=f"-tanh({gain:g}z)",
        field=as_field(lambda z: -torch.tanh(gain * z), (dim,), f"-tanh({gain:g}z)"),
        starts=box(count, seed, [-HALF_WIDTH] * dim, [HALF_WIDTH] * dim),
        limit_sets=tuple(known),
        statuses=REPEATS,
    )


def neutral_tanh(dim: int = 1, count: int = 64, seed: int = 0) -> Oracle:
    """f(z) = tanh(z), coordinate by coordinate.

    Answer: only 0 is fixed, with multiplier 1. It attracts, but algebraically: z_n ≈ ±√(3/(2n)), so that
        after 73 steps
    an orbit is still 0.143 away while its steps are 0.001. No rate below 1 exists, hence no *attractor* in
    the sense ρ < 1.
    """
    return Oracle(
        name="tanh(z)",
        field=as_field(torch.tanh, (dim,), "tanh(z)"),
        starts=box(count, seed, [-HALF_WIDTH] * dim, [HALF_WIDTH] * dim),
        limit_sets=(KnownSet.periodic(torch.zeros(1, dim), torch.ones(dim), 1.0),),
        statuses=frozenset({Status.SLOW}),
    )


def logistic(r: float = 2.5, count: int = 64, seed: int = 0) -> Oracle:
    """f(x) = r·x·(1 − x) on (0, 1), for 1 < r < 3.54409 or r = 4 (May 1976).

    Answer: 0 is fixed (multiplier r), 1 − 1/r too (2 − r); for r > 3 there is the 2-cycle
    (r + 1 ± √((r − 3)(r + 1)))/(2r) with multiplier 4 + 2r − r²; for r > 1 + √6 the attracting 4-cycle, found
    here by Newton's method on f⁴. Exactly one of these attracts almost every start. r = 4: chaos, nothing
    attracts, only the fixed points are listed.
    """
    if not 1 < r < PERIOD_FOUR_ENDS and r != 4:
        raise InputError(
            f"The logistic map is solved here for 1 < r < {PERIOD_FOUR_ENDS:.5f} and r = 4, not for r = {r}."
        )
    cycles: list[list[float]] = [[0.0], [1 - 1 / r]]
    if 3 < r < 4:
        middle, half = (r + 1) / (2 * r), math.sqrt((r - 3) * (r + 1)) / (2 * r)
        cycles.append([middle + half, middle - half])
    if 1 + math.sqrt(6) < r < 4:
        cycles.append(_logistic_four_cycle(r))
    known = []
    for cycle in cycles:
        multiplier = math.prod(r * (1 - 2 * x) for x in cycle)
        attracts = 1.0 if abs(multiplier) < 1 else 0.0
        points = torch.tensor(cycle, dtype=torch.float64)[:, None]
        known.append(KnownSet.periodic(points, torch.tensor([multiplier], dtype=torch.float64), attracts))
    return Oracle(
        name=f"logistic, r = {r:g}",
        field=as_field(lambda x: r * x * (1 - x), (1,), f"logistic, r = {r:g}"),
        starts=box(count, seed, [0.01], [0.99]),
        limit_sets=tuple(known),
        statuses=frozenset({Status.WANDERING}) if r == 4 else (REPEATS if r > 3 else SETTLES),
    )


def tilted_well(strength: float = 0.2, tilt: float = 0.0, count: int = 256, seed: int = 0) -> Oracle:
    """f(z) = z + α(z − z³ + h), the Euler step of a particle in the double well z⁴/4 − z²/2 − hz; α =
    ``strength``, h = ``tilt``.

    Answer: the fixed points are the real roots of z − z³ + h, three for |h| < 2/(3√3) = 0.38490 and one
        beyond (a fold), with
    multiplier 1 + α(1 − 3z²). f increases on the box [−1.25, 1.25] of the starts, so the middle root is the
    boundary of the two basins. Just beyond the fold orbits crawl past its ghost for about π/(α√(√3·δ)) steps,
    the shortest of length αδ, with δ = |h| − 0.38490: small steps, and nothing there.
    """
    if not (0 < strength <= 0.25 and abs(tilt) <= 0.6):
        raise InputError(
            "tilted_well needs 0 < strength ≤ 0.25 and |tilt| ≤ 0.6, so that it increases on the starts' box."
        )
    candidates = np.roots([-1.0, 0.0, 1.0, tilt])
    fold = 2 / (3 * math.sqrt(3))
    real = sorted(candidates.real) if abs(tilt) < fold else [candidates[np.abs(candidates.imag).argmin()].real]
    roots = [root(lambda z: z - z**3 + tilt, lambda z: 1 - 3 * z * z, float(guess)) for guess in real]
    if len(roots) == 3:
        lower = (roots[1] + WELL_HALF_WIDTH) / (2 * WELL_HALF_WIDTH)
        shares = [lower, 0.0, 1 - lower]
    else:
        shares = [1.0]
    return Oracle(
        name=f"tilted well, h = {tilt:g}",
        field=as_field(lambda z: z + strength * (z - z**3 + tilt), (1,), f"tilted well, h = {tilt:g}"),
        starts=box(count, seed, [-WELL_HALF_WIDTH], [WELL_HALF_WIDTH]),
        limit_sets=tuple(
            KnownSet.periodic(_point(z), _point(1 + strength * (1 - 3 * z * z))[0], share)
            for z, share in zip(roots, shares, strict=True)
        ),
        statuses=SETTLES,
    )


def _point(x: float) -> Tensor:
    return torch.tensor([[x]], dtype=torch.float64)


def _check_gain(gain: float) -> None:
    if not gain > 1:
        raise InputError(f"This map needs gain > 1, not {gain}; for gain 1 use neutral_tanh, below it scaling.")


def _logistic_four_cycle(r: float) -> list[float]:
    """The attracting 4-cycle: the critical orbit leads to it (Fatou), Newton on f⁴(x) − x sharpens it."""

    def orbit(x: float) -> list[float]:
        xs = [x]
        for _ in range(4):
            xs.append(r * xs[-1] * (1 - xs[-1]))
        return xs

    x = 0.5
    for _ in range(2000):
        x = orbit(x)[4]
    x = root(lambda x: orbit(x)[4] - x, lambda x: math.prod(r * (1 - 2 * y) for y in orbit(x)[:4]) - 1, x)
    return orbit(x)[:4]
