"""`find_fixed_points` finds every fixed point, saddles and sources too, and invents none."""

from __future__ import annotations

import pytest
import torch
from known_sets import SYSTEMS, assert_found, oracle_of

import separatrix as sx
from separatrix.testing import oracles
from separatrix.testing.oracles._record import box

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")

NEWTON_STARTS = 1500

ISOLATED = [
    name
    for name in SYSTEMS
    # A continuum has no isolated fixed points; with multiplier 1 the root is not simple.
    if name not in {"PCA autoencoder", "projection", "tanh(z)", "Hopfield, beta 2"}
]


def many_starts(name):
    oracle = oracle_of(name)
    k = oracle.field.latent_dim
    if "prototype" in name:
        return oracle.starts
    return box(NEWTON_STARTS if k < 6 else 300, 7, [-2.0] * k, [2.0] * k)


@pytest.mark.parametrize("name", ISOLATED)
def test_every_isolated_fixed_point_and_no_other(name):
    oracle = oracle_of(name)
    limits = sx.find_fixed_points(oracle.field, many_starts(name))
    found = [assert_found(limits, known, oracle.field) for known in oracle.fixed_points]
    assert len(limits) == len(set(found)) == len(oracle.fixed_points)


def test_counts_of_unstable_directions_in_the_cube():
    limits = sx.find_fixed_points(
        oracle_of("product of three tanh(2z)").field, many_starts("product of three tanh(2z)")
    )
    assert torch.bincount(limits.unstable_directions, minlength=4).tolist() == [8, 12, 6, 1]
    assert (len(limits.attractors), len(limits.saddles)) == (8, 19)


@pytest.mark.parametrize(
    ("tilt", "count"), [(0.0, 3), (0.3, 3), (-0.38, 3), (0.3848, 3), (0.3850, 1), (-0.39, 1), (0.5, 1)]
)
def test_a_fold_takes_two_fixed_points_away(tilt, count):
    oracle = oracles.tilted_well(tilt=tilt)
    limits = sx.find_fixed_points(oracle.field, oracle.starts)
    assert len(limits) == count == len(oracle.limit_sets)
    assert (int((limits.stable == 1).sum()), int((limits.unstable_directions == 1).sum())) == (
        (2, 1) if count == 3 else (1, 0)
    )


def test_no_fixed_point_is_no_error():
    oracle = oracles.translation()
    limits = sx.find_fixed_points(oracle.field, oracle.starts)
    assert len(limits) == 0
    assert (limits.labels == -1).all()


def test_labels_point_at_what_was_found():
    oracle = oracles.tanh_product(dim=2)
    exact = torch.cat([known.points for known in oracle.limit_sets])
    limits = sx.find_fixed_points(oracle.field, exact)
    assert len(limits) == 9
    assert (limits.points[limits.labels] - exact).abs().max() < 1e-12
