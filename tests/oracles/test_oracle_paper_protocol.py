"""The paper's preset does what the paper says, faults included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_sets import quiet_search

import separatrix as sx
from separatrix import Protocol
from separatrix.testing import oracles

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")


def loop(z: np.ndarray, step, tolerance: float, max_steps: int) -> tuple[np.ndarray, int]:
    """z_t at the first t with ‖z_{t+1} − z_t‖² < tolerance."""
    for t in range(max_steps):
        image = step(z)
        if ((image - z) ** 2).sum() < tolerance:
            return z, t
        z = image
    return z, max_steps


@pytest.mark.parametrize("start", [1.0, 0.3, -2.5, 0.01])
def test_tanh_stops_where_a_hand_written_loop_stops(start):
    oracle = oracles.neutral_tanh()
    orbits = sx.iterate(oracle.field, torch.tensor([[start], [1.7]], dtype=torch.float64), Protocol.paper())
    end, steps = loop(np.array([start]), np.tanh, 1e-6, 3000)
    assert int(orbits.steps[0]) == steps
    assert orbits.points[0].item() == pytest.approx(end.item(), abs=1e-12)
    assert float(orbits.residual[0]) ** 2 < 1e-6


def test_tanh_from_one_stops_at_0143():
    """METHOD.md, section 2: the rule stops at 0.143 instead of 0."""
    oracle = oracles.neutral_tanh()
    for start in ([[1.0]], [[1.0], [0.5]]):
        orbits = sx.iterate(oracle.field, torch.tensor(start, dtype=torch.float64), Protocol.paper())
        assert orbits.points[0].item() == pytest.approx(0.143, abs=1.5e-3)
        assert float(orbits.residual[0]) == pytest.approx(1e-3, rel=0.02)


def test_foundation_preset():
    oracle = oracles.scaling(rho=0.999, dim=3)
    starts = 10 * oracle.starts
    orbits = sx.iterate(oracle.field, starts, Protocol.paper_foundation())
    for row, start in enumerate(starts.numpy()):
        end, steps = loop(start, lambda z: 0.999 * z, 1e-5, 500)
        assert int(orbits.steps[row]) == steps
        assert np.abs(orbits.points[row].numpy() - end).max() < 1e-12
    assert (orbits.steps == 500).any()
    assert (orbits.steps < 500).any()


def test_the_whole_batch_stops_row_by_row():
    oracle = oracles.tanh_product(dim=3, count=64)
    orbits = sx.iterate(oracle.field, oracle.starts, Protocol.paper())
    for row, start in enumerate(oracle.starts.numpy()):
        end, steps = loop(start, lambda z: np.tanh(2 * z), 1e-6, 3000)
        assert int(orbits.steps[row]) == steps
        assert np.abs(orbits.points[row].numpy() - end).max() < 1e-12


def test_cosine_counts_one_where_distance_counts_more():
    """Prototypes on one ray have cosine 1 and are distinct: the reason for the default merge rule."""
    oracle = oracles.nearest_prototype(((1.0, 0.0), (3.0, 0.0), (0.0, 2.0), (0.0, 0.5)), -1.0, 4.0)
    assert len(quiet_search(oracle)) == 4
    assert len(quiet_search(oracle, protocol=Protocol.paper())) == 2


def test_the_paper_splits_one_attractor_across_zero():
    """With the attractor at 0 the end points of the two sides have cosine −1: two sets where there is one."""
    oracle = oracles.scaling(rho=0.9, dim=1)
    assert len(sx.find_attractors(oracle.field, oracle.starts)) == 1
    assert len(quiet_search(oracle, protocol=Protocol.paper())) == 2


def test_without_polish_the_end_points_are_what_is_reported():
    oracle = oracles.tanh_product()
    limits = quiet_search(oracle, protocol=Protocol.paper())
    assert len(limits) == 2
    distance = (limits.points.abs() - oracle.attractors[0].points.abs()).abs()
    assert distance.max() < 1e-3 / (1 - 0.166372), "a step of 1e-3 at this rate"
    assert distance.max() > 1e-6
    assert limits.residual.max() ** 2 < 1e-6
