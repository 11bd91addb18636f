"""Basin fractions, their intervals, and basin entropy on label grids with known answers."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import separatrix as sx
from separatrix import LatentField
from separatrix.errors import InputError
from separatrix.limitsets._basins import shares_without_set


def searched(starts):
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=1, dtype=torch.float64)
    return sx.find_attractors(field, torch.tensor(starts, dtype=torch.float64)[:, None])


@functools.cache
def two_sets():
    return searched([-1.0, 1.0])


def with_labels(hits, unresolved=0):
    """A search of two sets with other counts put in."""
    limits = two_sets()
    labels = torch.cat([torch.full((n,), i) for i, n in enumerate(hits)] + [torch.full((unresolved,), -1)])
    return replace(limits, labels=labels, hits=torch.tensor(hits))


def test_fractions_are_shares_of_all_starts():
    found = sx.basins(with_labels([60, 20], unresolved=20))
    assert found.fractions.tolist() == pytest.approx([0.6, 0.2])
    assert found.unresolved == pytest.approx(0.2)
    assert found.entropy == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert repr(found) == "Basins(0.600, 0.200; 0.200 reached none; entropy 0.562 nats)"
    assert repr(sx.basins(with_labels([1] * 10))).startswith(f"Basins({'0.100, ' * 7}0.100 and 2 more; 0.000 ")
    exact = [stats.binomtest(hits, 100).proportion_ci(method="exact") for hits in (60, 20)]
    assert found.low.tolist() == pytest.approx([interval.low for interval in exact], abs=1e-9)
    assert found.high.tolist() == pytest.approx([interval.high for interval in exact], abs=1e-9)


def test_one_set_takes_all():
    found = sx.basins(searched([0.5, 1.0, 2.0]))
    assert found.fractions.tolist() == [1.0]
    assert found.entropy == 0
    assert math.copysign(1, found.entropy) == 1
    assert found.unresolved == 0
    assert found.high.item() == 1
    assert found.low.item() == pytest.approx(0.025 ** (1 / 3), abs=1e-12)


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_no_set_at_all():
    field = LatentField.from_map(lambda z: 2 * z, latent_shape=1, dtype=torch.float64)
    found = sx.basins(sx.find_attractors(field, torch.ones(4, 1, dtype=torch.float64)))
    assert len(found.fractions) == 0
    assert repr(found) == "Basins(none; 1.000 reached none; entropy 0.000 nats)"
    assert (found.unresolved, found.entropy) == (1, 0)


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
def test_what_became_of_starts_without_a_set_adds_up_to_the_unresolved_share():
    """Within 1 of the origin starts rest there, beyond they double, and one in eight is lost at once."""
    field = LatentField.from_map(
        lambda z: torch.where(z.abs() < 1, 0.5 * z, torch.where(z == 3, torch.nan, 2 * z)), 1, dtype=torch.float64
    )
    starts = torch.tensor([[0.1], [0.5], [-0.5], [2.0], [-2.0], [5.0], [3.0], [0.9]], dtype=torch.float64)
    limits = sx.find_attractors(field, starts)
    assert shares_without_set(limits) == {"diverged": 3 / 8, "not finite": 1 / 8}
    assert sx.basins(limits).unresolved == 4 / 8


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_cover_the_true_share_at_their_level(level):
    """Exact: Σ over all outcomes of a binomial(40, p) draw; never less than the level, whatever p."""
    n, covered = 40, []
    outcomes = [sx.basins(with_labels([x, n - x]), level=level) for x in range(n + 1)]
    for share in np.linspace(0.05, 0.95, 41):
        inside = [float(b.low[0]) <= share <= float(b.high[0]) for b in outcomes]
        covered.append(stats.binom.pmf(np.arange(n + 1), n, share)[inside].sum())
    assert level <= min(covered)
    assert np.mean(covered) < level + 0.07  # and not simply wide


@pytest.mark.parametrize("level", [0, 1, 2.5])
def test_a_level_outside_is_refused(level):
    with pytest.raises(InputError, match="between 0 and 1"):
        sx.basins(with_labels([1, 1]), level=level)


def test_a_view_keeps_shares_of_all_starts():
    limits = searched([-1.0, 1.0, 2.0, 3.0])
    assert sx.basins(limits[1]).fractions.tolist() == [0.25]
    assert sx.basins(limits[1]).unresolved == pytest.approx(0.75)


def chessboard(n):
    return (torch.arange(n)[:, None] + torch.arange(n)[None]) % 2


def test_entropy_of_known_grids():
    assert sx.limitsets.basin_entropy(torch.zeros(10, 10, dtype=torch.int64)) == 0
    assert math.copysign(1, sx.limitsets.basin_entropy(torch.zeros(10, 10, dtype=torch.int64))) == 1
    assert sx.limitsets.basin_entropy(chessboard(20), box=2) == pytest.approx(math.log(2))
    assert sx.limitsets.basin_entropy(torch.arange(25).reshape(5, 5), box=5) == pytest.approx(math.log(25))
    assert sx.limitsets.basin_entropy(chessboard(20), box=1) == 0


def test_a_straight_boundary_through_some_boxes():
    labels = (torch.arange(20) >= 7).long().expand(20, 20)  # cells 5–6 of the second box column on one side
    share = torch.tensor([2 / 5, 3 / 5]).double()
    assert sx.limitsets.basin_entropy(labels, box=5) == pytest.approx(float(-(share * share.log()).sum()) / 4)


def test_undecided_cells_are_a_state():
    labels = torch.zeros(4, 4, dtype=torch.int64)
    labels[:2] = -1
    assert sx.limitsets.basin_entropy(labels, box=4) == pytest.approx(math.log(2))


def test_a_remainder_is_left_out():
    labels = torch.zeros(11, 13, dtype=torch.int64)
    labels[10, :] = 1
    labels[:, 10:] = 2
    assert sx.limitsets.basin_entropy(labels, box=5) == 0


@settings(max_examples=30, deadline=None, derandomize=True)
@given(states=st.integers(1, 4), box=st.integers(1, 6), seed=st.integers(0, 99))
def test_entropy_is_bounded_and_blind_to_names(states, box, seed):
    labels = torch.randint(0, states, (12, 18), generator=torch.Generator().manual_seed(seed))
    value = sx.limitsets.basin_entropy(labels, box=box)
    assert 0 <= value <= math.log(min(states, box * box)) + 1e-12
    assert sx.limitsets.basin_entropy(7 - 3 * labels, box=box) == pytest.approx(value, abs=1e-12)
    assert sx.limitsets.basin_entropy(labels.T, box=box) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "box"), [(torch.zeros(9), 3), (torch.zeros(3, 9), 4), (torch.zeros(2, 2, 2), 1), (torch.zeros(4, 4), 0)]
)
def test_what_is_no_grid_is_refused(labels, box):
    with pytest.raises(InputError, match="grid"):
        sx.limitsets.basin_entropy(labels.long(), box=box)
