"""Contraction on maps whose Jacobians are known in closed form."""

from __future__ import annotations

import math
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from separatrix import LatentField, find_attractors, load_result, save_result, starts
from separatrix.errors import InputError
from separatrix.plots._contraction_map import contraction_map
from separatrix.studies._contraction import UNTRAINED, contraction
from separatrix.work import Progress, words_of


def linear(matrix: list[list[float]]) -> LatentField:
    a = torch.tensor(matrix, dtype=torch.float64)
    return LatentField.from_map(lambda z: z @ a.T.to(z), latent_shape=(len(matrix),), dtype=torch.float64)


def points(*rows: float) -> starts.Starts:
    return starts.points(torch.tensor(rows, dtype=torch.float64)[:, None])


def test_radius_and_norm_are_told_apart():
    """METHOD.md's non-normal matrix: ρ = 0.5, σ_max = 10.025."""
    found = contraction(linear([[0.5, 10.0], [0.0, 0.5]]), starts.gaussian(5, seed=0))
    assert found.names == ("on the data", "just outside", "far away")
    assert len(found) == 15
    assert found.spectral_radius.tolist() == pytest.approx([0.5] * 15, abs=1e-7)
    exact = 5 + math.sqrt(25 + 0.25)
    assert found.spectral_norm.tolist() == pytest.approx([exact] * 15, abs=1e-9)
    row = found.rows[0]
    assert (row.attracting, row.contracting, row.count) == (1.0, 0.0, 5)


def test_it_is_short_in_print_and_shows_progress_on_request(capsys):
    field = linear([[0.5, 10.0], [0.0, 0.5]])
    found = contraction(field, starts.gaussian(5, seed=0))
    assert capsys.readouterr().err == ""
    assert (
        repr(found.rows[0])
        == "ContractionRow(on the data: 5 points; ρ 0.50 (0.50 to 0.50), ‖J‖₂ 10.02 (10.02 to 10.02))"
    )
    assert len(repr(found)) < 200
    sink = Mock()
    contraction(field, starts.gaussian(5, seed=0), progress=Progress(sink))
    assert words_of(sink.show.call_args.args[0]) == "contraction: 3/3"


def test_groups_lie_at_multiples_of_the_distance_from_the_mean():
    """tanh(2z) has the slope 2/cosh²(2z)."""
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,), dtype=torch.float64)
    found = contraction(field, points(0.1, 0.5), groups={"on": 1.0, "out": 3.0})
    where = torch.tensor([0.1, 0.5, -0.3, 0.9], dtype=torch.float64)
    assert found.points.flatten().tolist() == pytest.approx(where.tolist(), abs=1e-12)
    slope = 2 / torch.cosh(2 * where) ** 2
    assert found.spectral_norm.tolist() == pytest.approx(slope.tolist(), abs=1e-9)
    assert torch.equal(found.of("out").points, found.points[2:])
    assert found.rows[1].contracting == 0.5
    with pytest.raises(InputError, match="choose from on, out"):
        found.of("far")


def test_an_untrained_copy_is_measured_where_weights_are_found():
    layer = nn.Linear(3, 3, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(5 * torch.eye(3))
    found = contraction(LatentField(layer, nn.Identity(), latent_shape=3), starts.gaussian(4, seed=1))
    assert found.names[-1] == UNTRAINED
    assert found.of("on the data").spectral_norm.tolist() == pytest.approx([5.0] * 4)
    fresh = found.of(UNTRAINED).spectral_norm
    assert float(fresh.max()) < 3  # entries uniform in ±1/√3: a norm of at most √3
    assert torch.allclose(layer.weight, 5 * torch.eye(3, dtype=torch.float64))


def test_large_latents_are_measured_without_their_jacobian():
    scales = torch.linspace(0.1, 0.7, 600, dtype=torch.float64)
    field = LatentField.from_map(lambda z: z * scales.to(z), latent_shape=(600,), dtype=torch.float64)
    found = contraction(field, starts.gaussian(20, seed=2), groups={"on": 1.0}, untrained=False)
    assert len(found) == 16
    assert found.spectral_radius.tolist() == pytest.approx([0.7] * 16, abs=1e-6)
    assert found.spectral_norm.tolist() == pytest.approx([0.7] * 16, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(0, 99))
def test_the_radius_never_exceeds_the_norm(k, seed):
    matrix = torch.randn(k, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = contraction(linear(matrix.tolist()), starts.gaussian(2, seed=seed), groups={"on": 1.0})
    assert bool((found.spectral_radius <= found.spectral_norm * (1 + 1e-12)).all())
    values = torch.linalg.eigvals(matrix).abs().max()
    assert found.spectral_radius[0].item() == pytest.approx(float(values), rel=1e-6)


def test_results_are_saved(tmp_path):
    found = contraction(linear([[0.5]]), starts.gaussian(3, seed=0))
    again = load_result(save_result(found, tmp_path / "c"))
    assert again.names == found.names
    assert torch.equal(again.spectral_norm, found.spectral_norm)
    assert again.cost == found.cost


def test_the_map_shows_where_steps_contract():
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), dtype=torch.float64)
    limits = find_attractors(field, starts.box(40, -1.5, 1.5, seed=0))
    figure = contraction_map(limits, field, torch.zeros(3, 2), resolution=20)
    axes = figure.axes[0]
    image = axes.get_images()[0].get_array()
    # max(2/cosh²2x, 2/cosh²2y): 2 at the origin, below 1 in the corners.
    assert image.shape == (20, 20)
    assert float(image[9:11, 9:11].max()) == pytest.approx(math.log10(2), abs=0.05)
    assert float(image[0, 0]) < -0.5
    with pytest.raises(InputError, match="two latent dimensions"):
        contraction_map(linear([[0.5]]), limits)


@pytest.mark.parametrize("k", [2, 520])
def test_where_f_is_nan_nothing_contracts(k):
    """The derivative of what is NaN is 0 to autograd, and 100 % of such points were said to contract."""
    breaks = LatentField.from_map(
        lambda z: torch.where(z[:, :1] > 0, torch.nan, z / 2), latent_shape=(k,), dtype=torch.float64
    )
    cloud = starts.gaussian(12, seed=0)
    found = contraction(breaks, cloud, groups={"on": 1.0})
    lost = found.points[:, 0] > 0
    assert 0 < int(lost.sum()) < 12
    assert torch.equal(found.spectral_norm.isnan(), lost)
    assert torch.equal(found.spectral_radius.isnan(), lost)
    (row,) = found.rows
    assert (row.unknown, row.contracting) == (int(lost.sum()), 1.0)
    assert f"of {12 - row.unknown} below 1, unknown at {row.unknown})" in found.statement.detail
    nowhere = contraction(LatentField.from_map(lambda z: z * torch.nan, latent_shape=(2,)), cloud, groups={"on": 1.0})
    assert nowhere.statement.detail == "on known at none of 12 points."


def test_the_map_of_contraction_is_blank_where_f_is_nan():
    breaks = LatentField.from_map(
        lambda z: torch.where(z[:, :1] > 0, torch.nan, z / 2), latent_shape=(2,), dtype=torch.float64
    )
    limits = find_attractors(breaks, starts.points(torch.tensor([[-1.0, -1.0], [-0.5, 1.0], [-1.0, 0.3]]).double()))
    shown = contraction_map(limits, breaks, torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), resolution=9).axes[0].images[0]
    blank = shown.get_array().mask
    assert blank[:, -2:].all()
    assert not blank[:, :3].any()
