"""Components and effective rank on clouds whose covariance is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import InputError
from separatrix.numerics._effective_dimension import effective_dimension


def axes(*lengths: float) -> torch.Tensor:
    """± each length along its own axis: variances proportional to the squares."""
    basis = torch.diag(torch.tensor(lengths, dtype=torch.float64))
    return torch.cat((basis, -basis))


def test_shares_of_the_variance_decide():
    found = effective_dimension(axes(3.0, 1.0))  # shares 0.9 and 0.1
    assert found.components == 1
    p = torch.tensor([0.9, 0.1], dtype=torch.float64)
    assert found.effective_rank == pytest.approx(float((-(p * p.log()).sum()).exp()), abs=1e-9)
    assert effective_dimension(axes(3.0, 1.0), 0.91).components == 2


def test_nothing_varies_in_one_item_or_in_equal_ones():
    for items in (torch.ones(1, 4), torch.ones(7, 4), 1e6 + torch.zeros(5, 3)):
        assert (effective_dimension(items).components, effective_dimension(items).effective_rank) == (0, 0.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.integers(1, 6), st.integers(0, 99))
def test_shifts_scales_and_rotations_change_nothing(count, width, seed):
    generator = torch.Generator().manual_seed(seed)
    cloud = torch.randn(count, width, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q
    plain, moved = effective_dimension(cloud), effective_dimension(3.0 * cloud @ rotation + 1.0)
    assert plain.components == moved.components
    assert moved.effective_rank == pytest.approx(plain.effective_rank, rel=1e-6)
    assert 1 <= plain.effective_rank <= min(count - 1, width) + 1e-9


def test_bad_input():
    with pytest.raises(InputError, match="NaN"):
        effective_dimension(torch.tensor([[1.0], [torch.nan]]))
    with pytest.raises(InputError, match="share"):
        effective_dimension(torch.ones(2, 2), 0.0)
