"""Trapping regions: what is accepted three times really goes there, however non-normal the Jacobian is."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.limitsets._approach import Approach
from separatrix.limitsets._regions import StepNorms, TrappingRegions
from separatrix.numerics._distances import nearest_other

some = settings(max_examples=20, deadline=None, derandomize=True)


def draws(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def stable_matrix(k, radius, shear, seed):
    """Random, with spectral radius ``radius`` and a strictly triangular part ``shear`` times as large as its diagonal."""
    upper = torch.triu(draws(k, k, seed=seed), 1) * shear
    a = upper + torch.diag(radius * torch.tanh(draws(k, seed=seed + 1)))
    a[0, 0] = radius
    q = torch.linalg.qr(draws(k, k, seed=seed + 2))[0]
    return q @ a @ q.T


def regions_of(points, jacobians, others=None, spread=1.0):
    radius = torch.linalg.eigvals(jacobians).abs().amax(dim=1)
    everything = points if others is None else others  # begins with the points themselves
    apart = nearest_other(points, everything, torch.arange(len(points))).distance
    return TrappingRegions.around(points, StepNorms.of(jacobians.unsqueeze(1), radius), apart, spread)


def accepted(regions, step, z, steps=400):
    """Which points are accepted within so many steps, and where they are then."""
    approach, orbit = Approach.none(len(z), z.device), torch.arange(len(z))
    done, ends = torch.zeros(len(z), dtype=torch.bool), z.clone()
    for _ in range(steps):
        image = step(z)
        now = approach.see(regions, orbit, z, image)
        ends[now & ~done] = image[now & ~done]
        done |= now
        z = image
    return done, ends


def consistent(regions, z, f_z, region):
    return regions.evidence(z, f_z, region).good


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 6),
    radius=st.floats(0.05, 0.98),
    shear=st.floats(0, 2),
    bend=st.floats(0, 30),
)
def test_what_is_accepted_converges(seed, k, radius, shear, bend):
    """f(a + d) = a + Jd + bend·(quadratic in d): far from a it escapes, and no accepted point may be one that does."""
    jacobian, centre = stable_matrix(k, radius, shear, seed), draws(k, seed=seed + 3)
    curved = draws(k, k, k, seed=seed + 4)

    def step(z):
        d = z - centre
        return centre + d @ jacobian.T + bend * torch.einsum("ijk,nj,nk->ni", curved, d, d)

    regions = regions_of(centre[None], jacobian[None])
    scale = torch.logspace(-9, 0.5, 400, dtype=torch.float64)[:, None]
    z = centre + scale * torch.nn.functional.normalize(draws(400, k, seed=seed + 5), dim=1)
    good, ends = accepted(regions, step, z)
    assert good[scale.squeeze(1) < 1e-7 / (1 + shear) ** k / (1 + bend)].all(), "what is close enough is recognised"
    ends = ends[good]
    for _ in range(int(30 / (1 - radius)) + 20):
        ends = step(ends)
    lost = int((~((ends - centre).norm(dim=1) < 1e-5)).sum())
    assert lost == 0, f"{lost} of {len(ends)} accepted points do not converge"


@some
@given(seed=st.integers(0, 10_000), k=st.integers(1, 8), radius=st.floats(0.01, 0.995), shear=st.floats(0, 5))
def test_the_norm_contracts_by_q_and_is_no_shorter_than_the_distance(seed, k, radius, shear):
    jacobian = stable_matrix(k, radius, shear, seed)
    regions = regions_of(torch.zeros(1, k, dtype=torch.float64), jacobian[None])
    d = draws(50, k, seed=seed + 9)
    region = torch.zeros(50, dtype=torch.int64)
    before, after = regions.distance(d, region), regions.distance(d @ jacobian.T, region)
    q = (1 + float(torch.linalg.eigvals(jacobian).abs().max())) / 2
    assert (after <= q * before * (1 + 1e-6)).all()
    assert (before >= d.norm(dim=1) * (1 - 1e-9)).all()


def test_extremely_non_normal_jacobians_have_a_region_or_none_but_no_crash():
    """ρ = 0.9 and ‖J‖₂ = 21: P is worse conditioned than float64 can hold."""
    jacobian = stable_matrix(5, 0.9, 10.0, 1)
    regions = regions_of(torch.zeros(1, 5, dtype=torch.float64), jacobian[None])
    assert consistent(
        regions, torch.zeros(1, 5).double(), torch.zeros(1, 5).double(), torch.zeros(1, dtype=torch.int64)
    ).all()


def test_a_repelling_passage_is_refused():
    """The map near its attractor 0 is J, but on the line x = 0.01 it moves away."""
    jacobian = torch.diag(torch.tensor([0.5, 0.5], dtype=torch.float64))
    regions = regions_of(torch.zeros(1, 2, dtype=torch.float64), jacobian[None])
    z = torch.tensor([[0.01, 0.0], [0.01, 0.01]], dtype=torch.float64)
    none = torch.zeros(2, dtype=torch.int64)
    assert consistent(regions, z, 0.5 * z, none).all()
    assert not consistent(regions, z, 1.01 * z, none).any()
    assert not consistent(regions, z, 0.99 * z, none).any()
    assert not consistent(regions, z, -0.5 * z, none).any()


def test_regions_keep_away_from_other_sets():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    saddle = torch.tensor([[0.1, 0.0]], dtype=torch.float64)
    jacobian = 0.5 * torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    free, crowded = regions_of(points, jacobian), regions_of(points, jacobian, torch.cat([points, saddle]))
    assert crowded.radius[0] < 0.2 * free.radius[0]
    z = torch.tensor([[0.03, 0.0]], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.int64)
    assert consistent(free, z, 0.5 * z, zero).all()
    assert not consistent(crowded, z, 0.5 * z, zero).any()


def test_a_point_at_rest_on_the_attractor_is_accepted():
    centre = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    regions = regions_of(centre, 0.5 * torch.eye(2, dtype=torch.float64)[None])
    rounded = centre * (1 + 1e-15)
    assert consistent(regions, centre, centre, torch.zeros(1, dtype=torch.int64)).all()
    assert consistent(regions, rounded, rounded, torch.zeros(1, dtype=torch.int64)).all()


def test_nan_is_never_accepted():
    regions = regions_of(torch.zeros(1, 2, dtype=torch.float64), 0.5 * torch.eye(2, dtype=torch.float64)[None])
    z = torch.tensor([[torch.nan, 0.0], [0.001, 0.0]], dtype=torch.float64)
    image = torch.tensor([[0.0, 0.0], [torch.nan, 0.0]], dtype=torch.float64)
    assert not consistent(regions, z, image, torch.zeros(2, dtype=torch.int64)).any()


def test_a_superattracting_point_has_a_region():
    regions = regions_of(torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1, 3, 3, dtype=torch.float64))
    z = 1e-3 * draws(5, 3)
    assert consistent(regions, z, 0 * z, torch.zeros(5, dtype=torch.int64)).all()


@pytest.mark.parametrize("radius", [0.99, 0.999, 0.99999])
def test_rates_near_one(radius):
    jacobian = stable_matrix(4, radius, 1.0, 7)
    regions = regions_of(torch.zeros(1, 4, dtype=torch.float64), jacobian[None])
    slowest = torch.linalg.eig(jacobian)
    direction = slowest.eigenvectors[:, slowest.eigenvalues.abs().argmax()].real
    size = float(regions.distance(direction[None], torch.zeros(1, dtype=torch.int64)))
    z = (0.5 * float(regions.radius[0]) / size) * direction[None]
    assert consistent(regions, z, z @ jacobian.T, torch.zeros(1, dtype=torch.int64)).all()


def test_the_nearest_region_is_euclidean():
    regions = regions_of(draws(5, 3), 0.5 * torch.eye(3, dtype=torch.float64).expand(5, 3, 3))
    z = draws(40, 3, seed=1)
    assert torch.equal(regions.nearest(z), torch.cdist(z, regions.points).argmin(dim=1))


def test_among_many_regions_a_guess_changes_no_answer_for_a_point_within_reach():
    points = draws(200, 3)
    many = regions_of(points, 0.5 * torch.eye(3, dtype=torch.float64).expand(200, 3, 3))
    z = points + 0.5 * many.reach[:, None] * torch.nn.functional.normalize(draws(200, 3, seed=1), dim=1)
    right = torch.arange(200)
    for guess in (None, right, right.roll(1), torch.zeros_like(right)):
        assert torch.equal(many.nearest(z, guess), right)


def test_many_rows_are_done_in_blocks_alike():
    jacobian = torch.stack([stable_matrix(3, 0.5, 1.0, seed) for seed in range(4)])
    regions = regions_of(draws(4, 3), jacobian)
    z = draws(3000, 3, seed=2)
    region = regions.nearest(z)
    whole = regions.distance(z, region)
    assert torch.allclose(whole[2000:2005], regions.distance(z[2000:2005], region[2000:2005]), rtol=1e-12, atol=0)


@pytest.mark.parametrize("period", [2, 3, 7])
def test_around_a_cycle_every_single_step_contracts_in_its_norm(period):
    """P_i = I + (J_i/q)ᵀ P_{i+1} (J_i/q): ‖J_i d‖ in the norm of the next point is at most q ‖d‖ in that of this one."""
    jacobian = torch.stack([stable_matrix(4, 0.9, 3.0, seed) for seed in range(period)])
    product = torch.linalg.multi_dot([*jacobian.flip(0)]) if period > 1 else jacobian[0]
    scale = (0.8 / torch.linalg.eigvals(product).abs().max()) ** (1 / period)
    norms = StepNorms.of(scale * jacobian[None], torch.tensor([0.8]), period)
    q = 0.9 ** (1 / period)
    assert norms.shrink.tolist() == pytest.approx([(1 + q) / 2] * period)
    for i in range(period):
        d = draws(200, 4, seed=i)
        before = (d @ norms.factor[i].T).norm(dim=1)
        after = (d @ (scale * jacobian[i]).T @ norms.factor[(i + 1) % period].T).norm(dim=1)
        assert bool((after <= q * before * (1 + 1e-9)).all())
        assert bool((before >= d.norm(dim=1) * (1 - 1e-12)).all())
