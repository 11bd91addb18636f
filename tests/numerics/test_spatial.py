"""Moran's I on images whose value is known, and p-values that are uniform where pixels are exchangeable."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import InputError
from separatrix.numerics._spatial import morans_i, shuffled_p_values


def test_a_checkerboard_is_minus_one_and_two_halves_are_known():
    board = (torch.arange(6)[:, None] + torch.arange(6)[None]).remainder(2).double()
    assert float(morans_i(board[None, None])) == pytest.approx(-1.0, abs=1e-14)
    # Left half 0, right half 1, 4×4: of 24 neighbouring pairs 4 disagree, so I = (20 − 4)/24.
    halves = torch.zeros(4, 4, dtype=torch.float64)
    halves[:, 2:] = 1
    assert float(morans_i(halves[None, None])) == pytest.approx(16 / 24, abs=1e-14)


def test_a_constant_image_has_no_structure_and_channels_count_alike():
    halves = torch.zeros(4, 4, dtype=torch.float64)
    halves[:, 2:] = 1
    both = torch.stack((halves, torch.full((4, 4), 0.3, dtype=torch.float64)))[None]
    assert float(morans_i(torch.ones(1, 1, 5, 5))) == 0.0
    assert float(morans_i(both)) == pytest.approx(16 / 24, abs=1e-12)  # a constant channel has no variance to share


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(2, 8), st.floats(0.1, 50), st.floats(-5, 5), st.integers(0, 500))
def test_brightness_contrast_mirror_and_transposition_change_nothing(height, width, contrast, brightness, seed):
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    value = float(morans_i(image))
    assert -1 - 1e-9 <= value <= 1.5
    for same in (contrast * image + brightness, image.flip(3), image.transpose(2, 3)):
        assert float(morans_i(same)) == pytest.approx(value, abs=1e-8)


def test_p_values_of_noise_are_uniform_and_those_of_a_gradient_are_the_smallest_possible():
    noise = torch.rand(300, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    p = shuffled_p_values(noise, shuffles=99, seed=1)
    assert p.shape == (300,)
    for level in (0.1, 0.3, 0.7):
        assert float((p <= level).double().mean()) == pytest.approx(level, abs=0.08)
    gradient = torch.linspace(0, 1, 8).expand(1, 1, 8, 8)
    assert float(shuffled_p_values(gradient, shuffles=99, seed=1)) == pytest.approx(0.01, abs=1e-15)
    assert float(shuffled_p_values(torch.ones(1, 1, 4, 4), shuffles=99, seed=1)) == 1.0


def test_what_is_no_image_is_refused():
    with pytest.raises(InputError, match="shape"):
        morans_i(torch.zeros(3, 8))
    with pytest.raises(InputError, match="2×2"):
        morans_i(torch.zeros(3, 1, 1, 8))
    with pytest.raises(InputError, match="at least one shuffle"):
        shuffled_p_values(torch.zeros(3, 1, 4, 4), shuffles=0, seed=0)
