"""Histograms of scores hold every score once, and say from where on inputs are called."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from separatrix.plots import score_histograms


def drawn(figure, gid):
    (found,) = [artist for artist in figure.findobj() if artist.get_gid() == gid]
    return found


def test_every_score_is_in_a_bar_and_the_far_ones_in_the_last():
    scores = torch.cat(
        [torch.linspace(0, 1, 500, dtype=torch.float64), torch.tensor([1e9, torch.nan], dtype=torch.float64)]
    )
    p_values = torch.linspace(0.01, 1, 502, dtype=torch.float64)
    figure = score_histograms(scores, p_values, torch.linspace(0, 1, 100), threshold=0.9)
    values, edges, _ = drawn(figure, "scores:these inputs").get_data()
    assert values.sum() == pytest.approx(1.0, abs=1e-12)
    assert edges[-1] < 2
    assert values[-1] * 501 == pytest.approx(int((scores >= edges[-2]).sum()), abs=1e-9)
    shares, _, _ = drawn(figure, "p-values").get_data()
    assert np.allclose(shares, 1 / 20, atol=0.01)
    assert set(drawn(figure, "threshold").get_xdata()) == {0.9}


def test_where_nothing_is_called_and_nothing_has_a_score():
    nothing = torch.full((3,), torch.nan, dtype=torch.float64)
    figure = score_histograms(nothing, nothing, torch.ones(5), threshold=float("inf"))
    values, _, _ = drawn(figure, "scores:these inputs").get_data()
    assert values.sum() == 0
    assert not [artist for artist in figure.findobj() if artist.get_gid() == "threshold"]
