"""jvp, vjp and Jacobian are one derivative, that of the map; also where autograd sees nothing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from separatrix import LatentField
from separatrix.errors import FieldError

SHAPES = [(3,), (2, 4, 4), (5, 6)]


def draws(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def network(shape, dtype=torch.float64, decorate=lambda f: f):
    """A small smooth network for every latent shape; returns the field and its weights W of tanh(W z)."""
    k = torch.Size(shape).numel()
    weight = draws(k, k, seed=k) / k**0.5
    inner = nn.Linear(k, k, bias=False).to(dtype)
    inner.weight.data.copy_(weight)
    field = LatentField(
        decorate(lambda x: torch.tanh(x).reshape(-1, *shape)),
        lambda z: inner(z.flatten(1)),
        latent_shape=shape,
    )
    return field, weight


def convolutional():
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.ConvTranspose2d(2, 4, 4, 2, 1), nn.SiLU(), nn.Conv2d(4, 1, 3, padding=1)).double()
    encoder = nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), nn.SiLU(), nn.Conv2d(4, 2, 3, padding=1)).double()
    return LatentField(encoder, decoder, latent_shape=(2, 4, 4))


def exact(weight, z):
    flat = z.flatten(1)
    slope = 1 - torch.tanh(flat @ weight.T).square()
    return slope[:, :, None] * weight


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("blind", [False, True])
def test_analytic_jacobian(shape, blind):
    field, weight = network(shape, decorate=torch.no_grad() if blind else lambda f: f)
    assert field.differentiable is not blind
    z = draws(3, *shape, seed=1)
    jacobian, tolerance = exact(weight, z), 1e-8 if blind else 1e-13
    k = field.latent_dim
    assert field.jacobian(z).shape == (3, k, k)
    assert (field.jacobian(z) - jacobian).abs().max() < tolerance
    t, u = draws(3, *shape, seed=2), draws(3, *shape, seed=3)
    product = (jacobian @ t.flatten(1)[..., None]).reshape(z.shape)
    transposed = (jacobian.mT @ u.flatten(1)[..., None]).reshape(z.shape)
    assert field.jvp(z, t).shape == field.vjp(z, u).shape == z.shape
    assert (field.jvp(z, t) - product).abs().max() < 10 * tolerance
    assert (field.vjp(z, u) - transposed).abs().max() < 10 * tolerance


def test_a_convolutional_network_against_differences():
    field = convolutional()
    z, t = draws(2, 2, 4, 4), draws(2, 2, 4, 4, seed=1)
    h = 1e-5
    difference = (field(z + h * t) - field(z - h * t)) / (2 * h)
    assert (field.jvp(z, t) - difference).abs().max() < 1e-8
    dense = (field.jacobian(z) @ t.flatten(1)[..., None]).reshape(z.shape)
    assert (dense - difference).abs().max() < 1e-8


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 10), shape=st.sampled_from(SHAPES), blind=st.booleans())
def test_the_products_are_adjoint(seed, scale, shape, blind):
    field, _ = network(shape, decorate=torch.no_grad() if blind else lambda f: f)
    z, t, u = (scale * draws(2, *shape, seed=seed + i) for i in range(3))
    left = (u * field.jvp(z, t)).flatten(1).sum(1)
    right = (field.vjp(z, u) * t).flatten(1).sum(1)
    assert (left - right).abs().max() <= (1e-5 if blind else 1e-12) * scale**2 * field.latent_dim


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), a=st.floats(-3, 3))
def test_the_products_are_linear(seed, a):
    field, _ = network((3,))
    z, s, t = (draws(2, 3, seed=seed + i) for i in range(3))
    assert torch.allclose(field.jvp(z, s + a * t), field.jvp(z, s) + a * field.jvp(z, t), rtol=0, atol=1e-12)
    assert torch.allclose(field.vjp(z, s + a * t), field.vjp(z, s) + a * field.vjp(z, t), rtol=0, atol=1e-12)


def test_rows_are_independent():
    field, weight = network((3,))
    z = draws(300, 3)
    dense = field.jacobian(z)
    assert dense.shape == (300, 3, 3)
    assert (dense - exact(weight, z)).abs().max() < 1e-13
    assert torch.allclose(dense[123], field.jacobian(z[123:124])[0], rtol=0, atol=1e-14)


def test_rows_of_the_jacobian_are_outputs():
    """f(z) = (z₁z₂, z₁): the matrix is not symmetric, so a transposed one would show."""
    field = LatentField.from_map(
        lambda z: torch.stack([z[:, 0] * z[:, 1], z[:, 0]], dim=1), latent_shape=2, dtype=torch.float64
    )
    blind = LatentField.from_map(
        torch.no_grad()(lambda z: torch.stack([z[:, 0] * z[:, 1], z[:, 0]], dim=1)), latent_shape=2, dtype=torch.float64
    )
    z = torch.tensor([[2.0, 5.0]], dtype=torch.float64)
    for each in (field, blind):
        assert torch.allclose(each.jacobian(z), torch.tensor([[[5.0, 2.0], [1.0, 0.0]]]).double(), rtol=0, atol=1e-8)


def blinded(kind):
    weight = torch.tensor([[0.5, 0.2], [-0.1, 0.3]], dtype=torch.float64)

    def plain(z):
        return torch.tanh(z @ weight)

    def no_grad_inside(z):
        with torch.no_grad():
            return plain(z)

    def through_numpy(z):
        import numpy as np

        return torch.from_numpy(np.tanh(z.detach().numpy() @ weight.numpy()))

    def inference(z):
        with torch.inference_mode():
            return plain(z).clone()

    kinds = {
        "no_grad": no_grad_inside,
        "decorated": torch.no_grad()(plain),
        "detached": lambda z: plain(z.detach()),
        "numpy": through_numpy,
        "inference mode": inference,
        "data": lambda z: plain(z.data),
        "first coordinate only": lambda z: torch.cat([plain(z)[:, :1], plain(z.detach())[:, 1:]], dim=1),
        "added": lambda z: 0.5 * plain(z) + 0.5 * plain(z.detach()),
    }
    return kinds[kind], plain


@pytest.mark.parametrize(
    "kind",
    ["no_grad", "decorated", "detached", "numpy", "inference mode", "data", "first coordinate only", "added"],
)
def test_where_autograd_sees_nothing_or_half_differences_are_taken(kind):
    function, plain = blinded(kind)
    field = LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
    seeing = LatentField.from_map(plain, latent_shape=2, dtype=torch.float64)
    z, t = draws(3, 2), draws(3, 2, seed=1)
    assert field.differentiable is False
    assert (field.jacobian(z) - seeing.jacobian(z)).abs().max() < 1e-8
    assert (field.jvp(z, t) - seeing.jvp(z, t)).abs().max() < 1e-8
    assert (field.vjp(z, t) - seeing.vjp(z, t)).abs().max() < 1e-8


def test_a_straight_through_quantiser_has_the_derivative_of_its_map():
    """z + (round(z) − z).detach(): autograd says 1, the map is a staircase. Its derivative is 0 almost everywhere."""
    field = LatentField.from_map(lambda z: 0.9 * (z + (z.round() - z).detach()), latent_shape=2, dtype=torch.float64)
    assert field.jacobian(torch.tensor([[0.2, 3.3]], dtype=torch.float64)).abs().max() < 1e-6


@pytest.mark.parametrize("function", [lambda z: 0 * z, lambda z: z.round() * 0.5, lambda z: torch.relu(z) * 0 + 1])
def test_a_derivative_that_is_truly_zero(function):
    field = LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
    assert field.jacobian(torch.full((2, 2), 0.3, dtype=torch.float64)).abs().max() == 0


def test_a_constant_that_does_not_depend_on_z():
    field = LatentField.from_map(lambda z: torch.ones_like(z), latent_shape=2, dtype=torch.float64)
    z = torch.zeros(2, 2, dtype=torch.float64)
    assert field.jacobian(z).abs().max() == 0
    assert field.vjp(z, z + 1).abs().max() == 0
    assert field.jvp(z, z + 1).abs().max() == 0


def test_differences_in_float32_are_as_good_as_float32_allows():
    field, weight = network((3,), torch.float32, torch.no_grad())
    z = draws(4, 3, dtype=torch.float32)
    assert (field.jacobian(z).double() - exact(weight, z.double())).abs().max() < 2e-3


@pytest.mark.parametrize("length", [1e-4, 1.0, 1e4])
def test_differences_are_linear_in_the_tangent(length):
    """J·t is a derivative whatever the length of t; it is not the difference over a step of that length."""
    field, weight = network((3,), decorate=torch.no_grad())
    z, t = draws(2, 3), length * draws(2, 3, seed=1)
    product = (exact(weight, z) @ t[..., None]).squeeze(-1)
    assert (field.jvp(z, t) - product).abs().max() < 1e-6 * product.abs().max()


def test_large_blind_fields_have_no_dense_jacobian():
    field = LatentField.from_map(torch.no_grad()(torch.tanh), latent_shape=600, dtype=torch.float64)
    with pytest.raises(FieldError, match="600 latent dimensions"):
        field.jacobian(torch.zeros(1, 600, dtype=torch.float64))


def test_large_fields_have_products():
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=5000, dtype=torch.float64)
    z, t = draws(2, 5000), draws(2, 5000, seed=1)
    slope = 2 * (1 - torch.tanh(2 * z).square())
    assert torch.allclose(field.jvp(z, t), slope * t, rtol=0, atol=1e-13)
    assert torch.allclose(field.vjp(z, t), slope * t, rtol=0, atol=1e-13)


def test_inside_somebody_elses_no_grad():
    field, weight = network((3,))
    z = draws(2, 3)
    with torch.no_grad():
        assert field.differentiable
        assert (field.jacobian(z) - exact(weight, z)).abs().max() < 1e-13
    with torch.inference_mode():
        assert (field(z) - torch.tanh(z @ weight.T)).abs().max() < 1e-13


def test_results_carry_no_graph():
    field, _ = network((3,))
    z = draws(2, 3)
    for value in (field(z), field.jvp(z, z), field.vjp(z, z), field.jacobian(z)):
        assert not value.requires_grad
