"""Searches written down by hand, for what is done with them afterwards."""

from __future__ import annotations

import torch

import separatrix as sx
from separatrix.orbits._result import Orbits
from separatrix.orbits._status import Status


def limit_sets(points, labels, spread=1.0, unsettled=None):
    """Limit sets without a field: only what matching looks at has a meaning.

    Starts with label −1 ended elsewhere, except where ``unsettled`` ``(n,)`` says that they ran out of steps.
    """
    points, labels = torch.as_tensor(points, dtype=torch.float64), torch.as_tensor(labels)
    m, n = len(points), len(labels)
    unknown, runs = torch.full((m,), torch.nan, dtype=torch.float64), torch.full((n,), torch.nan, dtype=torch.float64)
    status = torch.full((n,), int(Status.CONVERGED), dtype=torch.uint8)
    if unsettled is not None:
        status[unsettled] = int(Status.BUDGET)
    orbits = Orbits(
        points=torch.zeros(n, *points.shape[1:]), steps=torch.zeros(n, dtype=torch.int64), residual=runs, rate=runs,
        error=runs, status=status, period=torch.ones(n, dtype=torch.int64), spread=spread,
        protocol=sx.Protocol(),
    )  # fmt: skip
    return sx.LimitSets(
        points=points, kind=torch.zeros(m, dtype=torch.uint8), period=torch.ones(m, dtype=torch.int64), residual=unknown,
        spectral_radius=unknown, spectral_norm=unknown, eigenvalues=torch.full((m, 1), torch.nan, dtype=torch.complex128),
        stable=torch.ones(m, dtype=torch.int8), unstable_directions=torch.zeros(m, dtype=torch.int64),
        hits=torch.bincount(labels[labels >= 0], minlength=m), labels=labels, orbits=orbits, protocol=sx.Protocol(),
        spread=spread,
    )  # fmt: skip
