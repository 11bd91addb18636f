"""Channels that all orbits share for a long time, and where they part late and unequally."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from separatrix.errors import InputError
from separatrix.testing.oracles._record import SETTLES, KnownSet, Oracle, as_field, box

_SPEED, _GATE, _WIDTH, _PULL = 0.02, 0.9, 0.01, 0.2


def late_fork(minority: float = 0.01, count: int = 1000, seed: int = 0) -> Oracle:
    """A channel whose fork comes late, and whose smaller branch hardly any orbit takes.

    s ← s + .02(1 − s); with d = y − c and the gate g(s) = 1/(1 + e^{−(s − .9)/.01}), y ← y + .2 g(s) d(1 − d²/4), so that y
    rests until s has come to about .9; and two coordinates w ← .7w + .05 tanh(s w). Starts: s in [0, .3], y in [−1, 1], w in
    [−½, ½]², uniform. Whoever concludes from the way of earlier orbits where this one goes is wrong on the branch that no
    earlier orbit took.

    Answer: with c = −1 + 2·minority the sign of y − c decides, so that the basin of y = c − 2 has the share ``minority`` and that
        of y = c + 2 the rest (s = 1, w = 0 on both; eigenvalues .98, 1 − .4 g(1), .75, .75); between them a saddle at y = c
        with 1 + .2 g(1).
    """
    if not 0 < minority < 1:
        raise InputError(f"late_fork needs a minority between 0 and 1, not {minority}.")
    threshold = 2 * minority - 1

    def function(z: Tensor) -> Tensor:
        s, d, w = z[:, :1], z[:, 1:2] - threshold, z[:, 2:]
        gate = torch.sigmoid((s - _GATE) / _WIDTH)
        return torch.cat(
            [
                s + _SPEED * (1 - s),
                d + _PULL * gate * d * (1 - d.square() / 4) + threshold,
                0.7 * w + 0.05 * torch.tanh(s * w),
            ],
            dim=1,
        )

    open_gate = 1 / (1 + math.exp(-(1 - _GATE) / _WIDTH))
    known = []
    for side, share in ((2.0, 1 - minority), (-2.0, minority), (0.0, 0.0)):
        slope = 1 + _PULL * open_gate * (1 - 0.75 * side**2)
        point = torch.tensor([[1.0, threshold + side, 0.0, 0.0]], dtype=torch.float64)
        known.append(
            KnownSet.periodic(point, torch.tensor([1 - _SPEED, slope, 0.75, 0.75], dtype=torch.float64), share)
        )
    return Oracle(
        name=f"late fork, {minority:.1%}",
        field=as_field(function, (4,), "late fork"),
        starts=box(count, seed, [0.0, -1.0, -0.5, -0.5], [0.3, 1.0, 0.5, 0.5]),
        limit_sets=tuple(known),
        statuses=SETTLES,
    )
