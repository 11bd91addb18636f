"""p-values from ranks: the formula, ties, uniformity; and the Benjamini–Hochberg adjustment."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from separatrix.errors import InputError
from separatrix.numerics._ranks import benjamini_hochberg, rank_p_values


def test_the_formula_with_ties():
    null = torch.tensor([0.1, 0.5, 0.5, 0.5, 0.9], dtype=torch.float64)
    scores = torch.tensor([0.0, 0.1, 0.4, 0.5, 0.6, 0.9, 1.0], dtype=torch.float64)
    expected = [6 / 6, 6 / 6, 5 / 6, 5 / 6, 2 / 6, 2 / 6, 1 / 6]
    assert rank_p_values(scores, null).tolist() == pytest.approx(expected, abs=1e-15)


def test_a_tie_up_to_rounding_is_a_tie():
    null = torch.tensor([0.3], dtype=torch.float64)
    assert rank_p_values(torch.tensor([0.1 + 0.2], dtype=torch.float64), null).item() == 1.0
    assert rank_p_values(torch.tensor([0.3 + 1e-9], dtype=torch.float64), null).item() == 0.5


def test_p_values_of_the_null_itself_are_uniform():
    generator = torch.Generator().manual_seed(0)
    null = torch.randn(999, generator=generator, dtype=torch.float64)
    scores = torch.randn(4000, generator=generator, dtype=torch.float64)
    p_values = rank_p_values(scores, null)
    assert stats.kstest(p_values.numpy(), "uniform").statistic < 0.05
    assert float((p_values <= 0.05).double().mean()) == pytest.approx(0.05, abs=0.02)


def test_a_null_is_needed():
    for null in (torch.empty(0), torch.tensor([float("nan")])):
        with pytest.raises(InputError, match="held-out"):
            rank_p_values(torch.zeros(1), null)


def test_adjustment_agrees_with_scipy():
    p_values = torch.rand(200, generator=torch.Generator().manual_seed(1), dtype=torch.float64) ** 3
    expected = torch.from_numpy(stats.false_discovery_control(p_values.numpy()))
    assert torch.allclose(benjamini_hochberg(p_values), expected, atol=1e-15, rtol=0)


def test_adjusting_nothing_gives_nothing():
    assert len(benjamini_hochberg(torch.empty(0, dtype=torch.float64))) == 0
