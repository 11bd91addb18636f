"""Basins: fractions with binomial intervals that hold the known ones, and their entropy."""

from __future__ import annotations

import math

import pytest
import torch
from known_sets import ATTRACTING, CURVES, index_of, oracle_of, quiet_search, searched
from scipy.stats import norm

import separatrix as sx
from separatrix.errors import InputError
from separatrix.testing import oracles

WITH_FRACTIONS = [
    name for name in [*ATTRACTING, *CURVES] if all(k.basin_fraction is not None for k in oracle_of(name).attractors)
]


@pytest.mark.parametrize("name", WITH_FRACTIONS)
def test_intervals_hold_the_known_fractions(name):
    oracle, limits = oracle_of(name), searched(name)
    basins = sx.basins(limits)
    for known in oracle.attractors:
        index = index_of(limits, known, tolerance=1e-5)
        low, fraction, high = (float(column[index]) for column in (basins.low, basins.fractions, basins.high))
        assert 0 <= low <= fraction <= high <= 1
        assert fraction == int(limits.hits[index]) / len(limits.labels)
        assert low <= known.basin_fraction <= high


@pytest.mark.parametrize("name", ["tanh(2z)", "product of three tanh(2z)", "nearest prototype"])
def test_intervals_have_the_width_of_95_percent(name):
    limits = searched(name)
    basins = sx.basins(limits)
    p, n = basins.fractions.double(), len(limits.labels)
    normal_width = 2 * norm.ppf(0.975) * (p * (1 - p) / n).sqrt()
    ratio = (basins.high - basins.low).double() / normal_width
    assert ((ratio > 0.9) & (ratio < 1.25)).all()


def test_an_unseen_complement_keeps_its_share():
    """All of n starts in one basin does not say that the basin is everything: the rule of three."""
    limits = searched("affine contraction")
    basins = sx.basins(limits)
    n = len(limits.labels)
    assert float(basins.fractions[0]) == 1
    assert float(basins.high[0]) == pytest.approx(1, abs=1e-12)
    assert 1 - 8 / n < float(basins.low[0]) < 1 - 2 / n


def test_entropy():
    """−Σ p ln p, in nats."""
    assert float(sx.basins(searched("affine contraction")).entropy) == pytest.approx(0, abs=1e-12)
    for name in ("product of three tanh(2z)", "tilted well", "nearest prototype"):
        limits = searched(name)
        expected = -sum(p * math.log(p) for p in limits.fractions.tolist() if p > 0)
        assert float(sx.basins(limits).entropy) == pytest.approx(expected, abs=1e-9)


def test_starts_that_reach_nothing_are_not_given_away():
    """Fractions are shares of all starts: what reached nothing stays in the denominator."""
    oracle = oracles.tanh_product(count=100)
    starts = oracle.starts.clone()
    starts[:20] = math.nan
    with pytest.raises(InputError):
        quiet_search(oracle, starts)

    half = sx.LatentField.from_map(
        lambda z: torch.where(z < 0, 2 * z, 0.5 + z / 2), latent_shape=(1,), dtype=torch.float64
    )
    points = torch.cat([-torch.linspace(0.1, 1, 25), torch.linspace(0.1, 2, 75)]).double()[:, None]
    moved = oracles.Oracle(name="half", field=half, starts=points, limit_sets=(), statuses=frozenset())
    limits = quiet_search(moved)
    basins = sx.basins(limits)
    assert len(limits) == 1
    assert float(basins.fractions[0]) == pytest.approx(0.75, abs=1e-12)
    assert float(basins.high[0]) < 0.85
