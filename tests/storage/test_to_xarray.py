"""A result as a dataset of xarray, with every number in it."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix.errors import InputError


@pytest.fixture
def limits() -> sx.LimitSets:
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2, 1))
    return sx.find_attractors(field, sx.starts.box(30, -1, 1, seed=0))


def test_points_keep_their_shape(limits: sx.LimitSets) -> None:
    pytest.importorskip("xarray")
    table = limits.to_xarray()
    assert dict(table.sizes) == {"item": 4, "points_1": 2, "points_2": 1} | {
        name: size for name, size in table.sizes.items() if not name.startswith(("item", "points"))
    }
    assert torch.equal(torch.from_numpy(table.points.values), limits.points)
    assert float(table.spectral_radius.max()) == float(limits.spectral_radius.max())
    assert table.attrs["type"] == "LimitSets"


def test_without_xarray_it_says_so(limits: sx.LimitSets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(InputError, match=r"pip install 'separatrix\[xarray\]'"):
        limits.to_xarray()


def test_points_in_half_precision_are_numbers_too() -> None:
    pytest.importorskip("xarray")
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), dtype=torch.bfloat16)
    orbits = sx.iterate(field, sx.starts.gaussian(4, seed=0))
    assert orbits.points.dtype == torch.bfloat16
    assert torch.equal(torch.from_numpy(orbits.to_xarray().points.values), orbits.points.float())
