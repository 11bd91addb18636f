"""The record that a search returns: order, numbering, columns of mixed kinds, views."""

from __future__ import annotations

import math

import pytest
import torch

import separatrix as sx
from separatrix import LatentField, Protocol
from separatrix.limitsets import Kind


def mixture(z):
    """On the line y = 0 … bands of x: [−1, 1] a fixed point, (1, 2] a 2-cycle, beyond 3 nothing."""
    x = z - 1
    image = torch.where((z > 1) & (z <= 2), 1 + 3.2 * x * (1 - x), 0.5 * z)
    return torch.where(z > 3, 2 * z, image)


@pytest.fixture(scope="module")
def limits():
    field = LatentField.from_map(mixture, latent_shape=1, dtype=torch.float64)
    starts = torch.tensor([[1.3], [5.0], [0.5], [1.6], [1.8], [-0.7], [1.2], [7.0]], dtype=torch.float64)
    with pytest.warns(sx.errors.ConvergenceWarning, match="2 of 8"):
        return sx.find_attractors(field, starts)


def test_most_visited_first(limits):
    assert limits.hits.tolist() == [4, 2]
    assert limits.labels.tolist() == [0, -1, 1, 0, 0, 1, 0, -1]
    assert limits.kind.tolist() == [Kind.CYCLE, Kind.FIXED_POINT]
    assert limits.period.tolist() == [2, 1]


def test_among_equals_the_order_of_the_starts_does_not_matter():
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=1, dtype=torch.float64)
    signs = torch.tensor([1, -1, -1, 1], dtype=torch.float64)[:, None]
    found, other = sx.find_attractors(field, signs), sx.find_attractors(field, -signs)
    assert torch.allclose(found.points, other.points, rtol=0, atol=1e-12)
    assert found.labels.tolist() == (1 - other.labels).tolist()


def test_every_column_has_a_row_per_set(limits):
    for name in limits._columns:
        assert len(getattr(limits, name)) == len(limits) == 2
    assert limits.points.dtype == torch.float64
    assert limits.kind.dtype == limits.orbits.status.dtype == torch.uint8
    assert limits.stable.dtype == torch.int8
    assert limits.eigenvalues.dtype == torch.complex128


def test_traces_follow_the_motion(limits):
    cycle, point = limits.trace(0), limits.trace(1)
    assert cycle.shape == (2, 1)
    assert point.shape == (1, 1)
    field = LatentField.from_map(mixture, latent_shape=1, dtype=torch.float64)
    assert torch.allclose(field(cycle), cycle.roll(-1, 0), rtol=0, atol=1e-12)
    assert torch.equal(cycle[0], limits.points[0])


def test_views_renumber_labels_and_traces(limits):
    points = limits.of_kind(Kind.FIXED_POINT)
    assert points.labels.tolist() == [-1, -1, 0, -1, -1, 0, -1, -1]
    assert points.trace(0).shape == (1, 1)
    swapped = limits[[1, 0]]
    assert swapped.labels.tolist() == [1, -1, 0, 1, 1, 0, 1, -1]
    assert torch.equal(swapped.trace(1), limits.trace(0))
    nothing = limits[limits.stable == 0]
    assert len(nothing) == 0
    assert (nothing.labels == -1).all()
    with pytest.raises(IndexError):
        limits[2]


def test_the_words(limits):
    assert (
        repr(limits) == "LimitSets(1 fixed point, 1 cycle; 2 attract; 6 of 8 starts reached an attractor, 2 diverged)"
    )
    elsewhere = "none of 8 starts reached an attractor, 6 reached a limit set that is not listed, 2 diverged"
    assert repr(limits[:0]) == f"LimitSets(none; 0 attract; {elsewhere})"


def test_conversion_keeps_integers(limits):
    narrow = limits.to(torch.float32)
    assert narrow.points.dtype == torch.float32
    assert narrow.labels.dtype == torch.int64
    assert narrow.kind.dtype == torch.uint8
    assert narrow.eigenvalues.is_complex()


def test_curves_and_points_share_their_columns():
    def function(z):
        r, angle = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + 1
        r = r - 0.3 * r * (r - 1) * (r - 2)
        return torch.stack([r * angle.cos(), r * angle.sin()], dim=1)

    starts = torch.tensor([[0.5, 0.0], [1.5, 0.0], [2.1, 0.0]], dtype=torch.float64)
    found = sx.find_attractors(LatentField.from_map(function, latent_shape=2, dtype=torch.float64), starts)
    curve = int((found.kind == int(Kind.CLOSED_CURVE)).nonzero())
    point = 1 - curve
    assert found.period[curve] == 0
    assert math.isnan(found.residual[curve])
    assert found.eigenvalues[curve].real.isnan().all()
    assert found.eigenvalues[point].abs().tolist() == pytest.approx([0.4, 0.4], abs=1e-9)
    assert found.unstable_directions.tolist() == [0, 0]
    assert len(found.trace(curve)) >= 256
    assert found.spectral_radius[curve].item() == pytest.approx(0.4, abs=0.05)
    assert len(found.attractors) == 2


def test_without_polish_end_points_are_merged_as_they_are():
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=2, dtype=torch.float64)
    found = sx.find_attractors(field, sx.starts.gaussian(50), Protocol.paper())
    assert len(found) == 4
    assert torch.equal(found.hits, torch.bincount(found.labels))
    for i in range(4):
        first = int((found.labels == i).nonzero()[0])
        assert torch.equal(found.points[i], found.orbits.points[first]), "the leader is the earliest of its cluster"
    assert torch.allclose(found.residual, (field(found.points) - found.points).norm(dim=1), rtol=0, atol=1e-15)
    assert (found.stable == 1).all()


def test_without_a_spectrum_stability_is_unknown():
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=2, dtype=torch.float64)
    rules = Protocol(polish=False, merge_tolerance=1e-3, spectrum=False)
    found = sx.find_attractors(field, sx.starts.gaussian(30), rules)
    assert len(found) == 4
    assert found.stable.tolist() == [-1] * 4
    assert found.unstable_directions.tolist() == [-1] * 4
    assert found.spectral_radius.isnan().all()
    assert len(found.attractors) == 0


@pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
@pytest.mark.parametrize("polish", [True, False])
def test_nothing_found_is_an_empty_record(polish):
    field = LatentField.from_map(lambda z: 2 * z, latent_shape=(2, 3), dtype=torch.float64)
    found = sx.find_attractors(field, sx.starts.gaussian(5), Protocol(polish=polish))
    assert len(found) == 0
    assert found.points.shape == (0, 2, 3)
    assert (found.labels == -1).all()
    assert len(found.attractors) == len(found.saddles) == 0
