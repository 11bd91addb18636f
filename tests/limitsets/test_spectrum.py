"""Eigenvalues, spectral radius and spectral norm: exact for known matrices, dense and matrix-free alike."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix import LatentField
from separatrix.limitsets._polish import cycle_jacobian, orbit_points
from separatrix.limitsets._spectrum import spectrum_matrix_free, spectrum_of


def matrix(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def block(*blocks):
    return torch.block_diag(*[torch.as_tensor(b, dtype=torch.float64) for b in blocks])


def turning(factor, angle):
    c, s = factor * math.cos(angle), factor * math.sin(angle)
    return [[c, -s], [s, c]]


def linear_field(a, dtype=torch.float64):
    return LatentField.from_map(lambda z: z @ a.to(z).T, latent_shape=len(a), dtype=dtype)


def by_modulus(values):
    return sorted(values.abs().tolist(), reverse=True)


def test_radius_and_norm_are_two_numbers():
    spectrum = spectrum_of(torch.tensor([[[0.5, 10.0], [0.0, 0.5]]], dtype=torch.float64))
    assert spectrum.radius.item() == pytest.approx(0.5, abs=1e-7)
    assert spectrum.norm.item() == pytest.approx(10.024937, abs=1e-5)
    assert spectrum.stable.tolist() == [1]


def test_a_complex_pair_is_read_as_one():
    spectrum = spectrum_of(block(turning(0.9, math.pi / 3), [[0.1]])[None])
    assert spectrum.radius.item() == pytest.approx(0.9, abs=1e-14)
    assert sorted(spectrum.eigenvalues[0, :2].imag.tolist()) == pytest.approx([-0.9 * 0.75**0.5, 0.9 * 0.75**0.5])
    assert spectrum.eigenvalues[0, 2].real.item() == pytest.approx(0.1)


def test_verdicts_and_counts():
    jacobians = torch.stack(
        [torch.diag(torch.tensor(d, dtype=torch.float64)) for d in ([0.9, -0.5], [1.1, 0.5], [2.0, -3.0], [1.0, 0.2])]
    )
    spectrum = spectrum_of(jacobians)
    assert spectrum.stable.tolist() == [1, 0, 0, -1]
    assert spectrum.unstable_directions.tolist() == [0, 1, 2, 0]
    assert spectrum.radius.tolist() == pytest.approx([0.9, 1.1, 3.0, 1.0])


@pytest.mark.parametrize("tiny", [1e-153, 1e-300])
def test_entries_whose_squares_underflow(tiny):
    """A collapsed autoencoder has such Jacobians, and LAPACK gives up on them."""
    a = matrix(3, 16, 16) @ torch.diag(torch.logspace(0, -50, 16, dtype=torch.float64))
    plain, scaled = spectrum_of(a), spectrum_of(tiny * a)
    torch.testing.assert_close(scaled.radius / tiny, plain.radius, rtol=1e-10, atol=0)
    torch.testing.assert_close(scaled.norm / tiny, plain.norm, rtol=1e-10, atol=0)
    assert scaled.stable.tolist() == [1, 1, 1]


def test_unknown_is_unknown():
    jacobians = torch.stack([torch.full((2, 2), torch.nan), torch.eye(2) * 0.5]).double()
    spectrum = spectrum_of(jacobians)
    assert spectrum.radius.isnan().tolist() == [True, False]
    assert spectrum.norm.isnan().tolist() == [True, False]
    assert spectrum.stable.tolist() == [-1, 1]
    assert spectrum.unstable_directions.tolist() == [-1, 0]


def test_no_points():
    spectrum = spectrum_of(torch.zeros(0, 3, 3, dtype=torch.float64))
    assert (len(spectrum.radius), spectrum.eigenvalues.shape[0], len(spectrum.stable)) == (0, 0, 0)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 12), scale=st.floats(0.01, 3))
def test_dense_spectra_agree_with_their_definitions(seed, k, scale):
    a = scale * matrix(3, k, k, seed=seed) / k**0.5
    spectrum = spectrum_of(a)
    assert (spectrum.radius <= spectrum.norm * (1 + 1e-12)).all()
    for i in range(3):
        assert by_modulus(spectrum.eigenvalues[i]) == pytest.approx(by_modulus(torch.linalg.eigvals(a[i])), abs=1e-9)
        assert spectrum.norm[i].item() == pytest.approx(float(torch.linalg.svdvals(a[i])[0]))
        powers = torch.linalg.matrix_power(a[i] / spectrum.radius[i], 400)
        assert float(powers.norm()) ** (1 / 400) == pytest.approx(1, abs=0.05), "Gelfand's formula"


MATRICES = {
    "random": 0.3 * matrix(12, 12, seed=1),
    "symmetric": 0.2 * (matrix(10, 10, seed=2) + matrix(10, 10, seed=2).T),
    "complex leading pair": block(turning(0.9, 1.0), torch.diag(torch.linspace(0.1, 0.6, 8))),
    "non-normal": block([[0.5, 10.0], [0.0, 0.5]], torch.diag(torch.linspace(-0.3, 0.3, 8))),
    "negative leading": torch.diag(torch.linspace(-0.95, 0.4, 9, dtype=torch.float64)),
    "unstable": torch.diag(torch.tensor([3.0, -2.0, 1.5, 0.5, 0.2, 0.1, 0.0, 0.0], dtype=torch.float64)),
    "nearly equal": torch.diag(torch.tensor([0.9, 0.899, 0.898, 0.897, 0.5, 0.1, 0.0, 0.2, 0.3], dtype=torch.float64)),
    "low rank": matrix(20, 2, seed=3) @ matrix(2, 20, seed=4) / 20,
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrix_free_is_the_dense_spectrum(name):
    a = MATRICES[name]
    dense, free = (
        spectrum_of(a[None]),
        spectrum_matrix_free(linear_field(a), torch.zeros(2, len(a), dtype=torch.float64)),
    )
    for row in range(2):
        assert free.radius[row].item() == pytest.approx(dense.radius.item(), rel=1e-5)
        assert free.norm[row].item() == pytest.approx(dense.norm.item(), rel=2e-3)
        known = free.eigenvalues[row][~free.eigenvalues[row].real.isnan()]
        assert by_modulus(known) == pytest.approx(by_modulus(dense.eigenvalues[0])[: len(known)], abs=1e-4)
    assert torch.equal(free.stable, dense.stable.expand(2))
    assert free.unstable_directions.tolist() == dense.unstable_directions.tolist() * 2


def test_matrix_free_in_float32():
    a = MATRICES["random"]
    free = spectrum_matrix_free(linear_field(a, torch.float32), torch.zeros(1, len(a)))
    assert free.radius.item() == pytest.approx(spectrum_of(a[None]).radius.item(), rel=1e-4)


def test_matrix_free_for_a_nonlinear_cycle():
    weight = 0.8 * matrix(9, 9, seed=5)
    field = LatentField.from_map(
        lambda z: torch.tanh(z.flatten(1) @ weight.T + 0.1).reshape(z.shape), latent_shape=(3, 3), dtype=torch.float64
    )
    z = matrix(2, 3, 3, seed=6)
    dense = spectrum_of(cycle_jacobian(field, orbit_points(field, z, 3)[:-1]))
    free = spectrum_matrix_free(field, z, period=3)
    assert torch.allclose(free.radius, dense.radius, rtol=1e-5, atol=0)
    assert torch.allclose(free.norm, dense.norm, rtol=1e-4, atol=0)


def test_matrix_free_of_a_constant_map_is_zero():
    field = LatentField.from_map(lambda z: 0.0 * z + 1, latent_shape=10, dtype=torch.float64)
    free = spectrum_matrix_free(field, torch.ones(1, 10, dtype=torch.float64))
    assert free.norm.item() == 0
    assert free.radius.item() == pytest.approx(0, abs=1e-12)
    assert free.stable.tolist() == [1]


def test_matrix_free_is_deterministic_and_counts_its_products():
    a = MATRICES["random"]
    first, second = (spectrum_matrix_free(linear_field(a), torch.zeros(1, 12, dtype=torch.float64)) for _ in range(2))
    assert torch.equal(first.eigenvalues, second.eigenvalues)
    assert torch.equal(first.norm, second.norm)
    assert first.cost == second.cost
    assert first.cost.jvp > 0
    assert first.cost.vjp > 0


@pytest.mark.parametrize("name", MATRICES)
def test_the_norm_is_never_below_the_radius(name):
    """‖J‖₂ ≥ ρ(J), also where the singular values lie close together and an iteration is slow."""
    a = MATRICES[name]
    free = spectrum_matrix_free(linear_field(a), torch.zeros(1, len(a), dtype=torch.float64))
    assert free.norm.item() >= free.radius.item() * (1 - 1e-6)


@pytest.mark.parametrize("k", [3, 5, 7])
def test_matrix_free_in_few_dimensions(k):
    """Fewer eigenvalues than usual exist; the padding must not turn a known spectral radius into an unknown one."""
    a = torch.diag(torch.linspace(0.2, 1.5, k, dtype=torch.float64))
    free = spectrum_matrix_free(linear_field(a), torch.zeros(1, k, dtype=torch.float64))
    assert free.radius.item() == pytest.approx(1.5, abs=1e-6)
    assert free.stable.tolist() == [0]


def test_matrix_free_of_nilpotent_and_of_one_direction():
    """J² = 0 with J ≠ 0, and J of rank one: nothing to iterate with after one or two products."""
    for entries, radius, norm in (({(0, 1): 3.0}, 0.0, 3.0), ({(0, 0): 0.7, (0, 1): 2.0}, 0.7, (0.49 + 4) ** 0.5)):
        a = torch.zeros(12, 12, dtype=torch.float64)
        for place, value in entries.items():
            a[place] = value
        free = spectrum_matrix_free(linear_field(a), torch.zeros(1, 12, dtype=torch.float64))
        assert free.radius.item() == pytest.approx(radius, abs=1e-6)
        assert free.norm.item() == pytest.approx(norm, rel=1e-6)


def test_matrix_free_of_a_derivative_that_is_not_finite_is_unknown():
    field = LatentField.from_map(lambda z: z.sqrt(), latent_shape=10, dtype=torch.float64)
    free = spectrum_matrix_free(field, torch.zeros(1, 10, dtype=torch.float64))
    assert free.radius.isnan().all()
    assert free.norm.isnan().all()
    assert free.stable.tolist() == free.unstable_directions.tolist() == [-1]


def test_without_gradients_a_large_latent_has_a_radius_but_no_norm():
    field = LatentField.from_map(torch.no_grad()(lambda z: 0.5 * torch.tanh(z)), latent_shape=600, dtype=torch.float64)
    free = spectrum_matrix_free(field, torch.zeros(1, 600, dtype=torch.float64))
    assert free.radius.item() == pytest.approx(0.5, abs=1e-6)
    assert free.norm.isnan().all()
    assert free.stable.tolist() == [1]


def test_matrix_free_of_no_points():
    free = spectrum_matrix_free(linear_field(MATRICES["random"]), torch.zeros(0, 12, dtype=torch.float64))
    assert free.eigenvalues.shape == (0, 6)
    assert free.radius.shape == free.norm.shape == (0,)
