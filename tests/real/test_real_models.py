"""The acceptance test on models trained by others: counts that do not move, verified sets, basins as plain iteration has them."""

from __future__ import annotations

import dataclasses
import functools
import sys
import warnings
from pathlib import Path

import pytest
import torch

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.testing.reference import basin_fidelity, plain_float64

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from real_models import Case, burgess_case, fashion_case  # the benchmark's own models and starts

pytestmark = pytest.mark.real

FASHION = ("conv2", "conv8", "conv32", "conv128", "fc")
BURGESS = ("VAE_dsprites", "betaB_dsprites", "betaB_mnist")
COMPARED = 60  # of the VAEs' 1000 starts; the benchmark compares all


@functools.cache
def case_of(name: str, data: Path) -> Case:
    return fashion_case(data, name) if name in FASHION else burgess_case(data, name)


@functools.cache
def found(name: str, data: Path) -> sx.LimitSets:
    case = case_of(name, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return sx.find_attractors(case.field, case.starts)


@pytest.mark.parametrize("name", FASHION + BURGESS)
def test_every_attractor_is_at_the_float64_floor_and_stable(name: str, real_data: Path) -> None:
    attractors = found(name, real_data).attractors
    assert len(attractors) >= 1
    points = attractors[attractors.kind == int(sx.Kind.FIXED_POINT)]
    assert bool((points.spectral_radius < 1).all())
    assert bool((points.spectral_radius <= points.spectral_norm * (1 + 1e-9)).all())
    # Measured anew, not read from the result: the point that is returned is the point that rests.
    fine = case_of(name, real_data).field.to(dtype=torch.float64)
    residual = fine.velocity(points.points).flatten(1).norm(dim=1)
    assert bool((residual <= 1e-12 * (1 + points.points.flatten(1).norm(dim=1))).all())


@pytest.mark.parametrize("name", FASHION + BURGESS)
def test_the_count_does_not_move_when_every_tolerance_is_ten_times_tighter(name: str, real_data: Path) -> None:
    case = case_of(name, real_data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        tight = sx.find_attractors(case.field, case.starts, sx.Protocol().tightened(10))
    assert len(tight.attractors) == len(found(name, real_data).attractors)


@pytest.mark.parametrize("name", FASHION)
def test_basins_are_those_of_plain_iteration(name: str, real_data: Path) -> None:
    plain = case_of(name, real_data).plain
    assert plain is not None
    fidelity = basin_fidelity(found(name, real_data), plain)
    assert fidelity.compared >= 180
    assert fidelity.share >= 0.999


@pytest.mark.parametrize("name", BURGESS)
def test_basins_of_the_vaes_are_those_of_plain_iteration(name: str, real_data: Path) -> None:
    case = case_of(name, real_data)
    chosen = torch.linspace(0, len(case.starts) - 1, COMPARED).long()
    plain = plain_float64(case.field, case.starts[chosen], cap=3000)
    limits = found(name, real_data)
    subset = dataclasses.replace(limits, labels=limits.labels[chosen])
    fidelity = basin_fidelity(subset, plain)
    assert fidelity.compared >= 0.9 * COMPARED
    assert fidelity.share >= 0.999


def test_the_closed_curve_of_conv32_is_one_set(real_data: Path) -> None:
    """Plain iteration never ends for 115 of 300 encodings; all of them go round one and the same loop."""
    limits = found("conv32", real_data)
    curves = limits.of_kind(sx.Kind.CLOSED_CURVE)
    plain = case_of("conv32", real_data).plain
    assert plain is not None
    endless = plain.steps < 0
    assert len(curves) == 1
    assert curves.stable.tolist() == [1]
    assert bool((curves.labels[endless] == 0).all())
    assert int(curves.hits[0]) == int(endless.sum()) == 115
    assert int((limits.attractors.kind == int(sx.Kind.FIXED_POINT)).sum()) == 4


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
    points = attractors.points[attractors.kind == int(sx.Kind.FIXED_POINT)]
    nearest = torch.cdist(codes[radius < 1], points, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
    assert bool((nearest <= 1e-5 * case.starts.std()).sum() >= 12)
