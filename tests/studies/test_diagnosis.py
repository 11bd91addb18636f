"""A short look at fields with known answers."""

from __future__ import annotations

import json
import math

import pytest
import torch

from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.orbits import Status
from separatrix.studies._diagnosis import DATA, ENDS, NOISE, diagnose
from separatrix.words import jsonable

DTYPE = torch.float64


def _linear(matrix: torch.Tensor, dtype: torch.dtype = DTYPE) -> LatentField:
    weight = matrix.to(dtype)
    return LatentField.from_map(lambda z: z @ weight.to(z).T, latent_shape=len(matrix), dtype=dtype)


def test_a_non_normal_map_contracts_in_the_long_run_and_stretches_at_first():
    found = diagnose(_linear(torch.tensor([[0.5, 10.0], [0.0, 0.5]])))
    assert [spectrum.where for spectrum in found.spectra] == [NOISE] * 4 + [ENDS] * 4
    for spectrum in found.spectra:
        # A defective double eigenvalue is known only to the square root of the rounding.
        assert spectrum.radius == pytest.approx(0.5, abs=1e-6)
        assert spectrum.norm == pytest.approx(10.025, abs=1e-3)
    (scale,) = found.scales
    # σ² of both coordinates under N(0, I): (0.25 + 100 + 0.25)/2
    assert scale.ratio == pytest.approx(math.sqrt(50.25), rel=0.15)
    assert found.pilot is not None
    assert found.pilot.statuses == {Status.CONVERGED: 16}
    assert found.advice is not None
    # A defective eigenvalue contracts only after a detour, so ρ alone would promise 17 steps.
    assert found.advice.steps == math.ceil(found.pilot.steps_median) > 25
    assert "log ε/log ρ gives 17" in found.advice.prediction


def test_scales_are_measured_where_the_points_are():
    field = LatentField(lambda x: x.flatten(1), lambda z: 0.25 * z.reshape(-1, 1, 2, 2), latent_shape=4, dtype=DTYPE)
    data = torch.rand(50, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    found = diagnose(field, data)
    noise, encoded = found.scales
    assert (noise.where, noise.samples, encoded.where, encoded.samples) == (NOISE, 256, DATA, 50)
    assert noise.sigma_in == pytest.approx(1, abs=0.06)
    assert encoded.sigma_in == pytest.approx(1 / math.sqrt(12), abs=0.03)
    assert noise.ratio == pytest.approx(0.25, abs=1e-12)
    assert encoded.ratio == pytest.approx(0.25, abs=1e-12)
    assert found.pilot is not None
    assert found.pilot.starts == DATA


def test_rounding_is_that_of_the_number_format():
    matrix = 0.9 * torch.eye(8)
    sizes = {}
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        module = torch.nn.Linear(8, 8, bias=False)
        module.weight.data = matrix.clone()
        field = LatentField.from_map(module.to(dtype), latent_shape=8)
        rounding = diagnose(field, orbits=2, max_steps=2).rounding
        assert rounding is not None
        assert rounding.median <= rounding.largest
        sizes[dtype] = rounding.median
    assert sizes[torch.float64] == 0
    assert 1e-9 < sizes[torch.float32] < 1e-6
    assert 1e-4 < sizes[torch.bfloat16] < 1e-2


def test_large_latents_are_measured_without_their_jacobian():
    rates = torch.linspace(0.1, 0.6, 600, dtype=DTYPE)
    field = LatentField.from_map(lambda z: rates.reshape(6, 100) * z, latent_shape=(6, 100), dtype=DTYPE)
    found = diagnose(field, samples=16)
    assert len(found.spectra) == 8
    for spectrum in found.spectra:
        assert spectrum.radius == pytest.approx(0.6, rel=1e-4)
        assert spectrum.norm == pytest.approx(0.6, rel=1e-2)


def test_a_slow_network_gets_fewer_points_and_steps():
    field = _linear(0.999 * torch.eye(2))
    quick = diagnose(field, seconds=1e-9)
    assert len(quick.spectra) == 2
    assert quick.pilot is not None
    assert quick.pilot.max_steps == 20
    assert quick.advice is not None
    assert quick.advice.protocol.max_steps == 25_000  # ρ = 0.999 is known from one point too


def test_what_is_no_field_is_measured_no_further():
    found = diagnose(LatentField.from_map(lambda z: z + torch.rand_like(z), latent_shape=2))
    assert not found.checked.ok
    assert (found.scales, found.spectra, found.pilot, found.advice) == ((), (), None, None)


def test_lost_orbits_leave_no_slope():
    found = diagnose(
        LatentField.from_map(lambda z: torch.where(z.abs() < 50, 3 * z, torch.nan), latent_shape=2, dtype=DTYPE)
    )
    assert [spectrum.where for spectrum in found.spectra] == [NOISE] * 4 + [ENDS] * 4  # their last finite points
    assert found.pilot is not None
    assert not any(status.reached_limit_set for status in found.pilot.statuses)
    assert math.isnan(found.pilot.steps_median)


def test_the_cost_is_counted():
    calls = []

    def function(z: torch.Tensor) -> torch.Tensor:
        calls.append(len(z))
        return 0.5 * z

    found = diagnose(LatentField.from_map(function, latent_shape=2, dtype=DTYPE))
    assert 0.5 * sum(calls) < found.cost.total < 1.5 * sum(calls)


def test_it_can_be_written_as_json():
    found = diagnose(_linear(2 * torch.eye(2)))
    record = json.loads(json.dumps(jsonable(found.to_dict()), allow_nan=False))
    assert record["checked"]["ok"] is True
    assert record["scales"][0]["ratio"] == pytest.approx(2, abs=1e-12)
    assert record["pilot"]["steps_median"] is None
    assert sum(record["pilot"]["statuses"].values()) == 16


@pytest.mark.parametrize("option", ["samples", "orbits", "max_steps"])
def test_options_out_of_range(option):
    with pytest.raises(InputError, match=f"{option} must be a whole number, at least 2, not 1"):
        diagnose(_linear(torch.eye(2)), **{option: 1})


def test_orbits_that_outlast_the_pilot_are_not_predicted_by_those_that_arrived():
    """To the left a contraction to −5 that takes a few steps, to the right a walk that never ends."""
    field = LatentField.from_map(
        lambda z: torch.where(z < 0, 0.5 * z - 2.5, 2 + (7.3 * z).sin()), latent_shape=1, dtype=DTYPE
    )
    found = diagnose(field, max_steps=60)
    assert found.pilot is not None
    assert 0 < sum(n for status, n in found.pilot.statuses.items() if status.reached_limit_set) < 16
    assert found.advice is not None
    assert (found.advice.steps, found.advice.more_than) == (60, True)
    assert "still moved then" in found.advice.prediction


def test_of_a_quantised_map_no_steps_are_predicted_from_its_slope():
    field = LatentField.from_map(
        lambda z: (9 * z).round() / 10, latent_shape=2, dtype=DTYPE, details={"quantised": True}
    )
    found = diagnose(field)
    assert {spectrum.radius for spectrum in found.spectra if spectrum.where == ENDS} == {0.0}
    assert found.advice is not None
    assert found.pilot is not None
    assert found.advice.steps == math.ceil(found.pilot.steps_median) > 1  # ρ = 0 would promise 1
    assert "piecewise constant" in found.advice.prediction
