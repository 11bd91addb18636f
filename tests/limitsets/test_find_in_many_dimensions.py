"""The same search above 512 dimensions, where no Jacobian is formed: the same attractors, stability and counts."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix import LatentField, Status
from separatrix.limitsets import Kind

WELL = 0.9575040240772687  # the positive solution of tanh(2z) = z


def field_of(function, k=1, dtype=torch.float64):
    return LatentField.from_map(function, latent_shape=k, dtype=dtype)


def reflected(k, seed=0):
    """An orthogonal, symmetric map that mixes all coordinates: I − 2vvᵀ."""
    v = torch.randn(k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    v /= v.norm()

    def reflect(z):
        w = v.to(z)
        return z - 2 * (z @ w)[:, None] * w

    return reflect


LARGE = 600


def large_field(core, dtype=torch.float64, rest=0.5, k=LARGE):
    """``core`` on the first two coordinates, contraction by ``rest`` on the others, all mixed by a reflection."""
    mix = reflected(k)

    def function(z):
        y = mix(z)
        return mix(torch.cat([core(y[:, :2]), rest * y[:, 2:]], dim=1))

    return field_of(function, k, dtype), mix


def large_starts(mix, n=24, k=LARGE):
    z = torch.randn(n, k, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return z, mix(z)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_four_attractors_in_600_dimensions(dtype):
    field, mix = large_field(lambda y: torch.tanh(2 * y), dtype)
    signs, starts = large_starts(mix)
    limits = sx.find_attractors(field, starts)
    quadrant = (signs[:, 0] > 0).long() + 2 * (signs[:, 1] > 0).long()
    assert len(limits) == len(limits.attractors) == len(quadrant.unique()) == 4
    assert sorted(limits.hits.tolist()) == sorted(quadrant.bincount().tolist())
    ends = mix(limits.points)
    assert (ends[:, :2].abs() - WELL).abs().max() < 1e-8
    assert ends[:, 2:].abs().max() < 1e-8
    assert torch.equal((ends[limits.labels][:, :2] > 0), signs[:, :2] > 0)
    assert (limits.spectral_radius - 0.5).abs().max() < 1e-5
    assert (limits.spectral_norm - 0.5).abs().max() < 1e-5
    assert limits.residual.max() < 1e-12
    assert limits.orbits.counts.keys() <= {Status.CONVERGED, Status.CAPTURED}


def test_radius_and_norm_differ_in_600_dimensions():
    def core(y):
        return torch.stack([0.6 * y[:, 0] + 3 * y[:, 1], 0.6 * y[:, 1]], dim=1)

    field, mix = large_field(core)
    limits = sx.find_attractors(field, large_starts(mix, 6)[1])
    assert limits.stable.tolist() == [1]
    assert limits.spectral_radius.item() == pytest.approx(0.6, abs=1e-3)
    exact = float(torch.linalg.matrix_norm(torch.tensor([[0.6, 3.0], [0.0, 0.6]], dtype=torch.float64), 2))
    assert limits.spectral_norm.item() == pytest.approx(exact, rel=1e-4)


def test_a_cycle_in_600_dimensions():
    field, mix = large_field(lambda y: torch.stack([-torch.tanh(2 * y[:, 0]), 0.5 * y[:, 1]], dim=1))
    limits = sx.find_attractors(field, large_starts(mix, 12)[1])
    assert limits.kind.tolist() == [Kind.CYCLE]
    assert limits.period.tolist() == [2]
    assert limits.stable.tolist() == [1]
    assert limits.hits.tolist() == [12]
    assert (mix(limits.trace(0))[:, 0].abs() - WELL).abs().max() < 1e-8
    assert limits.spectral_radius.item() == pytest.approx(0.25, abs=1e-5)


def test_a_saddle_in_600_dimensions_is_no_attractor():
    field, mix = large_field(lambda y: torch.tanh(2 * y))
    starts = torch.cat([large_starts(mix, 8)[1], torch.zeros(1, LARGE, dtype=torch.float64)])
    limits = sx.find_attractors(field, starts)
    assert int(limits.attractors.labels[-1]) == -1
    assert (limits.attractors.labels[:-1] >= 0).all()


@pytest.mark.slow
def test_a_continuum_in_600_dimensions():
    field, mix = large_field(lambda y: y)
    limits = sx.find_attractors(field, large_starts(mix, 12)[1])
    assert limits.kind.tolist() == [Kind.CONTINUUM]
    assert limits.hits.tolist() == [12]
    assert len(limits.attractors) == 0


def test_a_collapsed_encoder_in_600_dimensions():
    """An encoder that returns a constant: J = 0 exactly, one attractor, reached in one step."""
    point = torch.linspace(-1, 1, LARGE, dtype=torch.float64)
    limits = sx.find_attractors(field_of(lambda z: 0 * z + point, LARGE), sx.starts.gaussian(4))
    assert limits.stable.tolist() == [1]
    assert limits.hits.tolist() == [4]
    assert limits.spectral_radius.item() == pytest.approx(0, abs=1e-9)
    assert limits.spectral_norm.item() == pytest.approx(0, abs=1e-9)


def test_both_sides_of_the_dense_limit_agree():
    found = []
    for k in (510, 516):
        field, mix = large_field(lambda y: torch.tanh(2 * y), rest=0.3, k=k)
        limits = sx.find_attractors(field, large_starts(mix, 6, k)[1])
        found.append((len(limits), limits.stable.tolist(), limits.kind.tolist()))
        assert (limits.spectral_radius - 0.3).abs().max() < 1e-5
    assert found[0][1:] == (([1] * found[0][0]), [Kind.FIXED_POINT] * found[0][0])
    assert found[1][1:] == (([1] * found[1][0]), [Kind.FIXED_POINT] * found[1][0])
