"""Acceptance on the FashionMNIST autoencoders: counts that do not move, verified sets, basins as plain iteration has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cases import FASHION, case_of, found, require_a_count_that_does_not_move, require_floor_and_stability

import separatrix as sx
from separatrix.testing._reference import basin_fidelity

pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", FASHION)
def test_every_attractor_is_at_the_float64_floor_and_stable(name: str, real_data: Path) -> None:
    require_floor_and_stability(name, real_data)


@pytest.mark.parametrize("name", FASHION)
def test_the_count_does_not_move_when_every_tolerance_is_ten_times_tighter(name: str, real_data: Path) -> None:
    require_a_count_that_does_not_move(name, real_data)


@pytest.mark.parametrize("name", FASHION)
def test_basins_are_those_of_plain_iteration(name: str, real_data: Path) -> None:
    plain = case_of(name, real_data).plain
    assert plain is not None
    fidelity = basin_fidelity(found(name, real_data), plain)
    assert fidelity.compared >= 180
    assert fidelity.share >= 0.999


def test_the_closed_curve_of_conv32_is_one_set(real_data: Path) -> None:
    """Plain iteration never ends for 115 of 300 encodings; all of them go round one and the same loop."""
    limits = found("conv32", real_data)
    curves = limits.of_kind(sx.limitsets.Kind.CLOSED_CURVE)
    plain = case_of("conv32", real_data).plain
    assert plain is not None
    endless = plain.steps < 0
    assert len(curves) == 1
    assert curves.stable.tolist() == [1]
    assert bool((curves.labels[endless] == 0).all())
    assert int(curves.hits[0]) == int(endless.sum()) == 115
    assert int((limits.attractors.kind == int(sx.limitsets.Kind.FIXED_POINT)).sum()) == 4


def test_the_wandering_orbits_of_conv8_are_followed_to_their_end(real_data: Path) -> None:
    limits = found("conv8", real_data)
    plain = case_of("conv8", real_data).plain
    assert plain is not None
    settled = plain.steps >= 0
    assert bool((limits.labels[settled] >= 0).all())
    # The longest of them wander for thousands of steps before they reach a fixed point.
    assert int(limits.orbits.steps[settled].max()) > 3000


def test_the_memorizing_network_remembers_sixteen_of_its_fifty_images(real_data: Path) -> None:
    """METHOD: of 50 training codes 16 are stable fixed points; they are among the attractors that were found."""
    case = case_of("fc", real_data)
    images = sx.data.load_images(real_data / "data/fashion_mnist.npz", key="x_train", limit=50)
    fine = case.field.to(dtype=torch.float64)
    codes = fine.encode(images.pixels.to(torch.float64))
    radius = torch.linalg.eigvals(fine.jacobian(codes)).abs().amax(dim=1)
    assert int((radius < 1).sum()) == 16
    attractors = found("fc", real_data).attractors
    points = attractors.points[attractors.kind == int(sx.limitsets.Kind.FIXED_POINT)]
    nearest = torch.cdist(codes[radius < 1], points, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
    assert bool((nearest <= 1e-5 * case.starts.std()).sum() >= 12)
