"""`find_attractors` on systems whose limit sets are known: what it finds, what it does not invent, who goes where."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import separatrix as sx
from separatrix import LatentField, Protocol, Status
from separatrix.errors import ConvergenceWarning, FieldError, InputError, NotConvergedError
from separatrix.limitsets import Kind
from separatrix.limitsets._parts import Crew
from separatrix.limitsets._same_sets import same_sets
from separatrix.testing import oracles

quiet = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
WELL = 0.9575040240772687  # the positive solution of tanh(2z) = z


def field_of(function, k=1, dtype=torch.float64):
    return LatentField.from_map(function, latent_shape=k, dtype=dtype)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_rounds_grow_to_the_longest_when_no_start_is_left(monkeypatch):
    lengths, genuine = [], Crew.follow

    def seen(self, parts, head):
        lengths.append(head.steps)
        return genuine(self, parts, head)

    monkeypatch.setattr(Crew, "follow", seen)
    sx.find_attractors(field_of(lambda z: 0.99 * z), column(-1, 1, 2), Protocol(capture=False))
    assert lengths[:5] == [64, 128, 256, 256, 256]
    assert set(lengths) == {64, 128, 256}


# -- one dimension, every rate ------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None, derandomize=True)
@given(rho=st.floats(-0.95, 0.99), limit=st.floats(-100, 100))
def test_a_linear_contraction_has_its_one_attractor(rho, limit):
    field = field_of(lambda z: limit + rho * (z - limit))
    limits = sx.find_attractors(field, limit + column(-2, -0.3, 0.5, 3))
    assert limits.kind.tolist() == [Kind.FIXED_POINT]
    assert limits.stable.tolist() == [1]
    assert limits.hits.tolist() == [4]
    assert limits.points.item() == pytest.approx(limit, abs=1e-11 * (1 + abs(limit)) / (1 - rho))
    assert limits.spectral_radius.item() == pytest.approx(abs(rho), abs=1e-9)


@pytest.mark.parametrize("rho", [-0.97, -0.98])
def test_an_attractor_approached_from_alternating_sides(rho):
    """An eigenvalue near −1: every second point of an orbit is nearly the same, and it is a fixed point all the same."""
    limits = sx.find_attractors(field_of(lambda z: rho * z), column(-2, -0.3, 0.5, 3))
    assert (limits.kind.tolist(), limits.period.tolist()) == ([Kind.FIXED_POINT], [1])
    assert limits.stable.tolist() == [1]
    assert limits.labels.tolist() == [0, 0, 0, 0]
    assert limits.points.item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("rate", [-0.9, -0.5, 0.5, 0.9])
def test_a_cycle_has_its_least_period_at_every_rate(rate):
    """Turns by a third while the radius goes to 1 at ``rate``; a continuum of cycles, or one if the angle is drawn too."""

    def function(z):
        r, angle = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0])
        sector = 2 * math.pi / 3
        pulled = angle - 0.2 * torch.sin(3 * angle) + sector
        r = 1 + rate * (r - 1)
        return torch.stack([r * torch.cos(pulled), r * torch.sin(pulled)], dim=1)

    limits = sx.find_attractors(
        field_of(function, 2), 0.3 * sx.starts.gaussian(12).block(field_of(function, 2), 0, 12) + 1
    )
    assert limits.attractors.period.tolist() == [3]
    assert limits.attractors.kind.tolist() == [Kind.CYCLE]
    assert (limits.labels == 0).all()
    assert limits.spectral_radius.item() == pytest.approx(max(abs(rate) ** 3, 0.4**3), abs=1e-6)


@pytest.mark.parametrize("delta", [1e-2, 1e-3, 1e-4])
def test_two_attractors_very_close_together_stay_two(delta):
    limits = sx.find_attractors(field_of(lambda z: delta * torch.tanh(2 * z / delta)), column(-2, -1, -0.1, 0.1, 1, 2))
    assert len(limits.attractors) == 2
    assert limits.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.allclose(limits.points, delta * column(-WELL, WELL), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_a_start_that_passes_by_a_saddle_goes_on(dtype, offset):
    """From (ε, y) the orbit comes within ε of the saddle at 0 and then leaves to the side that ε says."""
    centre = torch.tensor([0.0, offset], dtype=torch.float64)

    def function(z):
        away = z - centre.to(z)
        return torch.stack([torch.tanh(2 * away[:, 0]), 0.5 * away[:, 1]], dim=1) + centre.to(z)

    epsilon = torch.tensor([1e-3, -1e-5, 1e-7, -1e-9, 1e-10], dtype=torch.float64)
    starts = torch.stack([epsilon, torch.full_like(epsilon, 1.0)], dim=1) + centre
    starts = torch.cat([starts, torch.tensor([[2.0, 3.0], [-2.0, -3.0]], dtype=torch.float64) + centre])
    limits = sx.find_attractors(field_of(function, 2, dtype), starts)
    assert len(limits.attractors) == 2
    sides = limits.points[limits.labels][:, 0].sign()
    assert (limits.labels >= 0).all()
    assert sides.tolist() == starts[:, 0].sign().tolist()


def test_a_start_on_a_saddle_is_on_no_attractor():
    def function(z):
        return torch.stack([torch.tanh(2 * z[:, 0]), 0.5 * z[:, 1]], dim=1)

    starts = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-1.0, 1.0], [0.5, 0.0]], dtype=torch.float64)
    limits = sx.find_attractors(field_of(function, 2), starts)
    assert limits.attractors.labels[0] == -1
    assert limits.attractors.hits.tolist() == [2, 1]
    assert len(limits.saddles) == 1
    assert limits.saddles.labels.tolist() == [0, -1, -1, -1]
    assert limits.saddles.spectral_radius.item() == pytest.approx(2, abs=1e-9)
    assert limits.saddles.unstable_directions.tolist() == [1]


def test_an_extremely_non_normal_attractor():
    """ρ = 0.9, ‖J‖₂ above 10: orbits first move away a million times as far as they started, and all come back."""
    g = torch.Generator().manual_seed(1)
    jacobian = 0.9 * torch.eye(5, dtype=torch.float64) + torch.triu(
        10 * torch.randn(5, 5, dtype=torch.float64, generator=g), 1
    )
    limits = sx.find_attractors(field_of(lambda z: z @ jacobian.T, 5), sx.starts.gaussian(6), Protocol(divergence=1e15))
    assert limits.stable.tolist() == [1]
    assert limits.hits.tolist() == [6]
    assert limits.points.abs().max() < 1e-6


# -- several kinds at once ----------------------------------------------------------------------------------------------


def test_a_fixed_point_and_a_cycle_side_by_side():
    """Left well: y → 0.3y. Right well: y → −tanh(2y), a 2-cycle. The wells mix linearly in between."""

    def function(z):
        x, y = z[:, 0], z[:, 1]
        right = ((1 + x / WELL) / 2).clamp(0, 1)
        return torch.stack([torch.tanh(2 * x), -right * torch.tanh(2 * y) + (1 - right) * 0.3 * y], dim=1)

    grid = torch.cartesian_prod(torch.linspace(-2, 2, 8), torch.linspace(-2, 2, 6)).double()
    limits = sx.find_attractors(field_of(function, 2), grid)
    attractors = limits.attractors
    assert sorted(attractors.kind.tolist()) == [Kind.FIXED_POINT, Kind.CYCLE]
    cycle = int((attractors.kind == int(Kind.CYCLE)).nonzero())
    assert attractors.period[cycle] == 2
    assert torch.equal(attractors.labels == cycle, grid[:, 0] > 0)
    trace = attractors.trace(cycle)
    assert torch.allclose(trace.abs(), torch.full((2, 2), WELL, dtype=torch.float64), rtol=0, atol=1e-9)
    assert torch.allclose(field_of(function, 2)(trace), trace.flip(0), rtol=0, atol=1e-12)
    assert attractors.residual.max() < 1e-13


def test_nested_attracting_curves_are_told_apart():
    """Radii 1 and 2 attract, 1.5 and 0 repel; the angle turns by one radian: two closed curves, by the radius of the start."""

    def function(z):
        r, angle = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + 1
        r = r - 0.4 * (r - 1) * (r - 1.5) * (r - 2)
        return torch.stack([r * torch.cos(angle), r * torch.sin(angle)], dim=1)

    radius = torch.cat([torch.linspace(0.6, 1.35, 6), torch.linspace(1.7, 2.3, 4)]).double()
    angle = 2.4 * torch.arange(10, dtype=torch.float64)
    starts = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    limits = sx.find_attractors(field_of(function, 2), starts)
    assert limits.kind.tolist() == [Kind.CLOSED_CURVE] * 2
    assert limits.stable.tolist() == [1, 1]
    assert limits.hits.tolist() == [6, 4]
    assert limits.labels.tolist() == [0] * 6 + [1] * 4
    for curve, exact in ((0, 1.0), (1, 2.0)):
        assert (limits.trace(curve).norm(dim=1) - exact).abs().max() < 1e-5
    assert limits.period.tolist() == [0, 0]
    assert limits.orbits.counts == {Status.QUASIPERIODIC: 10}


def test_a_fixed_point_and_a_curve_side_by_side():
    """Radius 0 and 2 attract, 1 repels."""

    def function(z):
        r, angle = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + 1
        r = r - 0.3 * r * (r - 1) * (r - 2)
        return torch.stack([r * torch.cos(angle), r * torch.sin(angle)], dim=1)

    radius = torch.cat([torch.linspace(0.2, 0.9, 4), torch.linspace(1.2, 2.6, 4)]).double()
    starts = torch.stack([radius, torch.zeros_like(radius)], dim=1)
    limits = sx.find_attractors(field_of(function, 2), starts)
    assert sorted(limits.kind.tolist()) == [Kind.FIXED_POINT, Kind.CLOSED_CURVE]
    assert (limits.stable == 1).all()
    assert limits.of_kind(Kind.FIXED_POINT).labels.tolist() == [0] * 4 + [-1] * 4


@quiet
def test_neutral_rotation_has_no_attractor():
    c, s = math.cos(1), math.sin(1)
    matrix = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    limits = sx.find_attractors(field_of(lambda z: z @ matrix.T, 2), sx.starts.gaussian(6), Protocol(max_steps=1000))
    assert len(limits.attractors) == 0
    assert (limits.stable[limits.kind == int(Kind.CLOSED_CURVE)] != 1).all()


@quiet
def test_probes_for_curves_are_not_longer_than_orbits_may_be():
    matrix = 0.2 * torch.tensor([[3.0, -4.0], [4.0, 3.0]], dtype=torch.float64)
    for max_steps, probed in ((400, False), (1000, True)):
        rules = Protocol(max_steps=max_steps)
        limits = sx.find_attractors(field_of(lambda z: z @ matrix.T, 2), sx.starts.gaussian(6), rules)
        assert (limits.cost.total > 2 * 6 * max_steps) == probed
        assert (int(Kind.CLOSED_CURVE) in limits.kind.tolist()) == probed


@quiet
def test_chaos_has_no_attractor_and_no_curve():
    limits = sx.find_attractors(
        field_of(lambda x: 4 * x * (1 - x)), column(*torch.linspace(0.11, 0.83, 8).tolist()), Protocol(max_steps=1000)
    )
    assert len(limits.attractors) == 0
    assert int(Kind.CLOSED_CURVE) not in limits.kind.tolist()
    assert (limits.labels == -1).all()
    assert not {Status.CONVERGED, Status.PERIODIC, Status.CAPTURED} & set(limits.orbits.counts)


def test_a_line_of_fixed_points_is_one_continuum():
    projection = torch.tensor([[1.0, 0.7], [0.0, 0.0]], dtype=torch.float64)
    limits = sx.find_attractors(field_of(lambda z: z @ projection.T, 2), sx.starts.gaussian(30))
    assert limits.kind.tolist() == [Kind.CONTINUUM]
    assert limits.stable.tolist() == [-1]
    assert limits.hits.tolist() == [30]
    assert len(limits.attractors) == 0
    assert limits.orbits.counts == {Status.CONVERGED: 30}


def test_a_circle_of_fixed_points_is_one_continuum():
    """r → 1 at rate ½, the angle stays: ρ = 1 along the circle, and the neutral direction differs from point to point."""

    def function(z):
        r = z.norm(dim=1, keepdim=True)
        return z / r * (1 + 0.5 * (r - 1))

    limits = sx.find_attractors(field_of(function, 2), sx.starts.gaussian(40, seed=2))
    assert limits.kind.tolist() == [Kind.CONTINUUM]
    assert limits.hits.tolist() == [40]


def test_isolated_points_beside_a_continuum():
    """x < 0 contracts to (−1, 0); x > 0 is projected onto the half line y = 0."""

    def function(z):
        x, y = z[:, 0], z[:, 1]
        return torch.stack([torch.where(x < 0, -1 + 0.5 * (x + 1), x), 0.3 * y], dim=1)

    starts = sx.starts.gaussian(30, seed=1).block(field_of(function, 2), 0, 30)
    limits = sx.find_attractors(field_of(function, 2), starts)
    assert sorted(limits.kind.tolist()) == [Kind.FIXED_POINT, Kind.CONTINUUM]
    assert torch.equal(limits.attractors.labels == 0, starts[:, 0] < 0)
    assert (limits.labels >= 0).all()


# -- budgets, costs, records ---------------------------------------------------------------------------------------------


@quiet
def test_no_orbit_takes_more_steps_than_the_budget():
    """Starts that are done at once (on the saddle 0 of the second coordinate) beside some that never are."""

    def function(z):
        return torch.stack([torch.tanh(z[:, 0]), torch.tanh(2 * z[:, 1])], dim=1)

    starts = torch.tensor([[0.0, 0.0], [1.0, 1e-9], [1.0, 0.5], [0.3, 0.0], [2.0, -1.0]], dtype=torch.float64)
    for budget in (50, 1200):
        limits = sx.find_attractors(field_of(function, 2), starts, Protocol(max_steps=budget))
        assert int(limits.orbits.steps.max()) <= budget


def test_the_cost_of_a_search_is_what_was_spent():
    seen = [0]

    def function(z):
        seen[0] += len(z)
        return torch.tanh(2 * z)

    field = field_of(function, 2)
    field.differentiable  # noqa: B018  looked at once, before the counting starts
    seen[0] = 0
    limits = sx.find_attractors(field, sx.starts.gaussian(40))
    checks = 3 * 4 + 10
    assert limits.cost.map <= seen[0] <= limits.cost.total + checks
    assert limits.cost.map >= int((limits.orbits.steps + 1).sum())


def test_labels_are_the_truth_the_columns_repeat():
    limits = sx.find_attractors(field_of(lambda z: torch.tanh(2 * z), 2), sx.starts.gaussian(60, seed=4))
    assert torch.equal(limits.hits, torch.bincount(limits.labels))
    assert limits.hits.tolist() == sorted(limits.hits.tolist(), reverse=True)
    assert float(limits.fractions.sum()) == pytest.approx(1)
    two = limits[[2, 0]]
    assert torch.equal(two.hits, limits.hits[[2, 0]])
    assert torch.equal(two.labels == 0, limits.labels == 2)
    assert torch.equal(two.labels == 1, limits.labels == 0)
    assert torch.equal(limits[-1].points, limits.points[-1:])
    assert limits[1].labels.max() == 0


def test_a_result_knows_where_it_comes_from():
    starts = sx.starts.gaussian(10, seed=11)
    limits = sx.find_attractors(field_of(lambda z: torch.tanh(2 * z)), starts, Protocol(tolerance=1e-4))
    assert limits.protocol == Protocol(tolerance=1e-4)
    assert limits.orbits.protocol == Protocol(tolerance=1e-4)
    assert limits.provenance["starts"] == starts.provenance
    assert limits.provenance["field"]["latent_shape"] == [1]
    assert {"separatrix", "torch", "python"} <= set(limits.provenance["versions"])


@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 3)])
def test_sets_have_the_shape_of_the_latent(shape):
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=shape, dtype=torch.float64)
    limits = sx.find_attractors(field, sx.starts.gaussian(20))
    assert limits.points.shape == (len(limits), *shape)
    assert limits.eigenvalues.shape == (len(limits), math.prod(shape))
    assert (limits.points.abs() - WELL).abs().max() < 1e-9


@quiet
@pytest.mark.parametrize(
    "name",
    [
        "product of three tanh(2z)",
        "product of two -tanh(2z)",
        "logistic 3.5",
        "Newton for z³ = 1",
        "Hopfield, beta 4",
        "late fork",
    ],
)
def test_labels_of_permuted_starts_are_the_permuted_labels(name):
    oracle = oracles.CATALOGUE[name]()
    order = torch.randperm(len(oracle.starts), generator=torch.Generator().manual_seed(7))
    one, other = (sx.find_attractors(oracle.field, starts) for starts in (oracle.starts, oracle.starts[order]))
    assert len(one) == len(other)
    place = torch.cat([same_sets(other, one), torch.tensor([-1])])
    assert torch.equal(place[other.labels], one.labels[order])
    assert torch.equal(one.hits[place[:-1]], other.hits)


def test_one_start_is_enough():
    limits = sx.find_attractors(field_of(lambda z: torch.tanh(2 * z)), column(0.1))
    assert limits.points.item() == pytest.approx(WELL, abs=1e-10)
    assert limits.hits.tolist() == [1]


def test_starts_at_rest_on_the_origin():
    """No extent and no distance from the origin: there is no unit of length, and still an answer."""
    limits = sx.find_attractors(field_of(lambda z: 0.5 * z), torch.zeros(5, 1, dtype=torch.float64))
    assert limits.stable.tolist() == [1]
    assert limits.hits.tolist() == [5]


def test_a_model_of_modules_in_float32_gives_float64_sets_and_is_left_alone():
    torch.manual_seed(0)
    encoder, decoder = nn.Sequential(nn.Linear(6, 3), nn.Tanh()), nn.Sequential(nn.Linear(3, 6), nn.Tanh())
    before = [p.clone() for net in (encoder, decoder) for p in net.parameters()]
    limits = sx.find_attractors(LatentField(encoder, decoder, latent_shape=3), sx.starts.gaussian(30))
    assert limits.points.dtype == torch.float64
    assert limits.residual.max() < 1e-14
    after = [p for net in (encoder, decoder) for p in net.parameters()]
    assert all(
        torch.equal(a, b) and b.dtype == torch.float32 and b.grad is None for a, b in zip(before, after, strict=True)
    )


def test_a_model_without_float64_is_polished_in_its_own_precision_and_says_so():
    limits = sx.find_attractors(field_of(lambda z: torch.tanh(2 * z.float()), dtype=torch.float32), column(-1, 1, 2))
    assert len(limits.attractors) == 2
    assert limits.hits.tolist() == [2, 1]
    assert any("float32" in note for note in limits.notes)
    assert (limits.points.abs() - WELL).abs().max() < 1e-5


def test_a_model_without_gradients_has_the_same_attractors():
    with torch.no_grad():
        plain = sx.find_attractors(field_of(lambda z: torch.tanh(2 * z), 2), sx.starts.gaussian(30))
    blind = sx.find_attractors(field_of(torch.no_grad()(lambda z: torch.tanh(2 * z)), 2), sx.starts.gaussian(30))
    assert torch.equal(plain.labels, blind.labels)
    assert torch.allclose(plain.points, blind.points, rtol=0, atol=1e-9)
    assert torch.allclose(plain.spectral_radius, blind.spectral_radius, rtol=0, atol=1e-6)
    assert (blind.stable == 1).all()


def test_a_gradient_that_is_nan_does_not_end_the_search():
    """`torch.where` around a branch that is NaN has a NaN gradient in the other branch too; f itself is fine."""
    field = field_of(lambda z: torch.where(z > 1e6, z * torch.nan, torch.tanh(2 * z)))
    limits = sx.find_attractors(field, column(-1, 1, 2))
    # Without a Jacobian nothing can be verified: no attractor is claimed.
    assert len(limits.attractors) == 0


# -- refusals -------------------------------------------------------------------------------------------------------------


def test_what_reached_nothing_is_counted_with_its_reason():
    field = field_of(lambda z: torch.where(z > 0, 2 * z, 0.5 * z))
    with pytest.warns(ConvergenceWarning, match=r"2 of 5 orbits .* 2 DIVERGED"):
        limits = sx.find_attractors(field, column(-3, 1, -1, 2, -2))
    assert limits.labels.tolist() == [0, -1, 0, -1, 0]
    with pytest.raises(NotConvergedError, match="2 DIVERGED"):
        sx.find_attractors(field, column(-3, 1, -1, 2, -2), throw=True)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda z: z + torch.randn_like(z), "random"),
        (lambda z: z - z.mean(dim=0), "batch"),
        (lambda z: z[:, :1], "shape"),
        (lambda z: (z, z), "tuple"),
        (lambda z: z * torch.nan, "NaN"),
    ],
)
def test_what_is_not_a_self_map_is_refused_before_the_search(function, words):
    with pytest.raises(FieldError, match=words):
        sx.find_attractors(field_of(function, 2), sx.starts.gaussian(8))


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="batch_size"):
        sx.find_attractors(field_of(torch.tanh), column(1.0, 2.0), batch_size=0)
