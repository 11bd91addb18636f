"""Spectra within a budget, memory, formats, and whether decoder and encoder meet: on maps with known answers."""

from __future__ import annotations

import math

import pytest
import torch

from separatrix.cost import Cost
from separatrix.field import LatentField, memory_per_orbit
from separatrix.studies._diagnosis import diagnose
from separatrix.studies._local_spectra import spectra_at, spectrum_by_differences
from separatrix.studies._loop_closure import loop_closure
from separatrix.studies._rounding import rounding_in

DTYPE = torch.float64


def diagonal(rates: torch.Tensor) -> LatentField:
    return LatentField.from_map(lambda z: rates * z, latent_shape=len(rates), dtype=DTYPE)


def test_spectra_are_exact_where_the_budget_allows():
    field = diagonal(torch.linspace(0.1, 0.9, 10, dtype=DTYPE))
    spectra, cost = spectra_at(field, "here", torch.zeros(6, 10, dtype=DTYPE), budget=65)
    assert [spectrum.rough for spectrum in spectra] == [False] * 3  # 20 evaluations each
    assert cost == Cost(vjp=30)
    assert spectra[0].radius == pytest.approx(0.9, abs=1e-12)


def test_spectra_beyond_the_budget_are_rough_and_cheap():
    rates = torch.linspace(0.1, 0.5, 1000, dtype=DTYPE)
    rates[-1] = 0.9
    (spectrum,), cost = spectra_at(diagonal(rates), "here", torch.zeros(3, 1000, dtype=DTYPE), budget=400)
    assert spectrum.rough
    assert spectrum.radius == pytest.approx(0.9, rel=0.05)
    assert 0.85 < spectrum.norm <= 0.9 * (1 + 1e-12)  # a lower bound
    assert cost.total <= 400
    (spectrum,), cost = spectra_at(diagonal(rates), "here", torch.zeros(3, 1000, dtype=DTYPE), budget=1)
    assert cost.total <= 4 * 4 + 4 * 6
    assert spectrum.norm <= 0.9 * (1 + 1e-12)


def test_a_rough_spectrum_of_a_rotation_is_its_rate():
    turn = 0.9 * torch.tensor([[0.5, -(0.75**0.5)], [0.75**0.5, 0.5]], dtype=DTYPE)
    field = LatentField.from_map(lambda z: (z.reshape(-1, 400, 2) @ turn.T).flatten(1), latent_shape=800, dtype=DTYPE)
    (spectrum,), _ = spectra_at(field, "here", torch.zeros(1, 800, dtype=DTYPE), budget=100)
    assert spectrum.radius == pytest.approx(0.9, abs=1e-9)
    assert spectrum.norm == pytest.approx(0.9, abs=1e-9)


def test_constant_maps_and_maps_without_gradients_have_rough_spectra_too():
    still = LatentField.from_map(lambda z: 0 * z, latent_shape=700, dtype=DTYPE)
    (spectrum,), _ = spectra_at(still, "here", torch.ones(1, 700, dtype=DTYPE), budget=50)
    assert (spectrum.radius, spectrum.norm) == (0.0, 0.0)
    blind = LatentField.from_map(lambda z: torch.from_numpy(0.5 * z.detach().numpy()), latent_shape=700, dtype=DTYPE)
    (spectrum,), _ = spectra_at(blind, "here", torch.ones(1, 700, dtype=DTYPE), budget=50)
    assert spectrum.radius == pytest.approx(0.5, abs=1e-4)
    assert math.isnan(spectrum.norm)
    assert spectra_at(still, "here", torch.ones(0, 700, dtype=DTYPE), budget=50) == ([], Cost())


def test_a_norm_without_gradients_is_to_be_had_on_request():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(600, 600, dtype=DTYPE, generator=generator) / 60
    blind = LatentField.from_map(
        lambda z: torch.from_numpy(z.detach().flatten(1).numpy() @ matrix.T.numpy()).reshape(z.shape),
        latent_shape=(6, 100),
        dtype=DTYPE,
    )
    spectrum, cost = spectrum_by_differences(blind, "here", torch.ones(1, 6, 100, dtype=DTYPE))
    assert spectrum.norm == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)), rel=1e-6)
    assert spectrum.radius == pytest.approx(float(torch.linalg.eigvals(matrix).abs().max()), rel=1e-6)
    assert cost == Cost(map=1200)


def test_memory_is_the_peak_of_what_is_alive():
    def function(z: torch.Tensor) -> torch.Tensor:
        wide = z.repeat(1, 100)  # 8000 bytes per latent
        wider = wide + 1  # and 8000 more, while the first is alive
        del wide
        return wider[:, :10] * 1

    field = LatentField.from_map(function, latent_shape=10, dtype=DTYPE)
    used = memory_per_orbit(field, torch.zeros(4, 10, dtype=DTYPE))
    assert used is not None
    assert 16_000 <= used <= 16_400
    assert memory_per_orbit(field, torch.zeros(1, 10, dtype=DTYPE)) is None


def test_drift_is_that_of_the_format():
    module = torch.nn.Linear(8, 8, bias=False)
    torch.nn.init.eye_(module.weight)
    module.weight.data *= 0.9
    field = LatentField.from_map(module, latent_shape=8)
    z = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    fine, coarse = rounding_in(field, torch.float64, z, 1.0), rounding_in(field, torch.bfloat16, z, 1.0)
    assert fine is not None
    assert coarse is not None
    assert 1e-9 < fine.median < 1e-6
    assert 1e-3 < coarse.median < 5e-2  # bfloat16 has 8 bits
    stubborn = LatentField.from_map(lambda z: 0.5 * z.to(torch.float32), latent_shape=8)
    assert rounding_in(stubborn, torch.float64, z, 1.0) is None


def images(count: int = 8) -> torch.Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def autoencoder(decoded: object) -> LatentField:
    return LatentField(
        lambda x: x.flatten(1), lambda z: decoded(z.reshape(-1, 1, 8, 8)), latent_shape=64, dtype=torch.float32
    )


@pytest.mark.parametrize(
    ("decoded", "words"),
    [
        (lambda y: y, ""),
        (lambda y: 0.97 * y + 0.01, ""),
        (lambda y: 2 * y - 1, "returns −1 to 1 where 0 to 1 is expected"),
        (lambda y: y / 2 + 0.5, "returns 0 to 1 where −1 to 1 is expected"),
        (lambda y: 255 * y, "255"),
        (lambda y: (y - 0.45) / 0.22, "reconstructions are about 4.55·x -2.05"),
    ],
)
def test_a_wrong_range_is_seen(decoded, words):
    x = images()
    found = loop_closure(autoencoder(decoded), x.flatten(1), x)
    assert found.ok is (words == "")
    assert words in found.mismatch
    assert found.correlation == pytest.approx(1, abs=1e-5)


def test_a_poor_reconstruction_is_no_mismatch():
    """It regresses to the mean: its line is flat, and its range is right."""
    x = images(40)
    for kept in (0.8, 0.5, 0.1):
        field = LatentField(
            lambda x: x.flatten(1),
            lambda z, kept=kept: (kept * z + (1 - kept) * (1e4 * z).sin().square()).reshape(-1, 1, 8, 8),
            latent_shape=64,
            dtype=torch.float32,
        )
        assert loop_closure(field, x.flatten(1), x).ok


def test_data_in_a_range_that_no_decoded_value_reaches_are_seen_even_where_nothing_is_rebuilt():
    """Data in −1 … 1 for a model that makes 0 … 1, and makes the same image of everything."""
    x = images(40)
    field = LatentField(
        lambda x: x.flatten(1), lambda z: x[:1].expand(len(z), 1, 8, 8), latent_shape=64, dtype=torch.float32
    )
    assert loop_closure(field, x.flatten(1), x).ok
    found = loop_closure(field, x.flatten(1), 2 * x - 1)
    assert "the data lie in [-1, " in found.mismatch
    assert "the range the model was trained on" in found.mismatch


def test_doctor_reports_all_of_it():
    x = images(30)
    found = diagnose(autoencoder(lambda y: 2 * y - 1), x, samples=20, orbits=2, max_steps=2)
    assert found.loop is not None
    assert "−1 to 1" in found.loop.mismatch
    assert found.memory is not None
    assert found.bfloat16 is not None
    record = found.to_dict()
    assert record["loop"]["slope"] == pytest.approx(2, abs=1e-4)
    assert record["slopes"][0]["rough"] is False


def test_without_data_only_the_known_range_is_looked_at():
    x = images()
    for decoded, words in ((lambda y: y, ""), (lambda y: 255 * y, "far outside [0, 1]")):
        plain = autoencoder(decoded)
        found = loop_closure(plain, x.flatten(1))
        assert (found.compared, found.known_range, found.mismatch) == (False, None, "")
        plain.details = {"preprocessing": {"data_range": [0.0, 1.0], "words": "as they are"}}
        found = loop_closure(plain, x.flatten(1))
        assert (found.compared, found.known_range, found.words) == (False, (0.0, 1.0), "as they are")
        assert found.ok is (words == "")
        assert words in found.mismatch
    assert loop_closure(plain, x.flatten(1), x).compared
    assert not loop_closure(plain, x.flatten(1), x.flatten(1)).compared
