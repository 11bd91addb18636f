"""A map whose orbits pass saddle after saddle, ever more slowly, and reach no attractor."""

from __future__ import annotations

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.testing.oracles._record import SETTLES, KnownSet, Oracle, as_field, box


def may_leonard(alpha: float = 0.3, beta: float = 2.2, step: float = 0.2, count: int = 64, seed: int = 0) -> Oracle:
    """Three competing species by Euler steps, xᵢ ← xᵢ + step·xᵢ(1 − xᵢ − α xᵢ₊₁ − β xᵢ₊₂), i mod 3 (May & Leonard 1975).

    Answer: for α < 1 < β and α + β > 2 a heteroclinic cycle attracts every start inside the positive octant but those of the
        diagonal: it leads from the saddle e₁ to e₃, e₂ and back, and every stay near one of them is longer than the last by
        a constant factor. Nothing attracts at a geometric rate. The fixed points are 0 (a source), the three eᵢ
        (eigenvalues of J: 1 − step, 1 + step(1 − α), 1 + step(1 − β)), (1, 1, 1)/(1 + α + β), and three on the coordinate
        planes, with a negative coordinate.

    >>> oracle = may_leonard()
    >>> len(oracle.fixed_points), len(oracle.attractors)
    (8, 0)
    """
    if not (0 <= alpha < 1 < beta and alpha + beta > 2 and 0 < step * (alpha + beta) < 1 and alpha * beta != 1):
        raise InputError(
            "A heteroclinic cycle needs 0 ≤ α < 1 < β, α + β > 2, αβ ≠ 1 and 0 < step·(α + β) < 1, not "
            f"α = {alpha}, β = {beta}, step = {step}."
        )
    competition = torch.tensor([[1, alpha, beta], [beta, 1, alpha], [alpha, beta, 1]], dtype=torch.float64)

    def function(x: Tensor) -> Tensor:
        return x + step * x * (1 - x @ competition.mT)

    def known(x: Tensor) -> KnownSet:
        growth = 1 - competition @ x
        jacobian = torch.eye(3, dtype=torch.float64) + step * (growth.diag() - x[:, None] * competition)
        return KnownSet.periodic(x[None], torch.linalg.eigvals(jacobian), 0.0)

    ones = torch.ones(3, dtype=torch.float64)
    pair = torch.tensor([1 - alpha, 1 - beta, 0], dtype=torch.float64) / (1 - alpha * beta)
    points = [
        0 * ones,
        *torch.eye(3, dtype=torch.float64),
        ones / (1 + alpha + beta),
        *(pair.roll(i) for i in range(3)),
    ]
    return Oracle(
        name="May–Leonard",
        field=as_field(function, (3,), "May–Leonard"),
        starts=box(count, seed, [0.05] * 3, [0.85] * 3),
        limit_sets=tuple(known(point) for point in points),
        statuses=SETTLES,
    )
