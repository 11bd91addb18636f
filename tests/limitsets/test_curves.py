"""Closed curves among moving orbits: found once each, told apart, tested for stability, refused where there is none."""

from __future__ import annotations

import math

import pytest
import torch

import separatrix as sx
from separatrix import LatentField
from separatrix.limitsets import Kind
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._curves import CurveSearch
from separatrix.limitsets._records import _far_apart
from separatrix.numerics._closed_curve import closed_curve
from separatrix.protocol import Loops

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")
EPS = torch.finfo(torch.float64).eps
GOLDEN = 2 * math.pi * (math.sqrt(5) - 1) / 2


def radial_field(step, angle=1.0, k=2, dtype=torch.float64):
    """Turns by ``angle`` while the radius goes r → step(r); further coordinates are halved."""

    def function(z):
        r, phase = z[:, :2].norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + angle
        r = step(r)
        return torch.cat([torch.stack([r * phase.cos(), r * phase.sin()], dim=1), 0.5 * z[:, 2:]], dim=1)

    return LatentField.from_map(function, latent_shape=k, dtype=dtype)


def ring(*radii, k=2):
    phase = torch.arange(len(radii), dtype=torch.float64)
    r = torch.tensor(radii, dtype=torch.float64)
    plane = torch.stack([r * phase.cos(), r * phase.sin()], dim=1)
    return torch.cat([plane, torch.zeros(len(radii), k - 2, dtype=torch.float64)], dim=1)


def pull(r):
    return 1 + 0.5 * (r - 1)


def searched(field, starts, **options):
    """The limit sets from these starts; orbits near a curve are enough, so few steps are."""
    return sx.find_attractors(field, starts, sx.Protocol(**{"max_steps": 2500, **options}))


def path_of(field, start, steps=1000, skipped=0):
    """The orbit of one start ``(1, k)`` after ``skipped`` steps."""
    points = [start]
    for _ in range(skipped + steps - 1):
        points.append(field(points[-1]))
    return torch.cat(points[skipped:])


def examined(field, *paths):
    """A search that has seen these records, and what it found in each."""
    catalogue = Catalogue(field, sx.Protocol(), 1.0, EPS)
    search = CurveSearch(field, catalogue)
    return search, [search.examine(path, spent=1e9) for path in paths]


@pytest.mark.parametrize("angle", [1.0, GOLDEN, 0.07, 3.0])
@pytest.mark.parametrize("k", [2, 7])
def test_one_attracting_curve(angle, k):
    field = radial_field(pull, angle, k)
    limits = searched(field, ring(*[0.995, 1.0, 1.005] * 4, k=k))
    assert limits.labels.tolist() == [0] * 12
    assert limits.kind.tolist() == [Kind.CLOSED_CURVE]
    assert (limits.stable.tolist(), limits.period.tolist()) == ([1], [0])
    assert limits.spectral_radius.item() == pytest.approx(0.5, abs=0.05)
    search, _ = examined(field, path_of(field, ring(1.0, k=k)))
    ((_, known),) = search.catalogue.curves()
    assert known.loops[0].length == pytest.approx(2 * math.pi, rel=1e-3)
    assert known.loops[0].diameter == pytest.approx(2, rel=0.03)


def test_the_rate_of_a_slowly_attracting_curve():
    limits = searched(radial_field(lambda r: 1 + 0.9 * (r - 1)), ring(1.0, 1.0))
    assert limits.stable.tolist() == [1]
    assert limits.spectral_radius.item() == pytest.approx(0.9, abs=0.02)


def test_a_curve_with_a_basin_thinner_than_the_displacement_attracts_by_its_exponent():
    """Within 0.003 of the circle radii contract by 0.9, farther out they stay: what is displaced by 0.02 neither comes back nor leaves."""
    field = radial_field(lambda r: torch.where((r - 1).abs() < 0.003, 1 + 0.9 * (r - 1), r), GOLDEN)
    search, found = examined(field, path_of(field, ring(1.0)))
    ((number, known),) = search.catalogue.curves()
    assert (found, known.stable, known.unstable_directions) == ([number], 1, 0)
    assert known.radius == pytest.approx(0.9, abs=1e-3)
    assert known.watched == math.ceil(math.log(1e-6) / math.log(0.9))


def test_a_curve_to_which_displaced_points_come_back_is_not_watched_for_longer():
    """Within 0.05 of the circle radii contract by 0.9, farther out they stay: the displacement is a hundredth of the diameter, 0.02."""
    field = radial_field(lambda r: torch.where((r - 1).abs() < 0.05, 1 + 0.9 * (r - 1), r), GOLDEN)
    search, _ = examined(field, path_of(field, ring(1.0)))
    ((_, known),) = search.catalogue.curves()
    assert (known.stable, known.watched) == (1, search.rules.watched)
    assert known.radius == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(("early", "creeps"), [(1.0, False), (1.001, True), (0.999, True)])
def test_a_record_whose_early_half_lies_beside_its_late_half_still_creeps(early, creeps):
    """By a thousandth of the radius, which is a hundred times the bow of the circle over the chords of a thousand points."""
    turns = GOLDEN * torch.arange(2000, dtype=torch.float64)
    circle = torch.stack([turns.cos(), turns.sin()], dim=1)
    loop = closed_curve(circle.numpy())
    orbit = torch.cat([early * circle[:1000], circle[1000:]]).numpy()
    search, _ = examined(radial_field(pull, GOLDEN))
    assert search._creeps(orbit, [loop]) == creeps


def test_orbits_that_are_recorded_first_are_far_from_each_other():
    """From the centre of ten on a line: one end, the other, and the first of the two in the middle; NaN is nowhere."""
    line = torch.tensor([5.0, 0, 9, 4, 3, 1, torch.nan, 8, 2, 6, 7], dtype=torch.float64)[:, None]
    assert line[_far_apart(line, 3)].flatten().tolist() == [0, 9, 4]
    assert line[_far_apart(line, 20)].flatten().tolist() == [5, 0, 9, 4, 3, 1, 8, 2, 6, 7]


def test_nested_curves_are_told_apart():
    field = radial_field(lambda r: r - 0.4 * (r - 1) * (r - 1.5) * (r - 2))
    labels = searched(field, ring(1.0, 1.001, 2.0, 2.001, 1.0, 2.0)).labels
    assert (labels >= 0).all()
    assert labels[[0, 1, 4]].unique().numel() == labels[[2, 3, 5]].unique().numel() == 1
    assert labels[0] != labels[2]


@pytest.mark.parametrize("gap", [0.05, 0.02, 0.012])
def test_curves_close_together_are_told_apart(gap):
    """Radii 1 and 1 + gap attract; the middle repels. The last are 0.6 % of the diameter apart."""
    a, b = 1.0, 1.0 + gap
    c = (a + b) / 2
    field = radial_field(lambda r: r - 0.5 * (r - a) * (r - b) * (r - c) / (gap / 2) ** 2)
    limits = searched(field, ring(a, b, a, b, b, a, a + 0.3 * gap, b - 0.3 * gap, *[a - 0.002] * 30, *[b + 0.002] * 30))
    assert limits.stable.tolist() == [1, 1]
    inner = torch.tensor([True, False, True, False, False, True, True, False] + [True] * 30 + [False] * 30)
    assert torch.equal(limits.labels == limits.labels[0], inner)


def test_a_repelling_curve_is_not_called_stable():
    """A start exactly on a repelling circle stays for a while: 1e-16 grows slowly at a rate of 1.001."""
    limits = searched(radial_field(lambda r: 1 + 1.001 * (r - 1)), ring(1.0, 1.0))
    assert (limits.stable != 1).all()


@pytest.mark.slow
def test_neutral_loops_are_not_stable_and_the_search_ends():
    limits = searched(radial_field(lambda r: r, GOLDEN), ring(*torch.linspace(0.5, 2, 40).tolist()))
    assert (limits.stable == -1).all()
    assert 1 <= len(limits) <= 8
    for number in range(len(limits)):
        radii = torch.linspace(0.5, 2, 40)[limits.labels == number]
        assert radii.max() - radii.min() < 0.05, "an orbit is on its own loop, not on its neighbour's"


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.998, 0.9995])
def test_an_orbit_that_still_creeps_towards_a_curve_is_on_no_curve_of_its_own(rate):
    """What moves towards the circle by a thousandth of the way per step lies on a thin loop for any thousand steps."""
    field = radial_field(lambda r: 1 + rate * (r - 1), GOLDEN)
    starts = ring(*[1.0] * 4, *torch.linspace(0.8, 1.2, 12).tolist())
    limits = searched(field, starts, max_steps=20_000)
    assert limits.kind.tolist() == [Kind.CLOSED_CURVE]
    assert limits.labels.tolist() == [0] * 16
    points = limits.trace(0).norm(dim=1)
    assert points.min() > 1 - 2e-3
    assert points.max() < 1 + 2e-3


def cycle_of_circles(z):
    """(r, θ, σ) → (r + 0.3(1 − r), θ + ω, −tanh 2σ): two circles at σ = ±0.957504, visited in turn."""
    r, phase = z[:, :2].norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + GOLDEN
    r = r + 0.3 * (1 - r)
    return torch.stack([r * phase.cos(), r * phase.sin(), -torch.tanh(2 * z[:, 2])], dim=1)


def test_circles_that_are_visited_in_turn_are_one_set_of_their_period():
    field = LatentField.from_map(cycle_of_circles, latent_shape=3, dtype=torch.float64)
    starts = sx.starts.gaussian(80, seed=0)
    limits = searched(field, starts, max_steps=6000)
    assert (limits.kind.tolist(), limits.period.tolist(), limits.stable.tolist()) == ([Kind.CLOSED_CURVE], [2], [1])
    assert limits.labels.tolist() == [0] * 80
    trace = limits.trace(0)
    assert trace[:, :2].norm(dim=1).tolist() == pytest.approx([1.0] * len(trace), abs=1e-6)
    assert trace[:, 2].abs().tolist() == pytest.approx([0.957504] * len(trace), abs=1e-6)
    assert 0.4 < float((trace[:, 2] > 0).double().mean()) < 0.6


@pytest.mark.slow
def test_a_torus_is_no_curve():
    """(θ₁ + ω₁, θ₂ + ω₂) with an irrational ratio, both circles attracting."""

    def torus(z):
        parts = [radial_field(pull, angle).bare(z[:, i : i + 2]) for i, angle in ((0, GOLDEN), (2, math.sqrt(2)))]
        return torch.cat(parts, dim=1)

    field = LatentField.from_map(torus, latent_shape=4, dtype=torch.float64)
    limits = searched(field, sx.starts.gaussian(8, seed=1), max_steps=5000)
    assert len(limits) == 0
    assert set(limits.orbits.counts) == {sx.Status.WANDERING}
    assert "neutral and returning" in limits.notes[0]


NOT_CURVES = {
    "chaos": LatentField.from_map(lambda x: 3.9 * x * (1 - x), latent_shape=1, dtype=torch.float64),
    "fixed point": radial_field(lambda r: 0.99 * r),
    "slow spiral in": radial_field(lambda r: 0.9997 * r),
    "slow spiral out": radial_field(lambda r: 1.0003 * r),
    "cycle of 5": radial_field(pull, 2 * math.pi * 2 / 5),
    "NaN": LatentField.from_map(lambda z: z * torch.nan, latent_shape=2, dtype=torch.float64),
}


@pytest.mark.parametrize("name", NOT_CURVES)
def test_no_curve_where_there_is_none(name):
    field = NOT_CURVES[name]
    start = torch.full((5, field.latent_dim), 0.3, dtype=torch.float64) + 0.01 * torch.arange(5).double()[:, None]
    search, findings = examined(field, *(path_of(field, row[None], skipped=200) for row in start))
    assert findings == [-1] * 5
    assert search.catalogue.curves() == []


def test_a_narrow_band_of_chaos_is_no_curve():
    """The radius follows a tent map within 1e-4 of 1 while the phase creeps round: sorted by its laps it passes for thin, and
    displaced points fall back onto the band at once. Its largest exponent, ln 1.99, gives it away."""
    # A thinness of 0.08 to 0.11, wherever in the band it starts: nearer to a resonance it is a matter of rounding.
    width, turn = 1e-4, 0.0283

    def function(z):
        r, phase = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + turn
        r = 1 + width * (1 - 1.99 * ((r - 1) / width).clamp(-1, 1).abs())
        return torch.stack([r * phase.cos(), r * phase.sin()], dim=1)

    field = LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
    start = torch.tensor([[1.0003, 0.0], [0.0, 1.0]], dtype=torch.float64)
    paths = [path_of(field, row[None], skipped=200) for row in start]
    looks_like_one = closed_curve(paths[0].numpy())
    assert looks_like_one is not None
    assert looks_like_one.thinness > Loops.thinness
    search, findings = examined(field, *paths)
    assert findings == [-1, -1]
    assert search.catalogue.curves() == []


@pytest.mark.slow
def test_others_among_the_orbits_are_left_out():
    """Left of −5 there is chaos, on the right a closed curve."""

    def function(z):
        x = z[:, 0] + 10
        chaos = torch.stack([3.9 * x * (1 - x) - 10, 0 * x], dim=1)
        return torch.where(z[:, :1] < -5, chaos, radial_field(pull).bare(z))

    chaotic = torch.tensor([[-9.7, 0.0], [-9.4, 0.0], [-9.2, 0.0]], dtype=torch.float64)
    field = LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
    limits = searched(field, torch.cat([ring(1.0), chaotic, ring(1.0, 1.0)]))
    assert limits.labels.tolist() == [0, -1, -1, -1, 0, 0]


@pytest.mark.slow
def test_a_curve_behind_many_chaotic_orbits_is_found():
    """The first probes show nothing; the orbit on the curve comes later."""

    def function(z):
        x = z[:, 0] + 10
        chaos = torch.stack([3.9 * x * (1 - x) - 10, 0 * x], dim=1)
        return torch.where(z[:, :1] < -5, chaos, radial_field(pull).bare(z))

    chaotic = torch.stack([torch.linspace(-9.9, -9.1, 60), torch.zeros(60)], dim=1).double()
    field = LatentField.from_map(function, latent_shape=2, dtype=torch.float64)
    limits = searched(field, torch.cat([chaotic, ring(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)]))
    assert limits.labels.tolist() == [-1] * 60 + [0] * 6


def test_the_order_of_the_orbits_does_not_matter():
    field = radial_field(lambda r: r - 0.4 * (r - 1) * (r - 1.5) * (r - 2))
    points = ring(1.0, 1.001, 2.0, 2.001, 1.0, 2.0, 1.0, 2.0, 1.0)
    first = searched(field, points)
    for seed in range(3):
        order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
        second = searched(field, points[order])
        assert torch.equal(second.labels, first.labels[order])
        assert second.cost == first.cost
        assert second.trace(0).norm(dim=1).mean() == pytest.approx(first.trace(0).norm(dim=1).mean().item(), rel=1e-9)


def test_where_no_curve_is_none_is_paid_for():
    """Records cost nothing, and what does not pass for a curve is not tested."""
    search, _ = examined(
        NOT_CURVES["chaos"], *(path_of(NOT_CURVES["chaos"], torch.tensor([[x]]).double()) for x in (0.1, 0.3))
    )
    assert search.cost.total == 0


def test_float32_orbits_have_curves_too():
    limits = searched(radial_field(pull, dtype=torch.float32), ring(1.0, 0.99).float())
    assert limits.labels.tolist() == [0, 0]
    assert limits.stable.tolist() == [1]


def test_work_is_counted():
    seen = [0]
    inner = radial_field(pull)

    def counting(z):
        seen[0] += len(z)
        return inner.bare(z)

    field = LatentField.from_map(counting, latent_shape=2, dtype=torch.float64)
    field.examine()  # once per field, and no search's work
    seen[0] = 0
    path = path_of(inner, ring(1.0))
    search, _ = examined(field, path)
    search.stay(ring(1.0, 1.0), torch.zeros(2, dtype=torch.int64))
    assert search.cost.map == seen[0]
    assert search.cost.map >= 2 * 288


def test_an_orbit_that_leaves_the_numbers_while_it_is_watched_does_not_stay():
    last = 2.5

    def away(r):
        return torch.where(r < 2, pull(r), torch.where(r < last, r + 1, torch.nan))

    field = radial_field(away)
    search, _ = examined(field, path_of(field, ring(1.0)))
    last += search.rules.later + search.rules.watched // 2
    assert search.stay(torch.cat([ring(1.0), ring(2.5)]), torch.zeros(2, dtype=torch.int64)).tolist() == [True, False]
