"""Forks that come late, and whose smaller branch hardly any orbit takes: every start is labelled by the branch it takes."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix.testing import oracles


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("minority", [0.002, 0.005, 0.01, 0.02])
def test_a_late_fork_deceives_nobody(minority, seed):
    """The basin of the smaller branch has the share (1 + c)/2 of the starts; the sign of y − c decides, for all of them."""
    oracle = oracles.late_fork(minority, count=1000, seed=seed)
    limits = sx.find_attractors(oracle.field, oracle.starts)
    threshold = 2 * minority - 1
    side = torch.where(oracle.starts[:, 1] > threshold, 2.0, -2.0)
    assert bool((limits.labels >= 0).all())
    assert (limits.points[limits.labels][:, 1] - threshold - side).abs().max() < 1e-9
    assert limits.audit.fidelity == 1.0
    assert limits.notes == ()


def test_a_fork_behind_a_slow_saddle_deceives_nobody():
    """x leaves the saddle at 0 by a hundredth per step, and only beyond 0.9 does y choose its well."""

    def function(z):
        x, y = z[:, :1], z[:, 1:2]
        gate = torch.sigmoid((x.abs() - 0.9) / 0.01)
        return torch.cat(
            [x + 0.01 * x * (1 - x.square()) * 2, y + 0.2 * gate * (y + 0.97) * (1 - (y + 0.97).square() / 4)], 1
        )

    field = sx.LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
    draw = torch.rand(600, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    starts = torch.stack([0.4 * draw[:, 0] - 0.2, 2 * draw[:, 1] - 1], dim=1)
    limits = sx.find_attractors(field, starts)
    ends = limits.points[limits.labels]
    assert bool((limits.labels >= 0).all())
    assert torch.equal(ends[:, 0].sign(), starts[:, 0].sign())
    assert torch.equal((ends[:, 1] + 0.97).sign(), (starts[:, 1] + 0.97).sign())
