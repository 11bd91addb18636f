"""The table of two models' basins holds each start once, and partners stand on its diagonal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import separatrix as sx
from separatrix.plots import basin_overlap
from separatrix.plots._basin_overlap import overlaps

STARTS = sx.starts.box(400, -1, 1, seed=0)


def wells(*gains: float) -> sx.LatentField:
    return sx.LatentField.from_map(lambda z: torch.tanh(torch.tensor(gains) * z), (len(gains),), dtype=torch.float64)


def test_a_basin_that_two_share_has_two_cells():
    found = sx.studies.compare(wells(2.0, 2.0), wells(2.0, 0.5), STARTS, rerun=False)
    shares, rows, columns = overlaps(found)
    assert (len(rows), len(columns)) == (4, 2)
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.allclose(shares.sum(axis=1), found.share, atol=1e-12)
    assert ((shares > 0).sum(axis=1) == 1).all()
    assert ((shares > 0).sum(axis=0) == 2).all()
    assert columns == [f"B{partner}" for partner in found.partner.tolist() if partner >= 0]


def test_starts_that_reach_none_and_basins_beyond_the_most_are_counted():
    drift = sx.LatentField.from_map(lambda z: torch.where(z > 0, torch.tanh(2 * z), z - 1), (1,), dtype=torch.float64)
    many = sx.LatentField.from_map(lambda z: z - 0.01 * torch.sin(20 * torch.pi * z), (1,), dtype=torch.float64)
    found = sx.studies.compare(drift, many, STARTS, rerun=False, protocol=sx.Protocol(max_steps=300))
    shares, rows, columns = overlaps(found)
    assert (rows[0], rows[-1]) == ("A0", "none")
    assert len(found.limits_b) > 16
    assert columns[16] == "others"
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    figure = basin_overlap(found)
    (drawn,) = [artist for artist in figure.findobj() if artist.get_gid() == "overlap"]
    assert np.array_equal(drawn.get_array(), shares)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == columns
