"""A thousand attractors: each that is reached is found, and each costs one Jacobian."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix.limitsets import _claims as claims
from separatrix.starts import box

WIDE, DIMENSION = 10, 16


def wells(z: torch.Tensor) -> torch.Tensor:
    """Three coordinates fall to the nearest integer, the others to 0: 10³ attractors in the box of the starts."""
    head, tail = z[:, :3], z[:, 3:]
    return torch.cat([head - 0.12 * torch.sin(2 * torch.pi * head), 0.5 * tail], dim=1)


@pytest.fixture(scope="module")
def found() -> tuple[torch.Tensor, sx.LimitSets, list[int]]:
    field = sx.LatentField.from_map(wells, latent_shape=(DIMENSION,))
    rest = DIMENSION - 3
    starts = box(4000, [-0.49] * 3 + [-0.1] * rest, [WIDE - 0.51] * 3 + [0.1] * rest, seed=0).block(field, 0, 4000)
    batches: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        inner = claims.polish
        patch.setattr(
            claims,
            "polish",
            lambda field, ends, *rest, **o: batches.append(len(ends)) or inner(field, ends, *rest, **o),
        )
        limits = sx.find_attractors(field, starts)
    return starts, limits, batches


def test_every_well_with_a_start_is_found_and_no_other(found):
    starts, limits, _ = found
    wanted = starts[:, :3].round().to(torch.int64)
    assert len(limits) == len(wanted.unique(dim=0))
    assert bool((limits.stable == 1).all())
    ends = limits.points[limits.labels]
    assert torch.equal(ends[:, :3].round().to(torch.int64), wanted)
    assert (limits.points[:, :3] - limits.points[:, :3].round()).abs().max() < 1e-12


def test_one_jacobian_each_in_few_batches(found):
    _, limits, batches = found
    assert limits.cost.vjp == len(limits) * DIMENSION
    assert sum(batches) == len(limits)
    assert len(batches) < 30
