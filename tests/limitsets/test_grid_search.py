"""Maps of basins by one set of rules: the same labels with the captures that closed curves need, and without."""

from __future__ import annotations

import math

import pytest
import torch

import separatrix as sx
from separatrix.limitsets import Kind, grid_search, same_sets
from separatrix.limitsets._grid_search import GRID_RULES, GridSearch, grid_rules

TURN = torch.tensor([[math.cos(2.4), -math.sin(2.4)], [math.sin(2.4), math.cos(2.4)]], dtype=torch.float64)
INSIDE = 0.5  # radius: what is nearer goes to 0, the rest to the circle


def rings(z: torch.Tensor) -> torch.Tensor:
    squared = (z * z).sum(dim=1, keepdim=True)
    return (1 + 0.5 * (1 - squared) * (squared - INSIDE**2)) * z @ TURN.mT


@pytest.mark.slow
def test_a_closed_curve_costs_little_and_every_label_is_the_same():
    field = sx.LatentField.from_map(rings, latent_shape=(2,), dtype=torch.float64)
    extent, side = (-0.9, 0.9, -0.9, 0.9), 12
    slow = grid_search(field, extent, side)
    assert (slow.limits.kind == int(Kind.CLOSED_CURVE)).any()
    quick = grid_search(field, extent, side, known=slow.limits)
    again = torch.cat((same_sets(quick.limits, slow.limits), torch.tensor([-1])))[quick.limits.labels]
    assert torch.equal(again, slow.limits.labels)
    axis = torch.linspace(-0.9, 0.9, side, dtype=torch.float64)
    radius = torch.cartesian_prod(axis, axis).norm(dim=1)
    curve = (quick.limits.kind == int(Kind.CLOSED_CURVE))[quick.limits.labels]
    assert torch.equal(curve, radius > INSIDE)
    assert quick.limits.cost.map < slow.limits.cost.map / 2


def test_what_was_found_has_names():
    found = grid_search(sx.LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2,)), (0.0, 1.0, 0.0, 1.0), 3)
    assert (found.shape, found.extent, len(found.limits)) == ((3, 3), (0.0, 1.0, 0.0, 1.0), 1)
    with pytest.raises(TypeError, match="positional"):
        GridSearch(found.limits, found.shape, found.extent)


def test_without_curves_nothing_is_captured():
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,))
    known = sx.find_attractors(field, sx.starts.gaussian(32, seed=0))
    assert grid_rules(known) == grid_rules(None) == GRID_RULES
