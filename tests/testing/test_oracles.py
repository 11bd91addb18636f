"""The oracles judge the library, so they are judged first: against the maps and against published numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest
from torch import Tensor

from separatrix.errors import InputError
from separatrix.limitsets._sets import Kind
from separatrix.orbits._status import Status
from separatrix.testing import oracles
from separatrix.testing.oracles import CATALOGUE, KnownSet, Oracle

SYSTEMS = pytest.mark.parametrize("make", CATALOGUE.values(), ids=CATALOGUE.keys())


def plain_loop(oracle: Oracle, steps: int) -> Tensor:
    z = oracle.starts
    for _ in range(steps):
        z = oracle.field(z)
    return z


def jacobian_of_power(oracle: Oracle, known: KnownSet) -> Tensor:
    product = torch.eye(oracle.field.latent_dim, dtype=torch.float64)
    for jacobian in oracle.field.jacobian(known.points[: max(known.period, 1)]):
        product = jacobian @ product
    return product


def largest_mismatch(a: Tensor, b: Tensor) -> float:
    cost = (a[:, None] - b[None]).abs().numpy()
    return float(cost[linear_sum_assignment(cost)].max())


@SYSTEMS
def test_known_points_map_onto_each_other(make):
    oracle = make()
    for known in oracle.limit_sets:
        image = oracle.field(known.points)
        if known.period == 0:
            assert known.defect(image).max() < 1e-14
            assert (image - known.points).norm(dim=1).min() > 1e-3, "a curve has no fixed points on it"
        else:
            successor = known.points if known.kind == Kind.CONTINUUM else known.points.roll(-1, 0)
            assert (image - successor).norm(dim=1).max() < 1e-14
        if known.kind == Kind.CYCLE:
            gaps = (known.points[:, None] - known.points[None]).norm(dim=2) + torch.eye(known.period)
            assert gaps.min() > 0.01, "the period must be the smallest one"


@SYSTEMS
def test_known_eigenvalues_are_those_of_the_derivative(make):
    oracle = make()
    for known in oracle.limit_sets:
        if known.period == 0:
            assert known.eigenvalues.isnan().all()
            continue
        eigenvalues = torch.linalg.eigvals(jacobian_of_power(oracle, known))
        assert largest_mismatch(eigenvalues, known.eigenvalues) < 1e-12
        assert known.spectral_radius == pytest.approx(float(known.eigenvalues.abs().max()), abs=1e-15)


@SYSTEMS
def test_records_are_consistent(make):
    oracle = make()
    k = oracle.field.latent_dim
    assert oracle.starts.shape == (len(oracle.starts), k)
    assert oracle.starts.dtype == oracle.field.dtype == torch.float64
    assert torch.equal(oracle.starts, make().starts)
    for known in oracle.limit_sets:
        assert known.points.shape[1:] == oracle.field.latent_shape
        assert known.points.dtype == torch.float64
        assert known.eigenvalues.shape == (k,)
        assert known.stable == (known.spectral_radius < 1 - 1e-9)
        assert (known.unstable_directions > 0) == (known.spectral_radius > 1 + 1e-9)
    shares = [known.basin_fraction for known in oracle.limit_sets if known.basin_fraction is not None]
    if oracle.attractors and shares:
        assert sum(shares) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", [name for name, make in CATALOGUE.items() if make().attractors])
def test_starts_end_where_the_basins_say(name):
    oracle = CATALOGUE[name]()
    ends = plain_loop(oracle, 1100)
    defects = torch.stack([known.defect(ends) for known in oracle.attractors])
    nearest, which = defects.min(dim=0)
    assert nearest.max() < 1e-9, "every start must end on a known attractor"
    for index, known in enumerate(oracle.attractors):
        if known.basin_fraction is not None:
            interval = binomtest(int((which == index).sum()), len(ends)).proportion_ci(0.95)
            assert interval.low <= known.basin_fraction <= interval.high


@pytest.mark.parametrize(
    "make",
    [
        oracles.affine_contraction,
        oracles.non_normal,
        oracles.tanh_product,
        oracles.newton_cube_roots,
        oracles.invariant_curve,
    ],
)
def test_a_start_does_not_depend_on_how_many_there_are(make):
    everything = make(count=64).starts
    assert torch.equal(make(count=10).starts, everything[:10])
    assert not torch.equal(make(count=64, seed=1).starts, everything)
    assert everything.unique(dim=0).shape == everything.shape, "starts must differ"


def test_the_numbers_of_the_method_page():
    """Rounded values as printed in the literature and in the project's table of exact answers."""
    non_normal = oracles.non_normal()
    norm = torch.linalg.matrix_norm(non_normal.field.jacobian(non_normal.starts[:1])[0], 2)
    assert norm.item() == pytest.approx(10.025, abs=5e-4)
    assert non_normal.field(torch.tensor([[0.0, 1.0]], dtype=torch.float64)).norm().item() == pytest.approx(
        10.0125, abs=5e-5
    )
    spiral = oracles.rotation_scaling().limit_sets[0].eigenvalues[0]
    assert abs(spiral.item()) == pytest.approx(0.9, abs=1e-15)
    assert np.angle(spiral.item()) == pytest.approx(math.pi / 3, abs=1e-15)

    plus, _, minus = oracles.tanh_product().limit_sets
    assert plus.points.item() == pytest.approx(0.957504, abs=5e-7) == -minus.points.item()
    assert plus.spectral_radius == pytest.approx(0.166372, abs=5e-7)
    cube = oracles.tanh_product(dim=3).limit_sets
    assert [sum(s.unstable_directions == j for s in cube) for j in range(4)] == [8, 12, 6, 1]
    assert oracles.negated_tanh_product().attractors[0].spectral_radius == pytest.approx(0.02768, abs=5e-6)

    def cycle_of(r):
        (known,) = oracles.logistic(r).attractors
        return sorted(known.points.flatten().tolist()), known.eigenvalues[0].real.item()

    assert cycle_of(2.5) == (pytest.approx([0.6], abs=1e-15), pytest.approx(-0.5, abs=1e-15))
    assert cycle_of(3.2) == (pytest.approx([0.513045, 0.799455], abs=5e-7), pytest.approx(0.16, abs=1e-14))
    assert cycle_of(3.5) == (
        pytest.approx([0.38282, 0.50088, 0.82694, 0.87500], abs=5e-6),
        pytest.approx(-0.0305, abs=5e-5),
    )
    unstable = oracles.logistic(3.2).limit_sets[1]
    assert (unstable.points.item(), unstable.eigenvalues[0].real.item()) == pytest.approx((0.6875, -1.2), abs=1e-15)

    fold = 2 / (3 * math.sqrt(3))
    assert fold == pytest.approx(0.38490, abs=5e-6)
    assert [len(oracles.tilted_well(tilt=h).limit_sets) for h in (-0.3849, 0.0, 0.38490, 0.38491, 0.5)] == [
        3,
        3,
        3,
        1,
        1,
    ]
    assert [s.points[0, 0].item() for s in oracles.henon().limit_sets] == pytest.approx([0.631354, -1.131354], abs=5e-7)
    assert [s.basin_fraction for s in oracles.nearest_prototype().limit_sets] == pytest.approx(
        [0.3, 0.3, 0.4], abs=1e-15
    )

    memory = oracles.hopfield(beta=4.0)
    weights = [sorted(p.item() for p in _pattern_weights(memory, s)) for s in memory.attractors]
    assert weights == [pytest.approx([0.021248, 0.978752], abs=5e-7)] * 2
    assert memory.limit_sets[0].unstable_directions == 1
    assert [len(oracles.hopfield(beta=b).limit_sets) for b in (1.0, 2.0)] == [1, 1]
    assert [len(oracles.hopfield(beta=b).attractors) for b in (1.0, 2.0)] == [1, 0]


def _pattern_weights(memory: Oracle, known: KnownSet) -> Tensor:
    """The coordinates of a point in the basis of the two patterns, solved for from the attractors."""
    first, second = (s.points[0] for s in memory.attractors)
    p = 0.978752
    solve = torch.tensor([[p, 1 - p], [1 - p, p]], dtype=torch.float64).inverse()
    patterns = solve @ torch.stack([first, second])
    assert (patterns @ patterns.mT - torch.eye(2)).abs().max() < 1e-5, "the patterns must be orthonormal"
    return patterns @ known.points[0]


def test_algebraic_decay_of_tanh():
    oracle = oracles.neutral_tanh()
    n = 20_000
    # tanh z ≈ z − z³/3, so 1/z² grows by 2/3 per step.
    law = (2 * n / 3 + oracle.starts.pow(-2)).rsqrt()
    assert (plain_loop(oracle, n).abs() / law - 1).abs().max() < 2e-3
    assert law.max().item() == pytest.approx(math.sqrt(3 / (2 * n)), rel=1e-3)
    one = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(73):
        one = oracle.field(one)
    assert one.item() == pytest.approx(0.143, abs=2e-3)


def test_chaos_stays_chaos_in_float64():
    """A float64 orbit of the logistic map at r = 4 can fall on 0 by rounding; from these starts none does."""
    ends = plain_loop(oracles.logistic(4.0), 5_000)
    assert ((ends > 0) & (ends < 1)).all()
    ends = plain_loop(oracles.henon(), 5_000)
    assert ends.abs().max() < 1.5
    assert ends.std(dim=0).min() > 0.1


@pytest.mark.parametrize("turns", [Fraction(1, 2), Fraction(1, 3), Fraction(2, 5), Fraction(3, 7)])
def test_rotations_return_after_q_steps_and_not_before(turns):
    oracle = oracles.rotation(turns)
    z = oracle.starts
    for step in range(1, turns.denominator + 1):
        z = oracle.field(z)
        gap = (z - oracle.starts).norm(dim=1) / oracle.starts.norm(dim=1)
        assert (gap.max() < 1e-14) if step == turns.denominator else (gap.min() > 0.5)


def test_pca_autoencoder_is_a_real_pair():
    oracle = oracles.pca_autoencoder(data_dim=12, dim=3)
    field = oracle.field
    assert len(field.modules) == 2
    x = field.decode(oracle.starts)
    assert x.shape == (64, 12)
    assert (field.encode(x) - oracle.starts).abs().max() < 1e-14
    other = torch.ones(5, 12, dtype=torch.float64)
    once = field.reconstruct(other)
    assert (field.reconstruct(once) - once).abs().max() < 1e-14, "D∘E is a projection"
    assert (once - other).norm(dim=1).min() > 0.1


def test_building_an_oracle_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    for make in CATALOGUE.values():
        make()
    assert torch.equal(before, torch.get_rng_state())


@SYSTEMS
def test_conjugation_transports_the_answers(make):
    oracle = make()
    k = oracle.field.latent_dim
    matrix = torch.eye(k, dtype=torch.float64) + 0.3 * torch.from_numpy(
        np.random.default_rng(0).standard_normal((k, k)) / math.sqrt(k)
    )
    offset = torch.linspace(-2, 3, k, dtype=torch.float64)
    moved = oracles.conjugated(oracle, matrix, offset)
    assert (moved.starts - (oracle.starts @ matrix.mT + offset)).abs().max() < 1e-14
    expected = oracle.field(oracle.starts) @ matrix.mT + offset
    assert (moved.field(moved.starts) - expected).abs().max() < 1e-12 * (1 + float(expected.abs().max()))
    for known in moved.limit_sets:
        image = moved.field(known.points)
        assert known.defect(image).max() < 1e-12
        assert known.defect(image + 0.1).max() > 1e-3 or known.kind == Kind.CONTINUUM
        if known.period and oracle.name != "non-normal":  # a defective eigenvalue moves with the root of the rounding
            eigenvalues = torch.linalg.eigvals(jacobian_of_power(moved, known))
            assert largest_mismatch(eigenvalues, known.eigenvalues) < 1e-10


@SYSTEMS
def test_oracles_exist_in_float32(make):
    oracle = make()
    single = oracle.field.to(dtype=torch.float32)
    image = single(oracle.starts.float())
    assert image.dtype == torch.float32
    if oracle.name != "nearest prototype":  # a start may change its cell
        expected = oracle.field(oracle.starts)
        assert (image - expected).abs().max() < 1e-5 * (1 + float(expected.abs().max()))
    assert oracle.field.dtype == torch.float64


def test_mean_distance_matches_the_sum():
    norm, rho = torch.tensor([0.5, 2.0], dtype=torch.float64), 0.9
    steps = torch.tensor([0, 37])
    expected = [0.5, sum(2.0 * rho**t for t in range(38)) / 38]
    assert oracles.mean_distance_to_origin(norm, rho, steps).tolist() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    "call",
    [
        lambda: oracles.affine_contraction(radius=1.0),
        lambda: oracles.rotation_scaling(factor=1.0),
        lambda: oracles.rotation(Fraction(3, 1)),
        lambda: oracles.scaling(rho=1.0),
        lambda: oracles.translation((0.0, 0.0)),
        lambda: oracles.projection(dim=3, rank=3),
        lambda: oracles.tanh_product(gain=1.0),
        lambda: oracles.negated_tanh_product(gain=0.5),
        lambda: oracles.logistic(3.7),
        lambda: oracles.tilted_well(tilt=0.9),
        lambda: oracles.henon(a=-1.0),
        lambda: oracles.invariant_curve(rate=0.5),
        lambda: oracles.hopfield(beta=0.0),
        lambda: oracles.nearest_prototype(((1.0,), (1.0,))),
        lambda: oracles.conjugated(oracles.scaling(dim=2), torch.ones(2, 2)),
    ],
)
def test_parameters_without_an_answer_are_refused(call):
    with pytest.raises(InputError):
        call()


def test_statuses_name_honest_endings():
    for name, make in CATALOGUE.items():
        oracle = make()
        reached = {status.reached_limit_set for status in oracle.statuses}
        assert len(reached) == 1, name
        if oracle.attractors:
            assert reached == {True}, name
        assert Status.RUNNING not in oracle.statuses
